"""Photographs with cameras as other programs' files describe them, before anything is turned, cut or resized."""

from __future__ import annotations

import json
import math
import posixpath
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import PurePosixPath
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from hgs_toolkit.datasets.images import IMAGE_SUFFIXES, Size, is_image, open_image
from hgs_toolkit.datasets.storage import FileStore
from hgs_toolkit.errors import DataError
from hgs_toolkit.imaging.reading import upright_size

Matrix = npt.NDArray[np.float64]
T = TypeVar("T")

MAX_PHOTO_BYTES = 1 << 28
MAX_PHOTO_SIDE = 8192
"""Largest photograph that is read: below the number of pixels at which Pillow suspects an attack."""

MAX_TEXT_BYTES = 1 << 29
"""Largest camera file that is read."""

RIGID_TOLERANCE = 1e-3
"""Largest entry of |R R^T - 1| of a rotation."""


@dataclass(frozen=True)
class Lens:
    """A camera's intrinsics in pixels of its photograph; pixel centres are at +0.5.

    Attributes:
        fx, fy: focal lengths.
        cx, cy: principal point.
        width, height: of the photograph these numbers are for.
        distortion: k1, k2, p1, p2 of OpenCV's model (Brown 1966); zeros for a pinhole.
    """

    fx: float
    fy: float
    cx: float
    cy: float
    width: int
    height: int
    distortion: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)

    def is_for(self, size: Size) -> bool:
        """Whether a photograph of (width, height) ``size`` has the lens's shape, up to rounding."""
        width, height = size
        x, y = width / self.width, height / self.height
        return abs(width - self.width * y) <= 1 or abs(height - self.height * x) <= 1

    @property
    def is_pinhole(self) -> bool:
        """Whether straight lines stay straight."""
        return not any(self.distortion)

    def resized(self, size: Size, name: str) -> Lens:
        """The lens for the same photograph stored at (width, height) ``size``; DataError if the shapes differ."""
        width, height = size
        x, y = width / self.width, height / self.height
        if not self.is_for(size):
            raise DataError(
                f"{name} is {width} x {height}, its camera is for {self.width} x {self.height}; expected one shape"
            )
        return Lens(self.fx * x, self.fy * y, self.cx * x, self.cy * y, width, height, self.distortion)


@dataclass(frozen=True, eq=False)
class Photograph:
    """One photograph.

    Attributes:
        store: where it lies.
        image: its name there.
        mask: the name of a grey image to use as alpha, or None.
        cam_to_world: (4, 4) rigid, OpenCV camera axes, in the world of its file.
        lens: of its camera.
        upright: whether the lens is one for the upright photograph in any case; otherwise its size says whether it
            belongs to that or to the pixels as they are stored, which differ by the EXIF orientation.
    """

    store: FileStore
    image: str
    mask: str | None
    cam_to_world: Matrix
    lens: Lens
    upright: bool = False


@dataclass(frozen=True)
class Scene:
    """Photographs in one world.

    Attributes:
        name: of the folder or file.
        photographs: at least one.
        assumed: how their poses were made up; None if they were measured.
        placed: whether their world is known to be ours: y up, the subject at the origin.
    """

    name: str
    photographs: Sequence[Photograph]
    assumed: str | None = None
    placed: bool = False


def gather(makers: Iterable[Callable[[], T]], problems: list[str] | None) -> Iterator[T]:
    """What ``makers`` return; the errors of those that fail are added to ``problems``, or raised if that is None."""
    for make in makers:
        try:
            made = make()
        except DataError as error:
            if problems is None:
                raise
            problems.append(str(error))
        else:
            yield made


class ImageFinder:
    """The images of a store by the names camera files give them: with or without folder and suffix."""

    def __init__(self, store: FileStore) -> None:
        self.store = store
        self._names = {name for name in store.names if is_image(name)}
        self._lower: dict[str, list[str]] = {}
        self._by_end: dict[str, list[str]] = {}
        for name in sorted(self._names):
            path = PurePosixPath(name)
            self._lower.setdefault(_folded(name), []).append(name)
            for key in {_folded(path.name), _folded(path.stem)}:
                self._by_end.setdefault(key, []).append(name)

    def beside(self, file: str, path: str) -> str:
        """The image that ``file`` calls ``path``, relative to itself; DataError if there is none, or more than one."""
        name = posixpath.normpath(posixpath.join(posixpath.dirname(file), path.replace("\\", "/")))
        if name in self._names:
            return name
        meant = [name + suffix for suffix in IMAGE_SUFFIXES if name + suffix in self._names]
        if not meant:  # in another case: IMG_1.JPG for img_1.jpg
            meant = [found for suffix in ("", *IMAGE_SUFFIXES) for found in self._lower.get(_folded(name + suffix), ())]
        if len(meant) == 1:
            return meant[0]
        if meant:
            raise DataError(
                f"{file} names the image {path}, which can be {meant[0]} or {meant[1]}; expected one of these names, "
                "with its suffix"
            )
        if name.startswith(("../", "/")):
            raise DataError(f"{file} names the image {path} outside of {self.store.path}; give the folder with both")
        if name in self.store.names:
            raise DataError(f"{file} names the image {path}, whose format is not read; save it as .png or .jpg")
        raise DataError(f"{file} names the image {path}, which is not in {self.store.path}")

    def anywhere(self, file: str, path: str) -> str:
        """The one image that ``path`` can mean, whatever folder it is in; of several the one nearest to ``file``.

        Scenes side by side often have images of the same names: each has its own below the folder that it shares with
        its camera file.
        """
        path = path.replace("\\", "/")
        alike = self._by_end.get(_folded(PurePosixPath(path).name), ())
        ends = [name for name in alike if _matches(name, path)]
        ends = ends or [name for name in alike if _matches(_folded(name), _folded(path))]
        if not ends:
            if any(_matches(name, path) for name in self.store.names):
                raise DataError(f"{file} names the image {path}, whose format is not read; save it as .png or .jpg")
            raise DataError(
                f"{file} names the image {path}, which is not in {self.store.path}; name its folder: --images"
            )
        shared = [_shared_folders(file, end) for end in ends]
        ends = [end for end, count in zip(ends, shared, strict=True) if count == max(shared)]
        if len(ends) > 1:
            raise DataError(
                f"{file} names the image {path}, which can be {ends[0]} or {ends[1]}; name one folder: --images"
            )
        return ends[0]

    def size(self, name: str) -> Size:
        """Width and height of an upright image, from its header."""
        with open_image(self.store.read(name, MAX_PHOTO_BYTES), name, MAX_PHOTO_SIDE) as image:
            return upright_size(image)


def read_json(store: FileStore, name: str) -> Any:
    """The content of a JSON file; DataError names it if it is not valid."""
    try:
        return json.loads(store.read(name, MAX_TEXT_BYTES))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{store.path}/{name} is not valid JSON: {error}") from error


def numbers(value: Any, what: str, *shape: int) -> Matrix:
    """Nested lists as an array; DataError says ``what`` should have had ``shape`` and finite numbers."""
    try:
        array: Matrix = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        array = np.empty(0)
    if array.shape != shape or not np.isfinite(array).all():
        raise DataError(f"{what} is not {' x '.join(map(str, shape)) or 'one'} finite number{'s' if shape else ''}")
    return array


def pose(rotation: Matrix, position: Matrix, what: str) -> Matrix:
    """Camera-to-world (4, 4) of a rotation (3, 3) and camera centre (3,); DataError if it is no rotation."""
    if fault := rotation_fault(rotation, RIGID_TOLERANCE):
        raise DataError(f"{what} is {fault}")
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = rotation, position
    return matrix


def rotation_fault(rotation: Matrix, tolerance: float) -> str | None:
    """What (3, 3) is in place of a rotation; None where no entry of |R R^T - 1| is larger than ``tolerance``."""
    off = float(np.abs(rotation @ rotation.T - np.eye(3)).max())
    if off <= tolerance and np.linalg.det(rotation) >= 0:
        return None
    return f"no rotation (off by {off:.2g}); expected orthonormal axes, determinant +1"


def check_lens(lens: Lens, what: str) -> Lens:
    """``lens`` as it is; DataError names ``what`` if it cannot belong to a photograph."""
    facts = (lens.fx, lens.fy, lens.cx, lens.cy, *lens.distortion)
    if not all(map(math.isfinite, facts)) or min(lens.fx, lens.fy, lens.width, lens.height) <= 0:
        raise DataError(
            f"{what} has no usable lens: {lens.width} x {lens.height}, focal lengths {lens.fx:g}, {lens.fy:g}"
        )
    if not (0 < lens.cx < lens.width and 0 < lens.cy < lens.height):
        raise DataError(f"{what} has its principal point ({lens.cx:g}, {lens.cy:g}) outside of the image")
    return lens


def _shared_folders(first: str, second: str) -> int:
    """How many folders two relative paths have in common, from the top."""
    pairs = zip(PurePosixPath(first).parent.parts, PurePosixPath(second).parent.parts, strict=False)
    return len(list(takewhile(lambda pair: pair[0] == pair[1], pairs)))


def _folded(name: str) -> str:
    """A name without its case, and with its accents composed: macOS stores them apart from their letters."""
    return unicodedata.normalize("NFC", name).lower()


def _matches(name: str, path: str) -> bool:
    """Whether ``name`` ends in ``path``, with or without its suffix."""
    full, bare = f"/{name}", f"/{PurePosixPath(name).with_suffix('')}"
    return full.endswith(f"/{path}") or bare.endswith(f"/{path}")
