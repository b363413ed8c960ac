# SPDX-License-Identifier: GPL-3.0-or-later
"""The Gaussians that a brush touches: those under a circle on the screen, the nearest or all of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .splats import Array


@dataclass(frozen=True)
class BrushView:
    """What a 3D view shows."""

    matrix: Array  # (4, 4) from the Gaussians' coordinates to the view's: x right, y up, z backward
    projection: Array  # (4, 4) OpenGL's
    width: int  # pixels
    height: int


def touched(position: Array, view: BrushView, place: tuple[float, float], radius: float, *, through: bool) -> Array:
    """Indices of the positions (N, 3) whose centres are below a circle.

    Args:
        position: (N, 3) centres, in the coordinates that ``view`` starts from.
        place: the circle's middle, pixels from the lower left corner.
        radius: of the circle, pixels.
        through: all of them; otherwise those alone that lie no deeper behind the nearest than the circle is wide there.
    """
    seen = position @ view.matrix[:3, :3].T + view.matrix[:3, 3]  # (N, 3)
    p = view.projection
    clip = seen @ p[:3, :3].T + p[:3, 3]
    w = seen @ p[3, :3] + p[3, 3]
    with np.errstate(divide="ignore", invalid="ignore"):
        x = (clip[:, 0] / w + 1) * 0.5 * view.width - place[0]
        y = (clip[:, 1] / w + 1) * 0.5 * view.height - place[1]
        below = np.flatnonzero((w > 0) & (x * x + y * y <= radius * radius))
    if through or not len(below):
        return below
    depth = -seen[below, 2]
    nearest = below[np.argmin(depth)]
    diameter = 2 * radius * w[nearest] / (0.5 * view.height * p[1, 1])  # in the view's units, at the nearest
    near: Array = below[depth <= depth.min() + diameter]
    return near
