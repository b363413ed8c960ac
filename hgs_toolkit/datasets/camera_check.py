"""Checks of a dataset's camera labels: whether they are cameras, in which axes, and how their poses are distributed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from hgs_toolkit.datasets.critters.raycast import Array
from hgs_toolkit.datasets.eg3d import Labels

ORTHONORMAL_TOLERANCE = 1e-3
"""Largest entry of |R R^T - 1|; labels rounded to four digits still pass."""

MAX_FOCAL = 20.0
"""A normalised focal length beyond this (a field of view below 3 degrees) is one in pixels."""

HISTOGRAM_BARS = 12
"""Number of lines of a printed histogram."""


@dataclass(frozen=True)
class Finding:
    """Something about a set that a person should know; ``error`` means that it cannot be trained on."""

    severity: Literal["error", "warning"]
    text: str


@dataclass(frozen=True)
class Spread:
    """Statistics of one quantity over the set."""

    mean: float
    deviation: float
    minimum: float
    maximum: float

    @classmethod
    def of(cls, values: Array) -> Spread:
        """The spread of ``values`` (N,)."""
        return cls(*(float(f(values)) for f in (np.mean, np.std, np.min, np.max)))

    def __str__(self) -> str:
        return f"{self.mean:.3f} ± {self.deviation:.3f}  ({self.minimum:.3f} … {self.maximum:.3f})"


@dataclass(frozen=True)
class CameraStatistics:
    """Poses of a set; angles in degrees.

    Attributes:
        axes: ``opencv`` if the cameras' +z looks at the subject, ``opengl`` if -z does, ``unclear`` otherwise.
        up: the world axis that is up in the images, such as ``+y``.
        target: the point nearest to all optical axes, world units.
        orthonormality: largest entry of |R R^T - 1|.
        distinct: number of different labels.
        yaw, pitch, radius, focal: spreads.
        yaw_histogram, pitch_histogram: one line of text a bar.
    """

    axes: str
    up: str
    target: tuple[float, float, float]
    orthonormality: float
    distinct: int
    yaw: Spread
    pitch: Spread
    radius: Spread
    focal: Spread
    yaw_histogram: tuple[str, ...]
    pitch_histogram: tuple[str, ...]


def measure_cameras(labels: Labels) -> CameraStatistics:
    """Statistics of labels (N, 25), N >= 1."""
    matrix = labels[:, :16].reshape(-1, 4, 4).astype(np.float64)
    rotation, position = matrix[:, :3, :3], matrix[:, :3, 3]
    radius = np.linalg.norm(position, axis=1)
    # As cameras.yaw_pitch_radius has them; a check needs no torch.
    yaw = np.arctan2(position[:, 0], position[:, 2])
    pitch = np.arcsin((position[:, 1] / np.maximum(radius, 1e-12)).clip(-1, 1))
    target = nearest_point(position, rotation[:, :, 2])
    return CameraStatistics(
        axes=_axes(position, rotation[:, :, 2], target),
        up=_named_axis(-rotation[:, :, 1].mean(axis=0)),
        target=(float(target[0]), float(target[1]), float(target[2])),
        orthonormality=float(np.abs(rotation @ rotation.transpose(0, 2, 1) - np.eye(3)).max()),
        distinct=len(np.unique(labels, axis=0)),
        yaw=Spread.of(np.degrees(yaw)),
        pitch=Spread.of(np.degrees(pitch)),
        radius=Spread.of(radius),
        focal=Spread.of(labels[:, 16].astype(np.float64)),
        yaw_histogram=tuple(histogram(np.degrees(yaw))),
        pitch_histogram=tuple(histogram(np.degrees(pitch))),
    )


def camera_findings(labels: Labels, statistics: CameraStatistics) -> Iterator[Finding]:
    """What is wrong or odd about labels (N, 25)."""
    matrix, intrinsics = labels[:, :16].reshape(-1, 4, 4), labels[:, 16:].reshape(-1, 3, 3)
    if statistics.orthonormality > ORTHONORMAL_TOLERANCE:
        yield Finding(
            "error", f"rotations are not orthonormal (off by {statistics.orthonormality:.2g}); expected rotations"
        )
    elif (np.linalg.det(matrix[:, :3, :3]) < 0).any():
        yield Finding("error", "some camera-to-world matrices mirror (determinant -1); expected rotations")
    if np.abs(matrix[:, 3] - [0, 0, 0, 1]).max() > ORTHONORMAL_TOLERANCE:
        yield Finding("error", "the last matrix row is not 0 0 0 1; expected row-major camera-to-world matrices")
    yield from _intrinsics_findings(intrinsics)
    if statistics.axes == "opengl":
        yield Finding("error", "cameras look away from the subject: OpenGL axes; multiply by diag(1, -1, -1, 1)")
    elif statistics.axes == "unclear":
        yield Finding("warning", "cameras do not look at one point; expected OpenCV axes and a subject at the origin")
    elif statistics.up != "+y":
        yield Finding("warning", f"images have {statistics.up} up; expected +y: turn the world")
    if statistics.axes == "opencv" and np.linalg.norm(statistics.target) > 0.2 * statistics.radius.mean:
        where = ", ".join(f"{value:.2f}" for value in statistics.target)
        yield Finding("warning", f"cameras look at ({where}); expected the origin: move the world")
    if statistics.distinct == 1 and len(labels) > 1:
        yield Finding("warning", "all labels are equal; expected different views, which carry the shape")


def histogram(values: Array, bars: int = HISTOGRAM_BARS, width: int = 30) -> Iterator[str]:
    """Text bars of ``values`` in degrees."""
    low, high = float(np.floor(values.min())), float(np.ceil(values.max()))
    counts, edges = np.histogram(values, bars, (low, max(high, low + 1)))
    for count, left, right in zip(counts, edges, edges[1:], strict=False):
        bar = "█" * round(width * count / counts.max())
        yield f"{left:6.0f}° … {right:4.0f}°  {count:7d}  {bar}"


def _intrinsics_findings(intrinsics: Labels) -> Iterator[Finding]:
    focal, center = intrinsics[:, [0, 1], [0, 1]], intrinsics[:, :2, 2]
    if (focal <= 0).any():
        yield Finding("error", "some focal lengths are not positive")
    elif (focal > MAX_FOCAL).any():
        yield Finding("error", f"focal lengths up to {focal.max():.0f} are in pixels; divide by the image size")
    elif (center < 0).any() or (center > 1).any():
        yield Finding("error", "some image centres lie outside [0, 1]; divide by the image size")
    elif np.abs(center - 0.5).max() > 0.05:
        yield Finding("warning", "some image centres are off the middle by more than 5 %")
    if np.abs(intrinsics[:, [0, 1, 2, 2], [1, 0, 0, 1]]).max() > 1e-3 or np.abs(intrinsics[:, 2, 2] - 1).max() > 1e-3:
        yield Finding("error", "intrinsics are not of the form fx 0 cx, 0 fy cy, 0 0 1")


def nearest_point(position: Array, direction: Array) -> Array:
    """The point (3,) with the least squared distance to the lines; the one nearest to the origin if not unique."""
    across = np.eye(3) - direction[:, :, None] * direction[:, None, :]
    point: Array = np.linalg.pinv(across.sum(axis=0), rcond=1e-6) @ np.einsum("nij,nj->i", across, position)
    return point


def _axes(position: Array, forward: Array, target: Array) -> str:
    towards = target - position
    towards /= np.maximum(np.linalg.norm(towards, axis=1, keepdims=True), 1e-12)
    cosine = float((forward * towards).sum(axis=1).mean())
    return "opencv" if cosine > 0.7 else "opengl" if cosine < -0.7 else "unclear"


def _named_axis(direction: Array) -> str:
    axis = int(np.abs(direction).argmax())
    return ("+" if direction[axis] >= 0 else "-") + "xyz"[axis]
