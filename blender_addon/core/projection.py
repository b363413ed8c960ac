# SPDX-License-Identifier: GPL-3.0-or-later
"""Gaussians as a camera sees them: 3D Gaussian Splatting's projection, with the toolkit's constants.

Nothing here knows Blender. Cameras have OpenCV's axes (x right, y down, z forward), images their origin in the upper
left corner and pixel centres at +0.5.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from .harmonics import C0, degree_of, evaluate
from .rotations import quaternions_to_matrices
from .splats import ActivatedSplats, Array

MIN_ALPHA = 1 / 255
"""Alpha below which 3D Gaussian Splatting draws nothing."""

BLUR = 0.3
"""Pixels squared that are added to the variances of projected Gaussians."""

MARGIN = 1.3
"""Largest distance from the middle, half images, at which the affine map is taken; further out it explodes."""


@dataclass(frozen=True)
class Lens:
    """How a camera maps x, y, z to pixels; in an orthographic one, ``fx x + cx`` in place of ``fx x / z + cx``."""

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    near: float = 0.01
    far: float = 1e10
    orthographic: bool = False


class Solids(NamedTuple):
    """N Gaussians in the camera's coordinates."""

    points: Array  # (N, 3) centres
    axes: Array  # (N, 3, 3) columns: the Gaussian's axes, each as long as its standard deviation
    colors: Array  # (N, 3) display colours as this camera sees them
    opacities: Array  # (N,)


class Projected(NamedTuple):
    """M Gaussians that may be visible, nearest first."""

    centres: Array  # (M, 2) pixels
    conics: Array  # (M, 3) inverse covariance: xx, xy, yy
    extents: Array  # (M, 2) half sides of the box in which alpha can reach 1/255, pixels
    depths: Array  # (M,)
    colors: Array  # (M, 3)
    opacities: Array  # (M,)
    rows: Array  # (M,) which of the Gaussians given it is


def in_camera(splats: ActivatedSplats, to_camera: Array, *, parallel: bool = False) -> Solids:
    """Move Gaussians by the (4, 4) matrix from their coordinates to the camera's, which may scale, mirror and shear.

    Harmonics are evaluated in the Gaussians' own coordinates, so that colours turn with the object. ``parallel``: all
    are seen in the camera's direction, as an orthographic camera sees them.
    """
    linear, shift = (part.astype(np.float64) for part in (to_camera[:3, :3], to_camera[:3, 3]))
    points = splats.position @ linear.T + shift
    axes = linear @ (rotation_matrices(splats.rotation) * splats.scale[:, None, :])
    return Solids(points, axes, _colors(splats, linear, shift, parallel=parallel), splats.base[:, 3].astype(np.float64))


def rotation_matrices(quaternions: Array) -> Array:
    """(N, 3, 3) of quaternions wxyz (N, 4) of any length but 0."""
    length = np.linalg.norm(quaternions, axis=1, keepdims=True)
    return quaternions_to_matrices(quaternions.astype(np.float64) / length)


def joined(parts: list[Solids]) -> Solids:
    """Several objects as one, to be sorted together."""
    return Solids(*(np.concatenate(values) for values in zip(*parts, strict=True)))


def project(solids: Solids, lens: Lens) -> Projected:
    """Local affine approximation of the projection (EWA splatting, Zwicker et al. 2001, eq. 29); what is not in the
    image, not between the clipping planes or too transparent is left out."""
    depths = solids.points[:, 2]
    kept = (depths >= lens.near) & (depths <= lens.far) & (solids.opacities >= MIN_ALPHA)
    order = np.flatnonzero(kept)
    # Equal 32-bit depths keep the order of the file, as in the toolkit.
    order = order[np.argsort(depths[order].astype(np.float32), kind="stable")]
    points, axes, colors, opacities = (values[order] for values in solids)

    x, y, z = points.T
    divisor = np.ones_like(z) if lens.orthographic else z
    centres = np.stack([lens.fx * x / divisor + lens.cx, lens.fy * y / divisor + lens.cy], -1)
    across = axes[:, 0] - _slope(x, z, lens.fx, lens.cx, lens.width, lens) * axes[:, 2]  # (N, 3)
    down = axes[:, 1] - _slope(y, z, lens.fy, lens.cy, lens.height, lens) * axes[:, 2]
    across *= (lens.fx / divisor)[:, None]
    down *= (lens.fy / divisor)[:, None]
    xx, xy, yy = _dot(across, across) + BLUR, _dot(across, down), _dot(down, down) + BLUR
    determinant = xx * yy - xy * xy

    reach = np.sqrt(2 * np.log(np.maximum(opacities / MIN_ALPHA, 1.0)))
    extents = reach[:, None] * np.sqrt(np.stack([xx, yy], -1))
    with np.errstate(divide="ignore", invalid="ignore"):
        conics = np.stack([yy, -xy, xx], -1) / determinant[:, None]
    valid = determinant > 0
    projected = Projected(*(values[valid] for values in (centres, conics, extents, z, colors, opacities, order)))
    return cropped(projected, 0, 0, lens.width, lens.height)


def cropped(splats: Projected, left: int, top: int, width: int, height: int) -> Projected:
    """Those that reach into a rectangle of the image, whose upper left corner becomes the origin."""
    centres = splats.centres - (left, top)
    seen = ((centres + splats.extents > 0) & (centres - splats.extents < (width, height))).all(1)
    return Projected(*(values[seen] for values in splats._replace(centres=centres)))


def _colors(splats: ActivatedSplats, linear: Array, shift: Array, *, parallel: bool) -> Array:
    """max(0, 1/2 + sum of harmonics), in the direction from the camera to the Gaussian."""
    total = 0.5 + C0 * splats.base[:, :3].astype(np.float64)
    degree = degree_of(splats.harmonics.shape[1])
    if degree:
        back = np.linalg.inv(linear)
        directions = back[:, 2][None] if parallel else splats.position + back @ shift  # minus the camera's position
        directions = directions / np.maximum(np.linalg.norm(directions, axis=1, keepdims=True), 1e-12)
        basis = np.broadcast_to(evaluate(directions, degree), (len(splats), splats.harmonics.shape[1]))
        total += np.einsum("nk,nkc->nc", basis, splats.harmonics)
    colors: Array = np.maximum(total, 0.0)
    return colors


def _slope(value: Array, depth: Array, focal: float, centre: float, size: int, lens: Lens) -> Any:
    """x / z (or y / z) as a column, kept near the image; 0 where rays are parallel."""
    if lens.orthographic:
        return 0.0
    margin = (MARGIN - 1) * 0.5 * size / focal
    return np.clip(value / depth, -centre / focal - margin, (size - centre) / focal + margin)[:, None]


def _dot(a: Array, b: Array) -> Array:
    products: Array = np.einsum("nk,nk->n", a, b)
    return products
