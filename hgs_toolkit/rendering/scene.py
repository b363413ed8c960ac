"""Drawing a hierarchy: stored parameters are activated here, then rasterised."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from hgs_toolkit.cameras import Cameras
from hgs_toolkit.encoding import log_scales_to_scales, logits_to_opacities, quats_to_rotmats
from hgs_toolkit.errors import ShapeError
from hgs_toolkit.gaussians import GaussianHierarchy
from hgs_toolkit.rendering.dispatch import rasterize

Background = Sequence[float] | Tensor


def render(
    scene: GaussianHierarchy, cameras: Cameras, width: int, height: int, background: Background = (0.0, 0.0, 0.0), *,
    render_mode: str = "RGB", splat_scale: float = 1.0, backend: str = "auto",
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Images of every scene of the batch from every camera.

    Args:
        scene: B scenes; spherical harmonics are evaluated per camera and clamped below at 0, as in 3D-GS.
        cameras: (C,) cameras that all scenes share, or (B, C) cameras of their own.
        width, height: image size in pixels.
        background: one colour, or a tensor (3,), (B, 3) or (B, C, 3).
        render_mode: as in :func:`rasterize`.
        splat_scale: factor on every Gaussian's size; 0.2 shows the structure underneath.
        backend: as in :func:`rasterize`.

    Returns:
        Images (B, C, H, W, 3), with the depth as a further channel if ``render_mode`` asks for it ((..., 1) for
        depth alone), and alphas (B, C, H, W, 1). Not clamped above.

    Raises:
        ShapeError: if the leading dimensions of cameras or background do not fit the scene.
    """
    cameras = _per_scene(cameras, scene)
    shape = (scene.batch, len(cameras[0]))
    return rasterize(
        **_activated(scene, splat_scale), colors=scene.sh, sh_degree=scene.sh_degree,
        **_views(cameras, scene, width, height), backgrounds=_backgrounds(background, shape, scene.means),
        render_mode=render_mode, backend=backend,
    )  # fmt: skip


def render_depth(
    scene: GaussianHierarchy, cameras: Cameras, width: int, height: int, *, backend: str = "auto"
) -> Tensor:
    """Expected depth (B, C, H, W, 1): the camera's z in world units, 0 where nothing is drawn."""
    return render(scene, cameras, width, height, render_mode="ED", backend=backend)[0]


def render_normals(
    scene: GaussianHierarchy, cameras: Cameras, width: int, height: int, *, backend: str = "auto"
) -> tuple[Tensor, Tensor]:
    """Normals (B, C, H, W, 3) in the world, composited by alpha and not renormalised, and alphas (B, C, H, W, 1).

    A Gaussian's normal is its shortest axis, on the side that faces the camera.
    """
    cameras = _per_scene(cameras, scene)
    normals = shortest_axes(scene)[:, None]  # (B, 1, N, 3)
    to_camera = cameras.to(scene.device, scene.means.dtype).positions[:, :, None] - scene.means[:, None]  # (B, C, N, 3)
    facing = torch.where((normals * to_camera).sum(-1, keepdim=True) < 0, -normals, normals)
    return rasterize(
        **_activated(scene), colors=facing, **_views(cameras, scene, width, height), backend=backend
    )  # fmt: skip


def render_level_map(
    scene: GaussianHierarchy, cameras: Cameras, width: int, height: int, *, backend: str = "auto"
) -> Tensor:
    """The level that contributes most to each pixel, (B, C, H, W) int64.

    -1 is the background generator's Gaussians; -2 a pixel where nothing is drawn.
    """
    levels = torch.arange(-1, scene.num_levels, device=scene.device)
    membership = (scene.level[:, None] == levels).to(scene.means.dtype)  # (N, L + 1)
    colors = membership.expand(scene.batch, -1, -1)
    with torch.no_grad():
        weights, alphas = rasterize(
            **_activated(scene), colors=colors, **_views(_per_scene(cameras, scene), scene, width, height),
            backend=backend,
        )  # fmt: skip
    return torch.where(alphas[..., 0] > 0, weights.argmax(-1) - 1, NOTHING_DRAWN)


NOTHING_DRAWN = -2
"""Value of a level map's pixels that no Gaussian covers."""


def shortest_axes(scene: GaussianHierarchy) -> Tensor:
    """Unit vectors (B, N, 3) in the world along each Gaussian's smallest standard deviation."""
    rotations = quats_to_rotmats(scene.quats)  # (B, N, 3, 3), columns are the axes
    index = scene.log_scales.argmin(-1)[..., None, None].expand(-1, -1, 3, 1)
    return rotations.gather(-1, index).squeeze(-1)


def _activated(scene: GaussianHierarchy, splat_scale: float = 1.0) -> dict[str, Tensor]:
    return {
        "means": scene.means,
        "quats": scene.quats,
        "scales": log_scales_to_scales(scene.log_scales) * splat_scale,
        "opacities": logits_to_opacities(scene.opacity_logits),
    }


def _per_scene(cameras: Cameras, scene: GaussianHierarchy) -> Cameras:
    """Cameras with leading dimensions (B, C)."""
    lead = tuple(cameras.cam_to_world.shape[:-2])
    if len(lead) == 1:
        return cameras.expand(scene.batch, *lead)
    if len(lead) == 2 and lead[0] == scene.batch:
        return cameras
    raise ShapeError(f"cameras have leading dimensions {lead}; expected (C,) or ({scene.batch}, C)")


def _views(cameras: Cameras, scene: GaussianHierarchy, width: int, height: int) -> dict[str, Tensor | int]:
    cameras = cameras.to(scene.device, scene.means.dtype)
    return {
        "viewmats": cameras.viewmats, "Ks": cameras.pixel_intrinsics(width, height), "width": width, "height": height,
    }  # fmt: skip


def _backgrounds(background: Background, shape: tuple[int, int], like: Tensor) -> Tensor:
    """Background colours (B, C, 3)."""
    colors = torch.as_tensor(background).to(like)
    if colors.ndim == 2:
        colors = colors[:, None]  # (B, 1, 3)
    try:
        return colors.expand(*shape, 3)
    except RuntimeError:
        raise ShapeError(
            f"background is {tuple(colors.shape)}; expected (3,), ({shape[0]}, 3) or {(*shape, 3)}"
        ) from None
