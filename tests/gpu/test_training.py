"""Training on the GPU: the CPU's steps, resuming, no hidden waits, flat memory. Untested on hardware."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch

from hgs_toolkit.config import Config
from hgs_toolkit.datasets.eg3d import PosedImages, open_dataset
from hgs_toolkit.datasets.eg3d_writer import open_writer
from hgs_toolkit.pose_prior import PosePrior
from hgs_toolkit.settings_io import config_from_dict, config_to_dict, load_preset
from hgs_toolkit.training.distributed import World
from hgs_toolkit.training.trainer import Trainer

pytestmark = pytest.mark.gpu

LOSS_TOLERANCE, WEIGHT_TOLERANCE = 1e-3, 1e-4
SPREADS = 3
"""Number of times the spread of equal runs that a resumed run may differ by: CUDA adds in any order."""


@pytest.fixture
def config() -> Config:
    """critters32 with a small batch in float32."""
    values = config_to_dict(load_preset("critters32"))
    for name in ("generator", "discriminator"):
        values[name]["precision"] = "float32"
    values["training"]["batch"] = 8
    return config_from_dict(values)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> PosedImages:
    """16 images of noise with alpha, 32 pixels."""
    path = tmp_path_factory.mktemp("noise") / "noise.zip"
    rng = np.random.default_rng(0)
    with open_writer(path) as writer:
        for label in PosePrior().sample(16, torch.Generator().manual_seed(0)).labels.numpy():
            writer.add(rng.integers(0, 256, (32, 32, 4), np.uint8), label)
    return open_dataset(path)


@contextmanager
def waiting_is_an_error(device: torch.device) -> Iterator[None]:
    """Within the block, waiting for the GPU raises."""
    if device.type != "cuda":
        yield
        return
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def allocated(device: torch.device) -> int:
    """Bytes of the tensors on the GPU."""
    return int(torch.cuda.memory_allocated()) if device.type == "cuda" else 0


def weights(trainer: Trainer) -> torch.Tensor:
    """All weights of the generator, on the CPU."""
    return torch.cat([p.detach().flatten().double().cpu() for p in trainer.generator.parameters()])


def test_three_steps_are_those_of_the_cpu(config: Config, images: PosedImages, cuda: torch.device) -> None:
    here, there = Trainer(config), Trainer(config, World(device=cuda))
    for _ in range(3):
        expected, found = here.train_step(images), there.train_step(images)
        for name in ("loss_d", "loss_g"):
            assert found[name] == pytest.approx(expected[name], rel=LOSS_TOLERANCE, abs=LOSS_TOLERANCE)
    difference = (weights(here) - weights(there)).norm() / weights(here).norm()
    assert float(difference) <= WEIGHT_TOLERANCE


def test_a_resumed_run_is_as_near_as_an_equal_run(config: Config, images: PosedImages, cuda: torch.device) -> None:
    def run(resumed: bool) -> torch.Tensor:
        trainer = Trainer(config, World(device=cuda))
        for step in range(4):
            if resumed and step == 2:
                state, trainer = trainer.state(), Trainer(config, World(device=cuda))
                trainer.load_state(state)
            trainer.train_step(images)
        return weights(trainer)

    first, second, third = run(False), run(False), run(True)
    assert float((third - first).norm()) <= SPREADS * float((second - first).norm()) + 1e-6 * float(first.norm())


def test_generating_a_batch_never_waits_for_the_gpu(config: Config, images: PosedImages, cuda: torch.device) -> None:
    from hgs_toolkit.training.inputs.batches import make_batch

    trainer = Trainer(config, World(device=cuda))
    trainer.train_step(images)
    batch = make_batch(images, config, 1, trainer.world)
    latents = torch.randn(8, config.generator.z_dim, device=cuda)
    with waiting_is_an_error(cuda):
        w = trainer.generator.map(latents, batch.labels)
        trainer.generator.synthesize(w)


def test_memory_is_flat(config: Config, images: PosedImages, cuda: torch.device, dry: bool) -> None:
    trainer = Trainer(config, World(device=cuda))
    for _ in range(1 if dry else 10):
        trainer.train_step(images)
    before = allocated(cuda)
    for _ in range(2 if dry else 190):
        trainer.train_step(images)
    assert allocated(cuda) <= before * 1.01 + (1 << 20)
