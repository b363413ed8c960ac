"""Drawing Gaussians: one interface, three backends."""

from hgs_toolkit.rendering.dispatch import (
    BACKENDS,
    BackendChoice,
    choose_backend,
    needs_compiling,
    rasterize,
    using_backend,
    warm_up,
)
from hgs_toolkit.rendering.ellipsoids import render_ellipsoids
from hgs_toolkit.rendering.scene import (
    NOTHING_DRAWN,
    facing_normals,
    level_membership,
    render,
    render_depth,
    render_features,
    render_level_map,
    render_normals,
    shortest_axes,
    strongest_levels,
)
from hgs_toolkit.rendering.settings import RASTERIZE_MODES, RENDER_MODES

__all__ = [
    "BACKENDS",
    "NOTHING_DRAWN",
    "RASTERIZE_MODES",
    "RENDER_MODES",
    "BackendChoice",
    "choose_backend",
    "facing_normals",
    "level_membership",
    "needs_compiling",
    "rasterize",
    "render",
    "render_depth",
    "render_ellipsoids",
    "render_features",
    "render_level_map",
    "render_normals",
    "shortest_axes",
    "strongest_levels",
    "using_backend",
    "warm_up",
]
