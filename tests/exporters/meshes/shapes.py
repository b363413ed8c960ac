"""Solids with known surfaces, and Gaussians that cover them as a trained splat would."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
import trimesh
from numpy.typing import NDArray
from skimage.measure import marching_cubes

from hgs_toolkit.encoding import opacities_to_logits, rgb_to_dc
from hgs_toolkit.gaussians import GaussianHierarchy

Points = NDArray[Any]

TRUTH_GRID = 192
"""Points per side of the grid the true mesh is cut from; its vertices are then moved onto the surface."""


@dataclass(frozen=True)
class Solid:
    """A solid within [-1, 1]^3 by an implicit function: negative inside, about a distance near the surface.

    Attributes:
        name: for test ids.
        function: (M, 3) points to (M,) values.
        euler: Euler number of its surface, 2 - 2 * handles.
    """

    name: str
    function: Callable[[Points], Points]
    euler: int = 2

    def distance(self, points: Points) -> Points:
        """Signed distances (M,) of points near the surface, to first order."""
        return np.asarray(self.function(points) / np.maximum(np.linalg.norm(self.gradient(points), axis=-1), 1e-9))

    def gradient(self, points: Points) -> Points:
        """(M, 3), by central differences."""
        step = 1e-4 * np.eye(3)
        return np.stack([(self.function(points + s) - self.function(points - s)) / 2e-4 for s in step], axis=-1)

    def normals(self, points: Points) -> Points:
        gradient = self.gradient(points)
        return np.asarray(gradient / np.maximum(np.linalg.norm(gradient, axis=-1, keepdims=True), 1e-9))

    @cached_property
    def truth(self) -> trimesh.Trimesh:
        """The surface as a fine mesh."""
        axis = np.linspace(-1.1, 1.1, TRUTH_GRID)
        values = self.function(np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3))
        vertices, faces, _, _ = marching_cubes(-values.reshape(3 * (TRUTH_GRID,)), 0.0, gradient_direction="ascent")
        vertices = self.project(vertices * (axis[1] - axis[0]) + axis[0])
        return trimesh.Trimesh(vertices, faces, process=False)

    def project(self, points: Points) -> Points:
        """Points moved onto the surface by Newton steps along the gradient."""
        for _ in range(4):
            points = points - self.distance(points)[:, None] * self.normals(points)
        return points

    def sample(self, count: int, rng: np.random.Generator) -> tuple[Points, Points]:
        """Points (count, 3) on the surface, spread evenly, and their outward normals."""
        corners = self.truth.triangles
        face = rng.choice(len(corners), count, p=self.truth.area_faces / self.truth.area)
        u, v = rng.random((2, count, 1))
        flip = u + v > 1
        u, v = np.where(flip, 1 - u, u), np.where(flip, 1 - v, v)
        a, b, c = corners[face].transpose(1, 0, 2)
        points = self.project(a + u * (b - a) + v * (c - a))
        return points, self.normals(points)


def paint(points: Points) -> Points:
    """A smooth colouring (M, 3) of space, RGB in 0.1..0.9."""
    waves = points @ np.array([[3.0, 0.5, 1.0], [0.0, 4.0, 2.0], [2.0, 1.0, 3.0]]) + [0.0, 1.0, 2.0]
    return np.asarray(0.5 + 0.4 * np.sin(waves))


def cover(
    solid: Solid, count: int, *, jitter: float = 0.0, tilt: float = 0.0, gaps: float = 0.0, flat: float = 0.15,
    seed: int = 0,
) -> GaussianHierarchy:  # fmt: skip
    """Gaussians on a solid's surface, each a disc about as wide as its share of the area.

    Args:
        jitter: standard deviation of errors of position along the normal, in widths of a disc.
        tilt: standard deviation of errors of the normals, radians.
        gaps: share of the surface left bare, in patches.
        flat: thickness over width; 1 makes spheres.
    """
    rng = np.random.default_rng(seed)
    points, normals = solid.sample(count, rng)
    width = 0.8 * np.sqrt(solid.truth.area / count)
    if gaps:
        keep = ~_patches(points, gaps, rng)
        points, normals = points[keep], normals[keep]
    colors = paint(points)
    points = points + jitter * width * rng.standard_normal((len(points), 1)) * normals
    leaning = normals + tilt * rng.standard_normal(normals.shape)
    scales = width * np.array([1, 1, flat]) * np.exp(0.2 * rng.standard_normal((len(points), 3)))
    return gaussians(points, leaning, scales, colors, rng.uniform(0.6, 1.0, len(points)), rng)


def gaussians(
    points: Points, normals: Points, scales: Points, colors: Points, opacities: Points, rng: np.random.Generator
) -> GaussianHierarchy:
    """A scene of Gaussians whose third axis is the normal or its opposite, turned about it at random."""
    normals = normals / np.linalg.norm(normals, axis=1, keepdims=True) * rng.choice([-1.0, 1.0], (len(points), 1))
    helper = rng.standard_normal(normals.shape)
    first = np.cross(normals, helper)
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    rotations = np.stack([first, np.cross(normals, first), normals], axis=-1)
    tensors = {
        "means": points, "log_scales": np.log(scales), "quats": _quaternions(rotations),
        "sh": rgb_to_dc(torch.from_numpy(colors)).numpy()[:, None],
        "opacity_logits": opacities_to_logits(torch.from_numpy(opacities)).numpy(),
    }  # fmt: skip
    return GaussianHierarchy(**{name: torch.from_numpy(v).float()[None] for name, v in tensors.items()})  # type: ignore[arg-type]


def _quaternions(rotations: Points) -> Points:
    """wxyz of rotation matrices (N, 3, 3)."""
    from scipy.spatial.transform import Rotation

    return np.roll(Rotation.from_matrix(rotations).as_quat(), 1, axis=1)


def _patches(points: Points, share: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Which points lie in small round patches that together hold about ``share`` of them."""
    centres = points[rng.choice(len(points), 60, replace=False)]
    nearest = np.min(np.linalg.norm(points[:, None] - centres[None], axis=-1), axis=1)
    return np.asarray(nearest < np.quantile(nearest, share))


def _length(points: Points) -> Points:
    return np.asarray(np.linalg.norm(points, axis=-1))


def _box(points: Points, half: tuple[float, float, float]) -> Points:
    q = np.abs(points) - np.array(half)
    return np.asarray(_length(np.maximum(q, 0)) + np.minimum(q.max(axis=-1), 0))


def _bumpy(p: Points) -> Points:
    radius = np.maximum(_length(p), 1e-9)
    x, y, z = (p / radius[:, None]).T
    return np.asarray(radius - 0.75 - 0.08 * np.sin(5 * x) * np.sin(5 * y + 1) * np.sin(5 * z + 2))


def _torus(p: Points) -> Points:
    return np.hypot(np.hypot(p[:, 0], p[:, 2]) - 0.6, p[:, 1]) - 0.28


def _cone(p: Points) -> Points:
    """A cone of height 1.4 and base radius 0.7, standing on y = -0.7: the exact distance."""
    q = np.stack([np.hypot(p[:, 0], p[:, 2]), p[:, 1] + 0.7], -1)
    apex, rim = np.array([0.0, 1.4]), np.array([0.7, 0.0])
    along = np.clip(((q - apex) @ (rim - apex)) / ((rim - apex) @ (rim - apex)), 0, 1)
    side = _length(q - apex - along[:, None] * (rim - apex))
    base = np.hypot(np.maximum(q[:, 0] - 0.7, 0), q[:, 1])
    inside = (q[:, 1] > 0) & (q[:, 0] < 0.7 * (1 - q[:, 1] / 1.4))
    return np.asarray(np.where(inside, -1, 1) * np.minimum(side, base))


def _cross(p: Points) -> Points:
    bars = [(0.85, 0.22, 0.22), (0.22, 0.7, 0.22), (0.22, 0.22, 0.8)]
    return np.asarray(np.min([_box(p, bar) for bar in bars], axis=0))


def _mug(p: Points) -> Points:
    """An open cup with a wall of 0.1 and a handle of radius 0.055."""
    radius = np.hypot(p[:, 0] + 0.2, p[:, 2])
    outer = np.maximum(radius - 0.55, np.abs(p[:, 1]) - 0.6)
    inner = np.maximum(radius - 0.45, -0.48 - p[:, 1])
    handle = np.hypot(np.hypot(p[:, 0] - 0.35, p[:, 1]) - 0.33, p[:, 2]) - 0.055
    return np.maximum(np.minimum(outer, handle), -inner)


def _blob(p: Points) -> Points:
    """Four balls of different sizes, melted together."""
    balls = [((0, 0, 0), 0.5), ((0.5, 0.3, 0.1), 0.3), ((-0.3, 0.55, 0.2), 0.22), ((-0.1, -0.5, -0.4), 0.28)]
    return np.asarray(-np.log(np.sum([np.exp(-12 * (_length(p - np.array(c)) - r)) for c, r in balls], axis=0)) / 12)


BUMPY = Solid("bumpy", _bumpy)
TORUS = Solid("torus", _torus, euler=0)
BOX = Solid("box", lambda p: _box(p, (0.75, 0.5, 0.4)))
PLATE = Solid("plate", lambda p: _box(p, (0.8, 0.04, 0.6)))
CONE = Solid("cone", _cone)
CROSS = Solid("cross", _cross)
MUG = Solid("mug", _mug, euler=0)
BLOB = Solid("blob", _blob)


def _frame(p: Points) -> Points:
    """A picture frame: bars 0.16 wide and 0.12 thick around a hole of 1.28 x 0.88."""
    return np.maximum(_box(p, (0.8, 0.6, 0.06)), -_box(p, (0.64, 0.44, 1.0)))


def _washer(p: Points) -> Points:
    """A flat ring in the plane y = 0 with walls all around its hole: radii 0.6 and 0.8, 0.3 high."""
    radius = np.hypot(p[:, 0], p[:, 2])
    return np.asarray(np.max([radius - 0.8, 0.6 - radius, np.abs(p[:, 1]) - 0.15], axis=0))


def _chair(p: Points) -> Points:
    """A chair with four legs, a back and two arms on posts; each arm closes a ring with seat and back."""
    parts: list[tuple[tuple[float, ...], tuple[float, float, float]]]
    parts = [((0, -0.1, 0), (0.5, 0.06, 0.5)), ((0, 0.4, -0.44), (0.5, 0.55, 0.06))]
    for side in (-0.44, 0.44):
        parts += [((side, -0.55, z), (0.06, 0.42, 0.06)) for z in (-0.44, 0.44)]
        parts += [((side, 0.08, 0.38), (0.06, 0.2, 0.06)), ((side, 0.3, 0), (0.06, 0.06, 0.45))]
    return np.asarray(np.min([_box(p - np.array(centre), half) for centre, half in parts], axis=0))


FRAME = Solid("frame", _frame, euler=0)
WASHER = Solid("washer", _washer, euler=0)
CHAIR = Solid("chair", _chair, euler=-2)
