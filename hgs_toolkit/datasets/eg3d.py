"""Posed images in the EG3D layout: a folder or zip of square images and a dataset.json with their camera labels.

Layout (Chan et al. 2022, "Efficient Geometry-aware 3D GANs", dataset preparation): images in the order of their
sorted relative path; ``dataset.json`` = {"labels": [[path, [25 floats]], ...]}; a label is the row-major 4x4
camera-to-world matrix (OpenCV camera axes) followed by the row-major 3x3 intrinsics divided by the image size.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hgs_toolkit.conventions import LABEL_SIZE
from hgs_toolkit.datasets.classes import CLASSES, ClassLabels, read_classes
from hgs_toolkit.datasets.images import (
    MAX_IMAGE_BYTES,
    Pixels,
    decode,
    is_image,
    open_image,
    shrink,
    unread_images,
)
from hgs_toolkit.datasets.label_kinds import (
    LABEL_FILE,
    MAX_LABEL_BYTES,
    is_class,
    is_pair,
    label_file,
    says_cameras,
    split_classes,
)
from hgs_toolkit.datasets.pixel_cache import PixelCache
from hgs_toolkit.datasets.storage import FileStore, InnerStore, open_store
from hgs_toolkit.errors import DataError
from hgs_toolkit.imaging.reading import check_mode, has_alpha

if TYPE_CHECKING:
    from torch import Tensor

logger = logging.getLogger(__name__)

POSES = "poses"
"""An entry of ours in that file: how labels were made up, where they were not measured or rendered."""

VIEWS = "views_per_subject"
"""An entry of ours in that file: how many consecutive images show the same subject."""

CACHE_BYTES = 2 << 30
"""Bytes of decoded pixels that are kept in memory."""

ASSUME_CAMERAS = "'hgs dataset convert SET --law normal --classes' makes a set with assumed cameras"
"""What to do with a set that has no cameras."""

DIGEST_SAMPLES = 32
"""Number of images, spread evenly over a set, whose content goes into its digest."""

Labels = npt.NDArray[np.float32]
OnProgress = Callable[[int, int], None]


class PosedImages:
    """Square images of one size with a camera label each, in the order of their sorted names.

    Images are decoded when they are first asked for. They are then kept in memory, if the whole set fits
    ``cache_bytes``, else in a memory-mapped file if ``disk_cache`` is on (:mod:`hgs_toolkit.datasets.pixel_cache`).
    Threads may share an instance; processes may inherit or unpickle one.

    Attributes:
        labels: (N, 25) float32 EG3D labels.
        resolution: height and width of the images it gives out, pixels.
        facts: further entries of dataset.json, such as the licences of what is shown.
        classes: what each image is of, where the set says that; see :mod:`hgs_toolkit.datasets.classes`.
        has_alpha: whether they have a fourth channel: alpha, not multiplied into the colours.
    """

    def __init__(
        self, store: FileStore, names: Sequence[str], labels: Labels, resolution: int | None = None,
        cache_bytes: int = CACHE_BYTES, disk_cache: bool = False, facts: dict[str, Any] | None = None,
    ) -> None:  # fmt: skip
        if not names:
            raise DataError(f"{store.path} holds no PNG, JPEG or WebP image{unread_images(store.names)}")
        self._store, self._names, self.labels = store, list(names), labels
        self.facts: dict[str, Any] = {} if facts is None else facts
        self.classes: ClassLabels | None = read_classes(self.facts, self._names)
        self.facts.pop(CLASSES, None)
        self.stored_resolution, self.has_alpha = self._measure(0)
        self.resolution = self.stored_resolution if resolution is None else resolution
        self.check_resolution(self.resolution)
        shape = (len(self._names), self.resolution, self.resolution, 4 if self.has_alpha else 3)
        self._cache: PixelCache | None = None
        if np.prod(shape, dtype=float) <= cache_bytes:
            self._cache = PixelCache.in_memory(shape)
        elif disk_cache:
            self._cache = PixelCache.on_disk(store.path, self.digest, shape)
        if self._cache is None and cache_bytes:
            logger.info("%s is decoded every time: its pixels exceed %d bytes", store.path, cache_bytes)

    def __len__(self) -> int:
        return len(self._names)

    def check_resolution(self, resolution: int) -> None:
        """Raise a DataError if the images as they are stored cannot be averaged down to ``resolution`` pixels."""
        if resolution < 1 or self.stored_resolution % resolution:
            raise DataError(
                f"{self.path} holds images of {self.stored_resolution} x {self.stored_resolution} pixels, asked for "
                f"{resolution}; expected a divisor of the stored size"
            )

    @property
    def views_per_subject(self) -> int:
        """Consecutive images that show the same subject; 1 where the set does not say."""
        value = self.facts.get(VIEWS, 1)
        return value if isinstance(value, int) and value > 0 and len(self) % value == 0 else 1

    @property
    def path(self) -> Path:
        """The folder or archive."""
        return self._store.path

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the set: of its labels, the names and sizes of its files, and the content of a few of them.

        A folder and a zip archive of the same files agree. Two sets that differ only within an image outside of the
        sample, and not in its number of bytes, do too: reading all of a large set would take minutes.
        """
        digest = hashlib.sha256(self.labels.tobytes())
        if self.classes is not None:
            digest.update(json.dumps(self.classes.names).encode() + self.classes.vectors.tobytes())
        for name in self._names:
            digest.update(f"{name}\0{self._store.size(name)}\0".encode(errors="surrogatepass"))  # names of old archives
        for index in np.unique(np.linspace(0, len(self) - 1, DIGEST_SAMPLES).astype(int)):
            digest.update(self.stored(int(index)))
        return digest.hexdigest()

    def name(self, index: int) -> str:
        """Relative path of an image inside the set."""
        return self._names[index]

    def stored(self, index: int) -> bytes:
        """The file of an image as it is.

        Raises:
            DataError: naming the file, if it is missing or too large.
        """
        return self._store.read(self._names[index], MAX_IMAGE_BYTES)

    def image(self, index: int) -> Pixels:
        """Pixels (H, W, 3 | 4) of one image; treat them as read-only.

        Raises:
            DataError: naming the file, if it is missing, broken, not square, or differs from the first image.
        """
        if self._cache is None:
            return self._load(index)
        if not self._cache.filled[index]:
            self._cache.put(index, self._load(index))
        pixels: Pixels = self._cache.pixels[index]
        return pixels

    def batch(self, indices: Sequence[int] | npt.NDArray[np.int64] | Tensor) -> tuple[Tensor, Tensor]:
        """Images (B, H, W, 3 | 4) uint8 and labels (B, 25) float32 of ``indices``, copied."""
        order = np.asarray(indices, dtype=np.int64)
        if self._cache is None:
            pixels = np.stack([self._load(int(index)) for index in order])
        else:
            for index in order[self._cache.filled[order] == 0]:
                self.image(int(index))
            pixels = np.asarray(self._cache.pixels[order])
        import torch  # what only tells of a set does without

        return torch.from_numpy(pixels), torch.from_numpy(self.labels[order])

    def preload(self, progress: OnProgress | None = None) -> None:
        """Decode every image once, so that a broken one is found now; keeps them where they fit."""
        for index in range(len(self)):
            self.image(index)
            if progress is not None:
                progress(index + 1, len(self))

    def close(self) -> None:
        """Release the archive's handle."""
        self._store.close()

    def _measure(self, index: int) -> tuple[int, bool]:
        """Side length and presence of alpha of a stored image, from its header."""
        name = self._names[index]
        with open_image(self.stored(index), name) as image:
            if image.width != image.height:
                raise DataError(f"{name} is {image.width} x {image.height}; expected a square image: crop it")
            check_mode(image, name)
            return image.width, has_alpha(image)

    def _load(self, index: int) -> Pixels:
        name = self._names[index]
        with open_image(self.stored(index), name) as image:
            size = self.stored_resolution
            if image.size != (size, size) or has_alpha(image) != self.has_alpha:
                mode = f"{size} x {size} {'RGBA' if self.has_alpha else 'RGB'}"
                raise DataError(
                    f"{name} is {image.width} x {image.height} {image.mode}; expected {mode} like {self._names[0]}"
                )
            return shrink(decode(image, name), size // self.resolution)


def open_dataset(
    path: str | Path, resolution: int | None = None, cache_bytes: int = CACHE_BYTES, *, disk_cache: bool = False
) -> PosedImages:
    """The posed images of an EG3D folder or zip.

    Args:
        path: folder or zip archive with ``dataset.json`` at its top, or in the only folder that has one.
        resolution: size to average the images down to, a divisor of the stored size; None keeps that.
        cache_bytes: decoded pixels to keep in memory; 0 where each image is read once.
        disk_cache: whether larger sets are kept in a memory-mapped file; otherwise they are decoded every time.

    Raises:
        DataError: naming the file, if there are no images, or a label is missing, of wrong length or not finite.
    """
    store = open_set(path)
    names = [name for name in store.names if is_image(name)]
    pairs, facts = read_label_file(store)
    return PosedImages(store, names, match_labels(names, pairs), resolution, cache_bytes, disk_cache, facts)


def open_set(path: str | Path) -> FileStore:
    """The files of an EG3D folder or zip; of the one folder around them, where ``dataset.json`` is in that.

    Raises:
        DataError: if ``path`` is neither a folder nor a zip archive.
    """
    store = open_store(path)
    folder = label_file(store).removesuffix(LABEL_FILE)
    return InnerStore(store, folder) if folder else store


def read_labels(store: FileStore) -> list[tuple[str, Any]]:
    """(name, label) pairs of ``dataset.json`` as they stand there; see :func:`read_label_file`."""
    return read_label_file(store)[0]


def _elsewhere(store: FileStore) -> str:
    """What to add to a message that ``dataset.json`` is missing: the folders below that have one."""
    folders = sorted(name.rpartition("/")[0] for name in store.names if name.endswith(f"/{LABEL_FILE}"))
    if not folders:
        return ""
    shown = ", ".join(folders[:3]) + (", …" if len(folders) > 3 else "")
    return f", but in {shown}: name one of these folders{'' if store.path.is_dir() else ' after unpacking the archive'}"


def read_label_file(store: FileStore) -> tuple[list[tuple[str, Any]], dict[str, Any]]:
    """(name, label) pairs of ``dataset.json``, not checked, and its other entries.

    Labels of a camera and a class are taken apart: the classes are among the entries, as those of our own sets are.

    Raises:
        DataError: if the file is missing or is not {"labels": [[name, label], ...]}.
    """
    if LABEL_FILE not in store.names:
        raise DataError(
            f"{store.path} has no {LABEL_FILE} at its top level{_elsewhere(store)}; expected the EG3D layout"
        )
    text = store.read(LABEL_FILE, MAX_LABEL_BYTES)
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{LABEL_FILE} in {store.path} is not valid JSON: {error}") from error
    pairs = content.get("labels") if isinstance(content, dict) else None
    if pairs is None and not says_cameras(store):
        raise DataError(f"{LABEL_FILE} in {store.path} has no labels; {ASSUME_CAMERAS}")
    if not isinstance(pairs, list) or not all(is_pair(pair) for pair in pairs):
        raise DataError(f'{LABEL_FILE} in {store.path} is not {{"labels": [[name, [{LABEL_SIZE} numbers]], ...]}}')
    del content["labels"]
    cameras, facts = split_classes([(name.replace("\\", "/"), label) for name, label in pairs], content)
    return list(cameras), facts


def match_labels(names: Sequence[str], pairs: Sequence[tuple[str, Any]]) -> Labels:
    """Labels (N, 25) in the order of ``names``.

    Raises:
        DataError: naming the image whose label is missing, contradictory or not 25 finite numbers.
    """
    by_name: dict[str, Any] = {}
    for name, label in pairs:
        if by_name.setdefault(name, label) != label:
            raise DataError(f"{LABEL_FILE} has two different labels for {name}; expected one")
    if (together := _plain_labels([by_name.get(name) for name in names])) is not None:
        return together
    labels = np.empty((len(names), LABEL_SIZE), dtype=np.float32)
    for index, name in enumerate(names):
        if name not in by_name:
            raise DataError(f"{LABEL_FILE} has no label for {name}; expected one for every image")
        labels[index] = parse_label(by_name[name], name)
    return labels


def _plain_labels(values: list[Any]) -> Labels | None:
    """All labels (N, 25) at once, where there is nothing to refuse; many times faster than one by one."""
    try:
        array = np.array(values)
    except ValueError:  # rows of different lengths
        return None
    if array.shape != (len(values), LABEL_SIZE) or array.dtype.kind not in "fi" or not (np.abs(array) < 1e30).all():
        return None
    return array.astype(np.float32)


def parse_label(label: Any, name: str) -> Labels:
    """``label`` as (25,) float32; DataError names the image ``name`` if it is not 25 finite numbers."""
    if is_class(label) and (isinstance(label, int) or any(label)):  # zeros alone may be meant as either
        raise DataError(f"the label of {name} is a class and no camera; {ASSUME_CAMERAS}")
    if not isinstance(label, list) or len(label) != LABEL_SIZE:
        given = f"{len(label)} values" if isinstance(label, list) else type(label).__name__
        raise DataError(f"the label of {name} has {given}; expected {LABEL_SIZE} numbers")
    if not all(isinstance(value, int | float) and abs(value) < 1e30 for value in label):
        raise DataError(f"the label of {name} holds a value that is not a finite number; expected {LABEL_SIZE} of them")
    return np.array(label, dtype=np.float32)
