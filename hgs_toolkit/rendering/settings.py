"""Settings of a rasterisation: everything but the tensors."""

from __future__ import annotations

from dataclasses import dataclass

from hgs_toolkit.errors import ShapeError

RENDER_MODES = ("RGB", "D", "ED", "RGB+D", "RGB+ED")
RASTERIZE_MODES = ("classic", "antialiased")

# The constants of 3D-GS, under which gsplat and the original CUDA rasteriser agree.
MAX_ALPHA = 0.999
"""Upper bound of a Gaussian's opacity at a pixel; no gradient passes where it holds."""
MIN_ALPHA = 1.0 / 255.0
"""Opacity below which a Gaussian is skipped at a pixel."""
MIN_TRANSMITTANCE = 1e-4
"""Transmittance at which a pixel ends: before the Gaussian that would leave this much or less."""
FRUSTUM_MARGIN = 0.3
"""Number of half fields of view outside of the image at which the projection's Jacobian is clamped."""
MAX_EXTENT = 3.33
"""Number of standard deviations that bounding boxes reach at most: exp(-3.33^2 / 2) < 1 / 255."""


DEFAULT_EPS2D = 0.3
"""Variance, in pixels squared, added to projected Gaussians, as in 3D-GS."""


@dataclass(frozen=True)
class RasterSettings:
    """Image size, culling and modes; fields are named as the arguments of :func:`hgs_toolkit.rendering.rasterize`."""

    width: int
    height: int
    near_plane: float = 0.01
    far_plane: float = 1e10
    radius_clip: float = 0.0
    eps2d: float = DEFAULT_EPS2D
    render_mode: str = "RGB"
    rasterize_mode: str = "classic"

    def __post_init__(self) -> None:
        for name in ("width", "height"):
            if getattr(self, name) < 1:
                raise ShapeError(f"{name} is {getattr(self, name)}; expected at least one pixel")
        if self.near_plane <= 0:
            raise ShapeError(f"near_plane is {self.near_plane}; expected a positive distance")
        for name, known in (("render_mode", RENDER_MODES), ("rasterize_mode", RASTERIZE_MODES)):
            if getattr(self, name) not in known:
                raise ShapeError(f"{name} is '{getattr(self, name)}'; expected one of {', '.join(known)}")

    @property
    def antialiased(self) -> bool:
        """Whether opacities are scaled by Mip-Splatting's compensation sqrt(det(cov) / det(cov + eps2d))."""
        return self.rasterize_mode == "antialiased"

    @property
    def with_color(self) -> bool:
        """Whether the image holds the colour channels."""
        return self.render_mode.startswith("RGB")

    @property
    def with_depth(self) -> bool:
        """Whether the image's last channel is a depth."""
        return self.render_mode.endswith("D")

    @property
    def expected_depth(self) -> bool:
        """Whether that depth is divided by the accumulated alpha."""
        return self.render_mode.endswith("ED")
