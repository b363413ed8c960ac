"""The distribution of critters' shapes: an animal's head and bust of ellipsoids, drawn from one random generator.

Lengths are in head units: the skull is about 0.8 wide. The face looks along +z, up is +y, the critter's left is +x.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from hgs_toolkit.datasets.critters.raycast import Array, Ellipsoids

PART_NAMES = (
    "background", "skull", "cheek", "muzzle", "chin", "nose", "eye", "eyelid", "ear", "inner ear", "tuft",
    "neck", "body", "belly", "paw", "scarf", "hat", "hat band", "pompom",
    "tail", "tail tip", "mane", "bow",
)  # fmt: skip
"""Names of the part ids; 0 is the background. The last BACK_PARTS belong to critters that are seen from all sides."""

BACK_PARTS = 4

EAR_KINDS = ("round", "pointed", "long", "floppy")
HAT_KINDS = ("beanie", "bowler", "beret")

HAT_PROBABILITY = 0.35

HEAD_PIVOT = np.array([0.0, -0.25, 0.0])
"""The joint of head and neck: the head is tilted around it."""


@dataclass
class Anatomy:
    """A critter's ellipsoids under construction and the measures that its colours depend on."""

    ears: str
    skull: Array
    """(3,) half axes."""
    eye_center: Array
    """(3,) of the left eye, on the skull, before the head's tilt."""
    hat: str | None = None
    tilt: Array = field(default_factory=lambda: np.eye(3))
    """(3, 3) rotation of the head around HEAD_PIVOT."""
    names: list[str] = field(default_factory=list)
    centers: list[Array] = field(default_factory=list)
    rotations: list[Array] = field(default_factory=list)
    radii: list[Array] = field(default_factory=list)

    def add(self, name: str, center: npt.ArrayLike, radii: npt.ArrayLike, rotation: Array | None = None) -> None:
        """Append an ellipsoid, turned by ``rotation`` (3, 3)."""
        self.names.append(name)
        self.centers.append(np.array(center, dtype=np.float64))
        self.radii.append(np.array(radii, dtype=np.float64))
        self.rotations.append(np.eye(3) if rotation is None else rotation)

    def add_pair(self, name: str, center: npt.ArrayLike, radii: npt.ArrayLike, rotation: Array | None = None) -> None:
        """Append an ellipsoid on the critter's left and its mirror image on the right."""
        mirror = np.diag([-1.0, 1.0, 1.0])
        turned = np.eye(3) if rotation is None else rotation
        self.add(name, center, radii, turned)
        self.add(name, mirror @ np.asarray(center), radii, mirror @ turned @ mirror)

    def tilt_head(self, rotation: Array) -> None:
        """Turn everything so far around the head's joint."""
        self.tilt = rotation
        self.centers = [self.tilted(center) for center in self.centers]
        self.rotations = [rotation @ own for own in self.rotations]

    def tilted(self, point: Array) -> Array:
        """Where a ``point`` (3,) of the upright head is after its tilt."""
        turned: Array = self.tilt @ (point - HEAD_PIVOT) + HEAD_PIVOT
        return turned

    def solids(self) -> Ellipsoids:
        """The ellipsoids, in head units."""
        return Ellipsoids(np.stack(self.centers), np.stack(self.rotations), np.stack(self.radii))


def grow(rng: np.random.Generator) -> Anatomy:
    """A critter's anatomy, drawn from ``rng``."""
    ears = EAR_KINDS[rng.integers(len(EAR_KINDS))]
    skull = np.array([rng.uniform(0.37, 0.45), rng.uniform(0.32, 0.39), rng.uniform(0.33, 0.38)])
    anatomy = Anatomy(ears, skull, np.zeros(3))
    anatomy.add("skull", [0, 0, 0], skull)
    _add_face(anatomy, rng)
    _add_eyes(anatomy, rng)
    {"round": _round_ears, "pointed": _pointed_ears, "long": _long_ears, "floppy": _floppy_ears}[ears](anatomy, rng)
    wears_hat = rng.random() < HAT_PROBABILITY
    kind = HAT_KINDS[rng.integers(len(HAT_KINDS))]
    if wears_hat:
        anatomy.hat = kind
        {"beanie": _beanie, "bowler": _bowler, "beret": _beret}[kind](anatomy, rng)
    elif rng.random() < 0.4:
        _add_tuft(anatomy, rng)
    anatomy.tilt_head(turn(pitch=rng.normal(0, 0.05), yaw=rng.normal(0, 0.08), roll=rng.normal(0, 0.07)))
    _add_bust(anatomy, rng)
    return anatomy


def turn(pitch: float = 0.0, yaw: float = 0.0, roll: float = 0.0) -> Array:
    """Rotation (3, 3) by ``roll`` about z, then ``pitch`` about x, then ``yaw`` about y; radians, right-handed."""
    cx, sx, cy, sy, cz, sz = (f(a) for a in (pitch, yaw, roll) for f in (math.cos, math.sin))
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    rotation: Array = about_y @ about_x @ about_z
    return rotation


def _on_skull(skull: Array, yaw: float, pitch: float) -> Array:
    """The skull's surface point (3,) in the parametric direction; yaw towards the left, pitch up."""
    point: Array = skull * [math.sin(yaw) * math.cos(pitch), math.sin(pitch), math.cos(yaw) * math.cos(pitch)]
    return point


def _add_face(anatomy: Anatomy, rng: np.random.Generator) -> None:
    skull = anatomy.skull
    puff = rng.uniform(0.85, 1.15)
    anatomy.add_pair("cheek", [0.47 * skull[0], -0.36 * skull[1], 0.36 * skull[2]], [0.21 * puff, 0.18 * puff, 0.2])
    width, height, length = rng.uniform(0.14, 0.22), rng.uniform(0.105, 0.145), rng.uniform(0.12, 0.26)
    if anatomy.ears == "long":
        length *= 0.75
    y, z = -0.34 * skull[1], 0.80 * skull[2]
    anatomy.add("muzzle", [0, y, z], [width, height, length], turn(pitch=0.08))
    anatomy.add("chin", [0, y - 0.75 * height, z + 0.1 * length], [0.62 * width, 0.075, 0.7 * length])
    size = rng.uniform(0.8, 1.3)
    anatomy.add("nose", [0, y + 0.52 * height, z + 0.80 * length], [0.062 * size, 0.043 * size, 0.045 * size])


def _add_eyes(anatomy: Anatomy, rng: np.random.Generator) -> None:
    yaw, pitch = rng.uniform(0.44, 0.60), rng.uniform(0.08, 0.26)
    size = rng.uniform(0.078, 0.112)
    anatomy.eye_center = _on_skull(anatomy.skull * 0.95, yaw, pitch)
    x, y, z = anatomy.eye_center
    outward = turn(yaw=0.55 * yaw, pitch=-0.6 * pitch)
    anatomy.add_pair("eye", [x, y, z], [size, size * rng.uniform(1.0, 1.18), 0.75 * size], outward)
    droop = rng.uniform(0.32, 0.62) * size
    slant = turn(yaw=0.55 * yaw, roll=rng.normal(0, 0.22))
    anatomy.add_pair("eyelid", [x, y + droop, z - 0.42 * size], [1.2 * size, 0.9 * size, 0.8 * size], slant)


def _round_ears(anatomy: Anatomy, rng: np.random.Generator) -> None:
    size, spread = rng.uniform(0.13, 0.21), rng.uniform(0.62, 0.82)
    base = _on_skull(anatomy.skull, math.pi / 2, math.pi / 2 - spread) * 1.04
    x, y = base[0], base[1] + 0.25 * size
    leaning = turn(yaw=0.25, roll=-0.3)
    anatomy.add_pair("ear", [x, y, -0.04], [size, size, 0.07], leaning)
    anatomy.add_pair("inner ear", [x * 0.99, y - 0.005, 0.005], [0.64 * size, 0.66 * size, 0.05], leaning)


def _pointed_ears(anatomy: Anatomy, rng: np.random.Generator) -> None:
    height, width, lean = rng.uniform(0.20, 0.29), rng.uniform(0.10, 0.14), rng.uniform(0.15, 0.45)
    base = _on_skull(anatomy.skull, math.pi / 2, math.pi / 2 - rng.uniform(0.6, 0.75)) * 0.97
    up = np.array([math.sin(lean), math.cos(lean), 0.0])
    turned = turn(yaw=0.3, roll=-lean)
    bottom, middle, tip = (base + up * height * step + [0, 0, -0.02] for step in (0.08, 0.30, 0.50))
    anatomy.add_pair("ear", bottom, [width, 0.52 * height, 0.075], turned)
    anatomy.add_pair("ear", middle, [0.78 * width, 0.64 * height, 0.06], turned)
    anatomy.add_pair("ear", tip, [0.46 * width, 0.70 * height, 0.045], turned)
    anatomy.add_pair("inner ear", middle + np.array([0, -0.01, 0.04]), [0.50 * width, 0.60 * height, 0.04], turned)


def _long_ears(anatomy: Anatomy, rng: np.random.Generator) -> None:
    length, width, lean = rng.uniform(0.21, 0.30), rng.uniform(0.075, 0.10), rng.uniform(0.05, 0.42)
    base = np.array([rng.uniform(0.13, 0.19), 0.88 * anatomy.skull[1], -0.03])
    center = base + length * 0.85 * np.array([math.sin(lean), math.cos(lean), -0.12])
    turned = turn(yaw=0.25, roll=-lean, pitch=-0.12)
    anatomy.add_pair("ear", center, [width, length, 0.055], turned)
    anatomy.add_pair("inner ear", center + np.array([0, -0.01, 0.022]), [0.58 * width, 0.82 * length, 0.045], turned)


def _floppy_ears(anatomy: Anatomy, rng: np.random.Generator) -> None:
    length, width, lean = rng.uniform(0.22, 0.32), rng.uniform(0.10, 0.15), rng.uniform(0.12, 0.5)
    root = _on_skull(anatomy.skull, math.pi / 2, rng.uniform(0.55, 0.85))
    center = root + length * np.array([0.25 + math.sin(lean) * 0.6, -0.62 * math.cos(lean), 0.0])
    anatomy.add_pair("ear", root + np.array([0.01, 0.0, 0.0]), [0.12, 0.085, 0.10], turn(roll=-0.5))
    anatomy.add_pair("ear", center, [0.075, length, width], turn(roll=lean, yaw=-0.25))


def _add_tuft(anatomy: Anatomy, rng: np.random.Generator) -> None:
    size = rng.uniform(0.7, 1.2)
    for side in (-0.07, 0.0, 0.07):
        center = [side * size, 0.98 * anatomy.skull[1], 0.10 - abs(side)]
        anatomy.add("tuft", center, [0.05 * size, 0.13 * size, 0.05 * size], turn(pitch=0.45, roll=-5 * side))


def _beanie(anatomy: Anatomy, rng: np.random.Generator) -> None:
    x, y, z = anatomy.skull
    height = rng.uniform(0.22, 0.34)
    anatomy.add("hat", [0, 0.50 * y, -0.03], [0.97 * x, 0.5 * y + 0.5 * height, 0.98 * z])
    anatomy.add("hat band", [0, 0.56 * y, -0.02], [0.97 * x, 0.075, 1.0 * z], turn(pitch=-0.10))
    if rng.random() < 0.7:
        size = rng.uniform(0.075, 0.115)
        anatomy.add("pompom", [0, y + 0.5 * height + 0.45 * size, -0.04], [size, size, size])


def _bowler(anatomy: Anatomy, rng: np.random.Generator) -> None:
    y, top, width = anatomy.skull[1], rng.uniform(0.20, 0.36), rng.uniform(0.20, 0.25)
    askew = turn(roll=rng.normal(0, 0.12), pitch=-0.08)
    anatomy.add("hat", [0, 0.86 * y, -0.02], [width + rng.uniform(0.10, 0.16), 0.032, width + 0.12], askew)
    anatomy.add("hat", [0, 0.86 * y + 0.45 * top, -0.03], [width, 0.62 * top, width], askew)
    anatomy.add("hat band", [0, 0.86 * y + 0.16 * top, -0.03], [1.03 * width, 0.05, 1.03 * width], askew)


def _beret(anatomy: Anatomy, rng: np.random.Generator) -> None:
    x, y, z = anatomy.skull
    side = rng.choice([-1.0, 1.0])
    askew = turn(roll=-side * rng.uniform(0.12, 0.3))
    anatomy.add("hat", [side * 0.05, 0.98 * y, -0.03], [0.90 * x, 0.115, 0.92 * z], askew)
    anatomy.add("hat band", [0, 0.82 * y, -0.02], [0.66 * x, 0.08, 0.72 * z], askew)
    anatomy.add("pompom", [side * 0.03, 0.98 * y + 0.125, -0.03], [0.03, 0.05, 0.03], askew)


def _add_bust(anatomy: Anatomy, rng: np.random.Generator) -> None:
    width, height = rng.uniform(0.24, 0.32), rng.uniform(0.19, 0.25)
    y = -0.95 * anatomy.skull[1] - 0.42 * height
    anatomy.add("neck", [0, 0.5 * y - 0.02, -0.05], [0.62 * width, 0.16, 0.17])
    anatomy.add("body", [0, y, -0.06], [width, height, 0.24])
    anatomy.add("belly", [0, y + 0.01, 0.055], [0.66 * width, 0.82 * height, 0.15])
    anatomy.add_pair("paw", [0.80 * width, y - 0.15 * height, 0.09], [0.085, 0.6 * height, 0.095], turn(roll=0.25))
    if rng.random() < 0.25:
        anatomy.add("scarf", [0, y + 0.74 * height, -0.03], [0.86 * width, 0.075, 0.235])
