"""Analytic ray casting of ellipsoids.

With the unit sphere's coordinates q = M (p - c) of an ellipsoid, a ray p = o + t d hits it where
|M d|^2 t^2 + 2 (M (o - c)) . (M d) t + |M (o - c)|^2 - 1 = 0. The ray through the image point (x, y) of a pinhole
camera has d = x * right + y * down + forward, linear in x and y, so every coefficient and the discriminant are
polynomials of degree two in x and y: a pixel needs no matrix product, and the ellipsoid's projected box is known.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Values = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Ellipsoids:
    """K solid ellipsoids.

    Attributes:
        centers: (K, 3) world.
        rotations: (K, 3, 3), columns are the axes in the world.
        radii: (K, 3) half axes, world units.
    """

    centers: Array
    rotations: Array
    radii: Array

    def __len__(self) -> int:
        return len(self.centers)

    @cached_property
    def to_unit(self) -> Array:
        """(K, 3, 3) matrices M with |M (p - center)| = 1 on the surface."""
        matrices: Array = self.rotations.transpose(0, 2, 1) / self.radii[:, :, None]
        return matrices

    def bounds(self) -> tuple[Array, Array]:
        """Lowest and highest corner (3,) of the axis-parallel box around all of them."""
        reach = np.sqrt(((self.rotations * self.radii[:, None, :]) ** 2).sum(axis=2))  # (K, 3)
        return (self.centers - reach).min(axis=0), (self.centers + reach).max(axis=0)

    def moved(self, scale: float, shift: Array) -> Ellipsoids:
        """The ellipsoids of the points scale * p + shift."""
        return Ellipsoids(self.centers * scale + shift, self.rotations, self.radii * scale)


@dataclass(frozen=True)
class Hits:
    """The n image points whose ray meets an ellipsoid, at the nearest meeting.

    Attributes:
        pixel: (n,) flat index into the (H, W) image points, ascending.
        row: (n,) index of the ellipsoid.
        depth: (n,) camera z, world units.
        points: (n, 3) world.
        local: (n, 3) on the ellipsoid's unit sphere, along its axes.
        normals: (n, 3) outward unit normals, world.
    """

    pixel: npt.NDArray[np.intp]
    row: npt.NDArray[np.intp]
    depth: Values
    points: Values
    local: Values
    normals: Values


def cast(solids: Ellipsoids, cam_to_world: Array, intrinsics: Array, size: int) -> Hits:
    """Visible points of ``solids`` at the centres of ``size`` x ``size`` pixels.

    Args:
        solids: ellipsoids, all of them in front of the camera.
        cam_to_world: (4, 4), OpenCV axes.
        intrinsics: (3, 3) divided by the image size.
        size: pixels per side.
    """
    ticks = (np.arange(size) + 0.5) / size
    xs = (ticks - intrinsics[0, 2]) / intrinsics[0, 0]
    ys = (ticks - intrinsics[1, 2]) / intrinsics[1, 1]
    axes, offset = _unit_rays(solids, cam_to_world)
    depth = np.full((size, size), np.inf)
    row = np.full((size, size), -1, dtype=np.intp)
    boxes = _boxes(_discriminants(axes, offset))
    for k in range(len(solids)):
        left, right = np.searchsorted(xs, boxes[k, :2])
        top, bottom = np.searchsorted(ys, boxes[k, 2:])
        if left < right and top < bottom:
            window = np.s_[top:bottom, left:right]
            near = _nearest(axes[k], offset[k], xs[None, left:right], ys[top:bottom, None])
            closer = near < depth[window]
            depth[window][closer] = near[closer]
            row[window][closer] = k
    return _hits(solids, cam_to_world, xs, ys, depth, row)


def projected_boxes(solids: Ellipsoids, cam_to_world: Array) -> Array:
    """Boxes (..., K, 4) of x_min, x_max, y_min, y_max around the projections, in camera coordinates divided by z.

    Args:
        solids: K ellipsoids, all of them in front of the cameras.
        cam_to_world: (..., 4, 4), OpenCV axes.
    """
    return _boxes(_discriminants(*_unit_rays(solids, cam_to_world)))


def _unit_rays(solids: Ellipsoids, cam_to_world: Array) -> tuple[Array, Array]:
    """Camera axes (..., K, 3, 3; columns right, down, forward) and origins (..., K, 3) in unit-sphere coordinates."""
    axes = solids.to_unit @ cam_to_world[..., None, :3, :3]
    from_center = cam_to_world[..., None, :3, 3] - solids.centers
    return axes, (solids.to_unit @ from_center[..., None])[..., 0]


def _discriminants(axes: Array, offset: Array) -> Array:
    """Symmetric forms D (..., K, 3, 3): (x, y, 1) D (x, y, 1)^T is a quarter of the discriminant, >= 0 inside."""
    linear = offset[..., None, :] @ axes
    excess = (offset**2).sum(axis=-1)[..., None, None] - 1
    forms: Array = linear.swapaxes(-1, -2) * linear - excess * (axes.swapaxes(-1, -2) @ axes)
    return forms


def _boxes(forms: Array) -> Array:
    """Boxes (..., 4) of x_min, x_max, y_min, y_max around conics; the inverse form gives the tangents of each axis."""
    dual = np.linalg.inv(forms)
    middle = dual[..., :2, 2] / dual[..., 2:, 2]
    squares = np.stack([dual[..., 0, 0], dual[..., 1, 1]], axis=-1) / dual[..., 2:, 2]
    half = np.sqrt(np.maximum(middle**2 - squares, 0))
    boxes: Array = np.stack([middle - half, middle + half], axis=-1).reshape(*forms.shape[:-2], 4)
    return boxes


def _nearest(axes: Array, offset: Array, x: Array, y: Array) -> Array:
    """Nearest camera z along the rays (h, w) of one ellipsoid, infinity where they miss."""
    square, linear = axes.T @ axes, offset @ axes
    excess = offset @ offset - 1
    a = (square[0, 0] * x + 2 * square[0, 2]) * x + (square[1, 1] * y + 2 * square[1, 2]) * y + square[2, 2]
    a += 2 * square[0, 1] * x * y
    b = linear[0] * x + linear[1] * y + linear[2]
    quarter = b * b - excess * a
    hit = quarter > 0
    return np.where(hit, -(b + np.sqrt(np.where(hit, quarter, 0))) / a, np.inf)


def _hits(
    solids: Ellipsoids, cam_to_world: Array, xs: Array, ys: Array, depth: Array, row: npt.NDArray[np.intp]
) -> Hits:
    pixel = np.flatnonzero(row.ravel() >= 0)
    which, z = row.ravel()[pixel], depth.ravel()[pixel]
    camera = np.stack([xs[pixel % len(xs)] * z, ys[pixel // len(xs)] * z, z], axis=1)
    points = (camera @ cam_to_world[:3, :3].T + cam_to_world[:3, 3]).astype(np.float32)
    to_unit = solids.to_unit.astype(np.float32)[which]
    local = np.einsum("nij,nj->ni", to_unit, points - solids.centers.astype(np.float32)[which])
    normals = np.einsum("nij,ni->nj", to_unit, local)
    normals /= np.sqrt(np.einsum("ni,ni->n", normals, normals))[:, None]
    return Hits(pixel, which, z.astype(np.float32), points, local, normals)
