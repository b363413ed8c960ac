"""Images of one scene from any cameras: in colour, or of its depth, alpha, normals, levels, ellipsoids or anchors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from hgs_toolkit.cameras import Cameras
from hgs_toolkit.errors import ConfigError
from hgs_toolkit.gaussians import BACKGROUND_LEVEL, GaussianHierarchy
from hgs_toolkit.imaging.camera_paths import subject_bounds
from hgs_toolkit.imaging.looks import anchor_balls, level_colors
from hgs_toolkit.rendering import NOTHING_DRAWN, render, render_ellipsoids, render_level_map, render_normals


@dataclass(frozen=True)
class ImageSettings:
    """Size, background and Gaussian size of an image, and how it is drawn.

    Attributes:
        size: height and width, pixels.
        background: colour behind the scene, RGB in 0..1; None leaves it transparent (RGBA images with straight alpha).
            Images of depth, alpha and normals have backgrounds of their own in its place.
        splat_scale: factor on every Gaussian's size; normals and levels are drawn without it.
        rasterize_mode: see :func:`hgs_toolkit.rasterize`; a scene's metadata say which.
    """

    size: int = 256
    background: tuple[float, float, float] | None = (1.0, 1.0, 1.0)
    splat_scale: float = 1.0
    rasterize_mode: str = "classic"


DrawImage = Callable[[GaussianHierarchy, Cameras, ImageSettings], Tensor]
"""A function that draws one image (H, W, 3 or 4) in 0..1 of one scene (a batch of one) and one camera (1,)."""


def draw_images(
    scene: GaussianHierarchy, cameras: Cameras, settings: ImageSettings, mode: str = "rgb"
) -> Iterator[Tensor]:
    """Images (H, W, 3 or 4) in 0..1 of one scene (a batch of one), one for each of the cameras (C,).

    Each image is drawn when it is asked for.

    Raises:
        ConfigError: at once, if ``mode`` is none of MODES.
    """
    if mode not in MODES:
        raise ConfigError(f"mode '{mode}' is unknown; expected one of: {', '.join(MODES)}")
    return _draw_each(scene, cameras, settings, MODES[mode])


def _draw_each(
    scene: GaussianHierarchy, cameras: Cameras, settings: ImageSettings, draw: DrawImage
) -> Iterator[Tensor]:
    with torch.no_grad():
        for camera in cameras:
            yield draw(scene, camera.reshape(1), settings)


def natural_background(scene: GaussianHierarchy) -> tuple[float, float, float]:
    """Black for a scene with background Gaussians, which are trained over black; white for others."""
    return (0.0,) * 3 if bool((scene.level == BACKGROUND_LEVEL).any()) else (1.0,) * 3


def _color(scene: GaussianHierarchy, camera: Cameras, settings: ImageSettings) -> Tensor:
    images, alphas = _drawn(scene, camera, settings, "RGB")
    if settings.background is not None:
        return images[0, 0].clamp(0, 1)
    return _with_alpha((images[0, 0] / alphas[0, 0].clamp_min(1e-6)).clamp(0, 1), alphas[0, 0], settings)


def _drawn(
    scene: GaussianHierarchy, camera: Cameras, settings: ImageSettings, render_mode: str
) -> tuple[Tensor, Tensor]:
    """Image (1, 1, H, W, channels) and alpha (1, 1, H, W, 1), over black where the background is transparent."""
    return render(
        scene, camera, settings.size, settings.size, settings.background or (0.0, 0.0, 0.0), render_mode=render_mode,
        rasterize_mode=settings.rasterize_mode, splat_scale=settings.splat_scale,
    )  # fmt: skip


def _alpha(scene: GaussianHierarchy, camera: Cameras, settings: ImageSettings) -> Tensor:
    """Alpha as grey; white of that alpha where the background is transparent."""
    alpha = _drawn(scene, camera, settings, "RGB")[1][0, 0]
    grey = alpha if settings.background is not None else torch.ones_like(alpha)
    return _with_alpha(grey.expand(-1, -1, 3), alpha, settings)


def _with_alpha(image: Tensor, alpha: Tensor, settings: ImageSettings) -> Tensor:
    """The image (H, W, 3) as it is, or with ``alpha`` (H, W, 1) where the background is transparent."""
    return image if settings.background is not None else torch.cat([image, alpha.clamp(0, 1)], dim=-1)


def _depth(scene: GaussianHierarchy, camera: Cameras, settings: ImageSettings) -> Tensor:
    """Near is bright, far is dark, empty is black; the range is the scene's, so that frames can be compared."""
    depth, alpha = _drawn(scene, camera, settings, "ED")
    center, extent = subject_bounds(scene, 0.99)
    middle = (center - camera.positions[0].to(center)).norm()
    nearness = (middle + extent - depth[0, 0]) / (2 * extent)
    image = torch.where(alpha[0, 0] > 0, nearness.clamp(0.05, 1), 0.0).expand(-1, -1, 3)
    return _with_alpha(image, alpha[0, 0], settings)


def _normal(scene: GaussianHierarchy, camera: Cameras, settings: ImageSettings) -> Tensor:
    """World normals n as (n + 1) / 2, over mid-grey or transparent."""
    normals, alphas = render_normals(
        scene, camera, settings.size, settings.size, rasterize_mode=settings.rasterize_mode
    )  # fmt: skip
    unit = torch.nn.functional.normalize(normals[0, 0], dim=-1)
    if settings.background is None:
        return _with_alpha((unit + 1) / 2, alphas[0, 0], settings)
    return torch.lerp(torch.full_like(unit, 0.5), (unit + 1) / 2, alphas[0, 0].clamp(0, 1))


def _level(scene: GaussianHierarchy, camera: Cameras, settings: ImageSettings) -> Tensor:
    """The level that contributes most to a pixel, in the level's colour; empty pixels show the background."""
    levels = render_level_map(
        scene, camera, settings.size, settings.size, rasterize_mode=settings.rasterize_mode
    )[0, 0]  # (H, W)  # fmt: skip
    is_empty = (levels == NOTHING_DRAWN)[..., None]
    empty = torch.tensor(settings.background or (0.0, 0.0, 0.0), device=levels.device)
    return _with_alpha(torch.where(is_empty, empty, level_colors(levels)), (~is_empty).float(), settings)


def _ellipsoid(scene: GaussianHierarchy, camera: Cameras, settings: ImageSettings) -> Tensor:
    """Hard, shaded ellipsoids over the background."""
    colors, coverage = render_ellipsoids(scene, camera, settings.size, settings.size, splat_scale=settings.splat_scale)
    if settings.background is not None:
        return colors + (1 - coverage) * colors.new_tensor(settings.background)
    return torch.cat([colors / coverage.clamp_min(1e-6), coverage], dim=-1)


def _anchors(scene: GaussianHierarchy, camera: Cameras, settings: ImageSettings) -> Tensor:
    """The anchors as balls in their levels' colours."""
    return _ellipsoid(anchor_balls(scene, float(subject_bounds(scene, 0.95)[1])), camera, settings)


MODES: dict[str, DrawImage] = {
    "rgb": _color,
    "depth": _depth,
    "alpha": _alpha,
    "normal": _normal,
    "level": _level,
    "ellipsoid": _ellipsoid,
    "anchors": _anchors,
}
"""The function that draws each kind of image."""
