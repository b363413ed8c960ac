"""Run with a Python that has hgs_toolkit: scenes and how its CPU rasteriser draws them, into the .npz file given."""

import sys
from typing import Any

import numpy as np
import torch

from hgs_toolkit.cameras import from_yaw_pitch
from hgs_toolkit.checkpoint import load_model
from hgs_toolkit.gaussians import PARAMETERS, GaussianHierarchy
from hgs_toolkit.rendering import render
from hgs_toolkit.sampling import sample

SIZE = 256
COUNT = 800
DEGREES = {"flat": 0, "round": 0, "harmonics": 3}
SEED = 7  # of the shipped model


def make_scene(kind: str) -> GaussianHierarchy:
    """Gaussians on a ball of radius 0.45: leaves, or balls, or leaves whose colour changes with the view."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(1, COUNT, *shape, generator=generator)

    directions = torch.nn.functional.normalize(normal(3), dim=-1)
    leaf = torch.tensor([-2.7, -2.5, -6.0]) + 0.2 * normal(3)
    ball = -2.9 + 0.3 * normal(1).expand(-1, -1, 3)
    harmonics = 0.25 * normal((DEGREES[kind] + 1) ** 2 - 1, 3)
    return GaussianHierarchy(
        directions * (0.45 + 0.02 * normal(1)), ball if kind == "round" else leaf, normal(4),
        torch.cat([1.7 * directions[:, :, None], harmonics], 2), 1.5 * normal() + 0.5,
    )  # fmt: skip


camera = from_yaw_pitch(torch.tensor([0.5]), torch.tensor([0.3]))
arrays: dict[str, Any] = {"camera": camera.cam_to_world[0].numpy()}
scenes = {kind: make_scene(kind) for kind in DEGREES} | {"sample": sample(load_model(), [SEED])}
for kind, scene in scenes.items():
    image = render(scene, camera, SIZE, SIZE, (1.0, 1.0, 1.0), backend="cpu")[0][0, 0].clamp(0, 1)
    arrays |= {f"{kind}_{name}": getattr(scene, name)[0].numpy() for name in PARAMETERS}
    arrays[f"{kind}_image"] = (image * 255).round().byte().numpy()
np.savez_compressed(sys.argv[1], **arrays)
