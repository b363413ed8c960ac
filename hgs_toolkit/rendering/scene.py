"""Drawing a hierarchy: stored parameters are activated here, then rasterised."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from hgs_toolkit.cameras import Cameras
from hgs_toolkit.encoding import log_scales_to_scales, logits_to_opacities, quats_to_rotmats
from hgs_toolkit.errors import ShapeError
from hgs_toolkit.gaussians import BACKGROUND_LEVEL, GaussianHierarchy
from hgs_toolkit.rendering.dispatch import rasterize

NOTHING_DRAWN = -2
"""Value of a level map's pixels that no Gaussian covers."""

Background = Sequence[float] | Tensor


def render(
    scene: GaussianHierarchy, cameras: Cameras, width: int, height: int, background: Background = (0.0, 0.0, 0.0), *,
    features: Tensor | None = None, render_mode: str = "RGB", rasterize_mode: str = "classic", splat_scale: float = 1.0,
    backend: str = "auto",
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Images of every scene of the batch from every camera.

    Args:
        scene: B scenes; spherical harmonics are evaluated per camera and clamped below at 0, as in 3D-GS.
        cameras: (C,) cameras that all scenes share, or (B, C) cameras of their own.
        width, height: image size in pixels.
        background: one colour, or a tensor (3,), (B, 3) or (B, C, 3).
        features: (B, N, F) or (B, C, N, F) values of the Gaussians that are composited in the same pass, over zero:
            :func:`level_membership` for a level map, :func:`facing_normals`.
        render_mode: as in :func:`rasterize`.
        rasterize_mode: as in :func:`rasterize`: "antialiased" for scenes whose metadata say so.
        splat_scale: factor on every Gaussian's size; small values show the structure underneath.
        backend: as in :func:`rasterize`.

    Returns:
        Images (B, C, H, W, 3 + F), with depth as a further channel or alone depending on ``render_mode``, not clamped
        above, and alphas (B, C, H, W, 1).

    Raises:
        ShapeError: if the leading dimensions of cameras or background do not fit the scene.
    """
    cameras = _per_scene(cameras, scene)
    return rasterize(
        scene.means, scene.quats, log_scales_to_scales(scene.log_scales) * splat_scale,
        logits_to_opacities(scene.opacity_logits), scene.sh, *_views(cameras, width, height), sh_degree=scene.sh_degree,
        features=features, backgrounds=_backgrounds(background, cameras), render_mode=render_mode,
        rasterize_mode=rasterize_mode, backend=backend,
    )  # fmt: skip


def render_depth(
    scene: GaussianHierarchy, cameras: Cameras, width: int, height: int, *, backend: str = "auto"
) -> Tensor:
    """Expected depth (B, C, H, W, 1): the camera's z in world units, 0 where nothing is drawn."""
    return render(scene, cameras, width, height, render_mode="ED", backend=backend)[0]


def render_normals(
    scene: GaussianHierarchy, cameras: Cameras, width: int, height: int, *,
    rasterize_mode: str = "classic", backend: str = "auto",
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Normals (B, C, H, W, 3) in the world, composited by alpha and not renormalised, and alphas (B, C, H, W, 1).

    A Gaussian's normal is its shortest axis, on the side that faces the camera.
    """
    cameras = _per_scene(cameras, scene)
    normals = facing_normals(scene, cameras)
    return render_features(
        scene, normals, cameras, width, height, rasterize_mode=rasterize_mode, backend=backend
    )  # fmt: skip


def render_level_map(
    scene: GaussianHierarchy, cameras: Cameras, width: int, height: int, *,
    rasterize_mode: str = "classic", backend: str = "auto",
) -> Tensor:  # fmt: skip
    """The level that contributes most to each pixel, (B, C, H, W) int64, without gradient.

    -1 stands for the background generator's Gaussians, :data:`NOTHING_DRAWN` for pixels without any.
    """
    with torch.no_grad():
        shares, alphas = render_features(
            scene, level_membership(scene), cameras, width, height, rasterize_mode=rasterize_mode, backend=backend
        )  # fmt: skip
    return strongest_levels(shares, alphas)


def strongest_levels(shares: Tensor, alphas: Tensor) -> Tensor:
    """The level map (..., H, W) int64 of what :func:`level_membership` (..., H, W, L + 1) is when it is drawn."""
    return torch.where(alphas[..., 0] > 0, shares.argmax(-1) + BACKGROUND_LEVEL, NOTHING_DRAWN)


def render_features(
    scene: GaussianHierarchy, features: Tensor, cameras: Cameras, width: int, height: int, *,
    render_mode: str = "RGB", rasterize_mode: str = "classic", backend: str = "auto",
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Any per-Gaussian values (B, N, D) or (B, C, N, D) composited: (B, C, H, W, D) and alphas (B, C, H, W, 1).

    The modes are those of :func:`rasterize`; depth is one more channel, the last.
    """
    cameras = _per_scene(cameras, scene)
    return rasterize(
        scene.means, scene.quats, log_scales_to_scales(scene.log_scales), logits_to_opacities(scene.opacity_logits),
        features, *_views(cameras, width, height), render_mode=render_mode, rasterize_mode=rasterize_mode,
        backend=backend,
    )  # fmt: skip


def facing_normals(scene: GaussianHierarchy, cameras: Cameras) -> Tensor:
    """Each Gaussian's shortest axis, on the side that faces the camera: (B, C, N, 3), world, for cameras (B, C)."""
    normals = shortest_axes(scene)[:, None]  # (B, 1, N, 3)
    to_camera = cameras.positions[:, :, None] - scene.means[:, None]  # (B, C, N, 3)
    return torch.where((normals * to_camera).sum(-1, keepdim=True) < 0, -normals, normals)


def level_membership(scene: GaussianHierarchy) -> Tensor:
    """1 in the column of a Gaussian's level, else 0: (B, N, L + 1); the first column is the background's."""
    levels = torch.arange(BACKGROUND_LEVEL, scene.num_levels, device=scene.device)
    return (scene.level[:, None] == levels).to(scene.means.dtype).expand(scene.batch, -1, -1)


def shortest_axes(scene: GaussianHierarchy) -> Tensor:
    """Unit vectors (B, N, 3) in the world along each Gaussian's smallest standard deviation."""
    rotations = quats_to_rotmats(scene.quats)  # (B, N, 3, 3), columns are the axes
    index = scene.log_scales.argmin(-1)[..., None, None].expand(-1, -1, 3, 1)
    return rotations.gather(-1, index).squeeze(-1)


def _per_scene(cameras: Cameras, scene: GaussianHierarchy) -> Cameras:
    """Cameras with leading dimensions (B, C), of the scene's type and device."""
    lead = tuple(cameras.cam_to_world.shape[:-2])
    cameras = cameras.to(scene.device, scene.means.dtype)
    if len(lead) == 1:
        return cameras.expand(scene.batch, *lead)
    if len(lead) == 2 and lead[0] == scene.batch:
        return cameras
    raise ShapeError(f"cameras have leading dimensions {lead}; expected (C,) or ({scene.batch}, C)")


def _views(cameras: Cameras, width: int, height: int) -> tuple[Tensor, Tensor, int, int]:
    """View matrices, pixel intrinsics and image size, in full precision also where a trainer uses autocast."""
    with torch.autocast(cameras.cam_to_world.device.type, enabled=False):
        return cameras.viewmats, cameras.pixel_intrinsics(width, height), width, height


def _backgrounds(background: Background, cameras: Cameras) -> Tensor:
    """Background colours (B, C, 3) for cameras (B, C)."""
    colors = torch.as_tensor(background).to(cameras.cam_to_world)
    if colors.ndim == 2:
        colors = colors[:, None]  # (B, 1, 3)
    shape = (*cameras.cam_to_world.shape[:2], 3)
    try:
        return colors.expand(shape)
    except RuntimeError:
        raise ShapeError(f"background is {tuple(colors.shape)}; expected (3,), ({shape[0]}, 3) or {shape}") from None
