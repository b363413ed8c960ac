"""Scenes and a small model that every area's tests can use."""

from __future__ import annotations

import getpass
import os
import signal
import tempfile

# Before torch loads OpenMP: the suite runs in as many processes as there are cores, and threads that wait for a core
# while they spin make it many times slower.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# Tests leave the user's cache alone; the commands they start inherit this folder.
os.environ.setdefault("HGS_CACHE", os.path.join(tempfile.gettempdir(), f"hgs-test-cache-{getpass.getuser()}"))

# A shell that starts the suite in the background has it ignore interruptions, and the commands that tests interrupt
# would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from hgs_toolkit.config import ClassPrior, Config
from hgs_toolkit.settings_io import config_from_dict
from hgs_toolkit.gaussians import GaussianHierarchy
from hgs_toolkit.model.generator import Generator

SceneFactory = Callable[..., GaussianHierarchy]


def make_scene(
    level_counts: tuple[int, ...] = (4, 16, 64), *, batch: int = 1, background: int = 0, degree: int = 0, seed: int = 0
) -> GaussianHierarchy:
    """Random Gaussians whose children follow their parents: child i of a level belongs to parent i * n_p // n."""
    generator = torch.Generator().manual_seed(seed)
    level, parent, start = [], [], 0
    for depth, count in enumerate(level_counts):
        above = level_counts[depth - 1] if depth else 0
        level += [depth] * count
        parent += [start - above + i * above // count if depth else -1 for i in range(count)]
        start += count
    count = start + background

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(batch, count, *shape, generator=generator)

    return GaussianHierarchy(
        means=normal(3) * 0.3,
        log_scales=normal(3) * 0.3 - 3,
        quats=normal(4),
        sh=normal((degree + 1) ** 2, 3),
        opacity_logits=normal(),
        level=torch.tensor(level + [-1] * background),
        parent=torch.tensor(parent + [-1] * background),
    )


@pytest.fixture
def scene_factory() -> SceneFactory:
    return make_scene


@pytest.fixture
def scene() -> GaussianHierarchy:
    """84 Gaussians in three levels and 5 of a background."""
    return make_scene(background=5)


@pytest.fixture(scope="session")
def tiny_config() -> Config:
    """A generator of three levels at 16 pixels, with a background and styles at every level, small enough for tests."""
    generator = {
        "resolution": 16, "z_dim": 8, "w_dim": 16, "pose_conditioned": False, "view_dependent_color": False,
        "points": 8, "channels": [16, 16, 8], "level_blocks": ["adain", "adain"], "transformer_blocks": 1, "heads": 2,
        "background": "generator", "background_points": 4, "background_channels": 8, "poses": {"focal": 1.5},
    }  # fmt: skip
    discriminator = {"kind": "residual", "resolution": 16, "channels": [8, 8, 8], "pose": "projection"}
    return config_from_dict({"name": "tiny", "generator": generator, "discriminator": discriminator})


@pytest.fixture
def tiny_model(tiny_config: Config) -> Generator:
    """An untrained generator of ``tiny_config`` in eval mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = Generator(tiny_config.generator)
        for parameter in model.parameters():  # layer scales start at zero, which would hide the styles
            parameter.data += 0.1 * torch.randn_like(parameter)
    return model.eval().requires_grad_(False)


@pytest.fixture
def class_config(tiny_config: Config) -> Config:
    """The tiny configuration without a background, with two classes."""
    classes = ClassPrior(("chair", "table"), shares=(0.75, 0.25))
    generator = replace(tiny_config.generator, background="none", classes=classes)
    return replace(tiny_config, generator=generator, discriminator=replace(tiny_config.discriminator, classes=2))


@pytest.fixture
def class_model(class_config: Config) -> Generator:
    """An untrained generator of ``class_config`` in eval mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = Generator(class_config.generator)
        for parameter in model.parameters():
            parameter.data += 0.1 * torch.randn_like(parameter)
    return model.eval().requires_grad_(False)
