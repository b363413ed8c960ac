"""A configuration and a dataset small enough to train in a test."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from hgs_toolkit.config import Config
from hgs_toolkit.datasets.critters.drawing import make_critters
from hgs_toolkit.datasets.critters.prior import CritterPrior
from hgs_toolkit.datasets.eg3d import PosedImages, open_dataset
from hgs_toolkit.datasets.eg3d_writer import open_writer
from hgs_toolkit.pose_prior import PosePrior
from hgs_toolkit.settings_io import config_from_dict

TINY: dict[str, Any] = {
    "name": "tiny",
    "generator": {
        "resolution": 16, "z_dim": 8, "w_dim": 16, "pose_conditioned": False, "view_dependent_color": False,
        "points": 16, "channels": [32, 16], "level_blocks": ["adain"], "transformer_blocks": 1, "heads": 2,
        "soft_clamp": 10.0, "background": "none",
    },
    "discriminator": {
        "kind": "residual", "resolution": 16, "channels": [8, 16, 16], "pose": "projection", "mbstd_group": 0,
        "channels_last": True,
    },
    "training": {
        "batch": 4, "kimg": 0.04, "loss": "relativistic", "r1_gamma": 0.1, "r2_gamma": 0.1, "penalty_interval": 2,
        "penalty_step": "merged", "share_fakes": True, "pose_weight": 0.0, "knn_neighbors": 4, "blur_kimg": 0.02,
        "blur_sigma": 2.0, "background": "random", "tick_kimg": 0.008, "grid": 2, "warmup_steps": 3,
        "augment": {"mirror": 0.5, "color": 0.5, "cutout": 0.5, "adaptive_target": 0.3, "adaptive_kimg": 0.05},
    },
}  # fmt: skip


@pytest.fixture
def tiny() -> Config:
    """The r3 recipe on 16 pixels."""
    return config_from_dict(TINY)


@pytest.fixture
def tiny_gsgan() -> Config:
    """The reference recipe on 16 pixels, every part of it switched on."""
    generator = TINY["generator"] | {
        "pose_conditioned": True, "view_dependent_color": True, "level_blocks": ["adaptive"], "neighbors": 4,
        "background": "generator", "background_points": 8, "background_channels": 8, "soft_clamp": None,
    }  # fmt: skip
    discriminator = {"kind": "stylegan2", "resolution": 16, "channel_base": 256, "channel_max": 16, "pose_dim": 8}
    training = {
        "batch": 8, "kimg": 0.08, "penalty_interval": 4, "knn_neighbors": 4, "blur_kimg": 0.02, "blur_sigma": 2.0,
        "background_kimg": 0.016, "tick_kimg": 0.016, "grid": 2, "random_pose": 0.5, "pose_swap_kimg": 0.05,
    }  # fmt: skip
    return config_from_dict(
        {"name": "tiny-gsgan", "generator": generator, "discriminator": discriminator, "training": training}
    )


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> PosedImages:
    """24 coloured discs with alpha, 16 pixels, each under a camera of its own."""
    path = tmp_path_factory.mktemp("discs") / "discs.zip"
    labels = PosePrior().sample(24, torch.Generator().manual_seed(0)).labels.numpy()
    rng = np.random.default_rng(0)
    distance = np.hypot(*np.mgrid[-7.5:8, -7.5:8])
    with open_writer(path) as writer:
        for label in labels:
            pixels = np.zeros((16, 16, 4), np.uint8)
            pixels[..., :3] = rng.integers(0, 256, 3)
            pixels[..., 3] = 255 * (distance < rng.uniform(3, 7))
            writer.add(pixels, label)
    return open_dataset(path)


@pytest.fixture(scope="session")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> PosedImages:
    """Twelve critters, two images of each, 16 pixels."""
    path = tmp_path_factory.mktemp("pairs") / "pairs.zip"
    make_critters(path, 24, 16, prior=CritterPrior(views=2))
    return open_dataset(path)
