"""Scenes as the viewer's client takes them, cameras as it reports them, and images of what it shows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hgs_toolkit.cameras import Cameras
from hgs_toolkit.encoding import covariances, dc_to_rgb, log_scales_to_scales, logits_to_opacities, quats_to_rotmats
from hgs_toolkit.gaussians import GaussianHierarchy
from hgs_toolkit.rendering import render

MOST_PIXELS = 2048
"""Bound on the sides of a saved image."""


@dataclass(frozen=True)
class Splats:
    """Activated parameters of N Gaussians, float32; colours without view dependence.

    Attributes:
        centers: (N, 3) world units.
        covariances: (N, 3, 3) world units squared.
        rgbs: (N, 3) in 0..1.
        opacities: (N, 1).
    """

    centers: NDArray[np.float32]
    covariances: NDArray[np.float32]
    rgbs: NDArray[np.float32]
    opacities: NDArray[np.float32]


class ClientCamera(Protocol):
    """What a client says of its camera: OpenCV axes, camera to world, vertical field of view in radians."""

    @property
    def wxyz(self) -> NDArray[Any]: ...  # noqa: D102

    @property
    def position(self) -> NDArray[Any]: ...  # noqa: D102

    @property
    def fov(self) -> float: ...  # noqa: D102

    @property
    def image_width(self) -> int: ...  # noqa: D102

    @property
    def image_height(self) -> int: ...  # noqa: D102


def splats_of(scene: GaussianHierarchy) -> Splats:
    """Arrays of one scene (a batch of one)."""
    shapes = covariances(scene.quats[0], log_scales_to_scales(scene.log_scales[0]))  # (N, 3, 3)
    colors = dc_to_rgb(scene.sh[0, :, 0]).clamp(0, 1)
    return Splats(
        *(
            _array(value)
            for value in (
                scene.means[0], shapes, colors, logits_to_opacities(scene.opacity_logits[0])[:, None],
            )
        )
    )  # fmt: skip


def client_cameras(camera: ClientCamera) -> Cameras:
    """The client's camera (1,)."""
    pose = torch.eye(4)
    pose[:3, :3] = quats_to_rotmats(torch.as_tensor(np.array(camera.wxyz), dtype=torch.float32))
    pose[:3, 3] = torch.as_tensor(np.array(camera.position), dtype=torch.float32)
    focal = 0.5 / math.tan(0.5 * camera.fov)  # image heights
    intrinsics = torch.tensor([[focal * camera.image_height / camera.image_width, 0, 0.5], [0, focal, 0.5], [0, 0, 1]])
    return Cameras(pose[None], intrinsics[None])


def picture_of(scene: GaussianHierarchy, camera: ClientCamera, rasterize_mode: str = "classic") -> Tensor:
    """What a client sees, (H, W, 3) in 0..1 on white, drawn by our own rasteriser at the client's size.

    Args:
        rasterize_mode: as the scene's metadata say; the client itself draws every scene the classic way.
    """
    shrink = min(1.0, MOST_PIXELS / max(camera.image_width, camera.image_height))
    width, height = (max(1, round(side * shrink)) for side in (camera.image_width, camera.image_height))
    with torch.no_grad():
        white = (1.0, 1.0, 1.0)
        images, _ = render(scene, client_cameras(camera), width, height, white, rasterize_mode=rasterize_mode)
    return images[0, 0].clamp(0, 1)


def _array(value: Tensor) -> NDArray[np.float32]:
    return np.ascontiguousarray(value.detach().cpu().float().numpy())
