"""Turning, centring and scaling the world of measured cameras to the one that training expects.

That world is EG3D's: y up, +z towards the frontal camera, the subject at the origin, cameras at about 2.7 from it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hgs_toolkit.conventions import DEFAULT_RADIUS
from hgs_toolkit.datasets.camera_check import nearest_point
from hgs_toolkit.datasets.sources.photographs import Matrix
from hgs_toolkit.errors import DataError

AXES = {sign + name: np.eye(3)[i] * (-1 if sign else 1) for i, name in enumerate("xyz") for sign in ("", "-")}
"""Unit vectors by name."""

UPS = ("auto", "cameras", "keep", *AXES)
FRONTS = ("keep", "mean")

SNAP_COSINE = np.cos(np.radians(20))
"""A mean up direction this near to an axis of the file means that axis."""

PARALLEL = 1e-4
"""Optical axes whose mean squared sine from one direction is below this (half a degree) meet nowhere."""

LEAST_FRONT = 0.01
"""Cameras whose mean is nearer to the vertical than this share of their distance have no front."""

NEAR = 0.2
"""Distance of the origin from a single camera's axis, in units of that along it, within which it is the subject's."""

FAR = 3.0
"""Factor by which the cameras' distance may differ from the usual one before it is said."""

FLOAT_STEP = 1e-5
"""Share of the cameras' distance from the subject that rounding to float32 may move them."""

UNCHANGED = 1e-4
"""A placement that moves nothing by more than this is left out, so that labels stay as they are, bit for bit."""


@dataclass(frozen=True)
class PlacementOptions:
    """How a scene is to be placed.

    Attributes:
        up: the axis of the file that points up; ``auto``: the one nearest to the images' mean up direction if it is
            within 20 degrees, else that direction; ``cameras``: that direction; ``keep``: y.
        front: ``mean`` turns the mean camera to +z; ``keep`` leaves the turn around the vertical.
        center: the point of the file that becomes the origin; ``look-at``: the one nearest to all optical axes;
            of a single camera the origin, if it looks there; ``keep``: the file's origin.
        radius: median distance of the cameras after scaling; None keeps the scale.
    """

    up: str = "auto"
    front: str = "keep"
    center: str | tuple[float, float, float] = "look-at"
    radius: float | None = DEFAULT_RADIUS

    def __post_init__(self) -> None:
        if self.up not in UPS or self.front not in FRONTS:
            raise DataError(f"up '{self.up}', front '{self.front}'; expected {', '.join(UPS)} and {', '.join(FRONTS)}")
        if isinstance(self.center, str) and self.center not in ("look-at", "keep"):
            raise DataError(f"the centre is '{self.center}'; expected look-at, keep or three numbers")
        if not isinstance(self.center, str) and not np.isfinite(self.center).all():
            raise DataError(f"the centre is {self.center}; expected look-at, keep or three finite numbers")
        if self.radius is not None and not 0 < self.radius < 1e6:
            raise DataError(f"the radius is {self.radius:g}; expected a distance above 0")


KEEP_WORLD = PlacementOptions("keep", "keep", "keep", None)


@dataclass(frozen=True, eq=False)
class Placement:
    """A similarity: x becomes scale * rotation @ (x - center)."""

    rotation: Matrix
    center: Matrix
    scale: float

    @classmethod
    def identity(cls) -> Placement:
        """The one that changes nothing."""
        return cls(np.eye(3), np.zeros(3), 1.0)

    def apply(self, cam_to_world: Matrix) -> Matrix:
        """Camera-to-world matrices (..., 4, 4) in the new world; rotations stay rotations."""
        moved = cam_to_world.copy()
        moved[..., :3, :3] = self.rotation @ cam_to_world[..., :3, :3]
        moved[..., :3, 3] = self.scale * (cam_to_world[..., :3, 3] - self.center) @ self.rotation.T
        return moved

    @property
    def is_identity(self) -> bool:
        """Whether nothing moves by more than rounding."""
        change = (np.abs(self.rotation - np.eye(3)).max(), np.abs(self.center).max(), abs(self.scale - 1))
        return max(map(float, change)) < UNCHANGED

    def __str__(self) -> str:
        if self.is_identity:
            return "left as it is"
        x, y, z = self.center
        up = ", ".join(f"{value:.3g}" for value in self.rotation[1] + 0.0)
        return f"({x:.4g}, {y:.4g}, {z:.4g}) became the origin, ({up}) up, scaled by {self.scale:.4g}"


def place_scene(cam_to_world: Matrix, world: PlacementOptions, name: str) -> Placement:
    """The placement of a scene with cameras (n, 4, 4), OpenCV axes.

    Raises:
        DataError: naming the scene ``name``, if its cameras do not say where the subject is.
    """
    position, forward, up = cam_to_world[:, :3, 3], cam_to_world[:, :3, 2], -cam_to_world[:, :3, 1].mean(axis=0)
    center = _center(position, forward, world, name)
    distance = float(np.median(np.linalg.norm(position - center, axis=1)))
    if world.radius is not None and distance < 1e-9:
        raise DataError(f"the cameras of {name} stand where the subject should be; name its place: --center x,y,z")
    rotation = upright(_up(up, world.up, name))
    if world.front == "mean":
        rotation = _facing(rotation @ (position - center).mean(axis=0) / max(distance, 1e-9), name) @ rotation
    placement = Placement(rotation, center, world.radius / distance if world.radius is not None else 1.0)
    return Placement.identity() if placement.is_identity else placement


def world_misfits(cam_to_world: Matrix, name: str) -> list[str]:
    """What keeps placed cameras (n, 4, 4) from being trained on well, each as a sentence; empty if nothing does."""
    position, forward = cam_to_world[:, :3, 3], cam_to_world[:, :3, 2]
    distances = np.linalg.norm(position, axis=1)
    distance, found = float(np.median(distances)), []
    if not DEFAULT_RADIUS / FAR < distance < DEFAULT_RADIUS * FAR:
        found.append(
            f"the cameras of {name} stand {distance:.4g} from the origin; training expects about {DEFAULT_RADIUS:g}: "
            "leave --keep-world out, or scale with --radius"
        )
    across = np.eye(3) - forward[:, :, None] * forward[:, None, :]
    if np.linalg.eigvalsh(across.mean(axis=0))[0] >= PARALLEL:
        target = nearest_point(position, forward)
        off = float(np.linalg.norm(target))
        reach = float(np.median(np.linalg.norm(position - target, axis=1)))
        if off > 0.2 * reach:
            found.append(
                f"the cameras of {name} look at a point {off:.4g} from the origin, where training expects the subject: "
                "leave --keep-world out, or add --center look-at"
            )
        step = float(np.spacing(np.float32(distances.max())))
        if step > FLOAT_STEP * reach:
            found.append(
                f"the labels of {name} are float32, whose step is {step:.2g} at its distance from the origin, "
                f"{reach:.4g} from the subject: positions lose digits"
            )
    return found


def upright(up: Matrix) -> Matrix:
    """The least rotation (3, 3) that takes the unit vector ``up`` to +y; from -y it is a half turn about x."""
    x, y, z = up
    if y < -1 + 1e-12:
        return np.diag([1.0, -1.0, -1.0])
    cross = np.array([[0, -x, 0], [x, 0, z], [0, -z, 0]])  # [up x y] as a matrix
    rotation: Matrix = np.eye(3) + cross + cross @ cross / (1 + y)
    return rotation


def _center(position: Matrix, forward: Matrix, world: PlacementOptions, name: str) -> Matrix:
    if world.center == "keep":
        return np.zeros(3)
    if not isinstance(world.center, str):
        return np.array(world.center, dtype=np.float64)
    across = np.eye(3) - forward[:, :, None] * forward[:, None, :]
    if np.linalg.eigvalsh(across.mean(axis=0))[0] < PARALLEL:
        if len(position) == 1 and _looks_at_origin(position[0], forward[0]):
            return np.zeros(3)
        raise DataError(
            f"the cameras of {name} look in parallel, at no point in particular; name the subject's place "
            "(--center x,y,z), or leave the world as it is: --keep-world"
        )
    point = nearest_point(position, forward)
    towards = point - position
    if ((towards * forward).sum(axis=1) < 0).mean() > 0.5:
        raise DataError(
            f"most cameras of {name} look away from the point where their axes meet; their axes are not those of its "
            "format, or they look outwards: --center x,y,z names the subject's place"
        )
    return point


def _looks_at_origin(position: Matrix, forward: Matrix) -> bool:
    """Whether the origin lies in front of a camera (3,), and no further from its axis than NEAR allows."""
    ahead = float(-position @ forward)
    return ahead > 0 and float(np.linalg.norm(position + ahead * forward)) < NEAR * ahead


def _up(mean: Matrix, choice: str, name: str) -> Matrix:
    if choice == "keep":
        choice = "y"
    if choice in AXES:
        axis: Matrix = AXES[choice]
        return axis
    length = float(np.linalg.norm(mean))
    if length < 0.1:
        raise DataError(f"the images of {name} have no common up direction; name the axis that points up: --up")
    nearest: Matrix = max(AXES.values(), key=lambda unit: float(mean @ unit))
    if choice == "auto" and float(mean @ nearest) / length > SNAP_COSINE:
        return nearest
    direction: Matrix = mean / length
    return direction


def _facing(direction: Matrix, name: str) -> Matrix:
    """The turn about y that takes ``direction``, in units of the cameras' distance, towards +z."""
    length = float(np.hypot(direction[0], direction[2]))
    if length < LEAST_FRONT:
        raise DataError(f"the cameras of {name} stand evenly around the subject; no side is the front: --front keep")
    sine, cosine = direction[0] / length, direction[2] / length
    return np.array([[cosine, 0, -sine], [0, 1, 0], [sine, 0, cosine]])
