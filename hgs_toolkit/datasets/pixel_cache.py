"""Decoded images of a dataset: in memory, or in a memory-mapped file where they are too many for that.

The file lies in ``.hgs-cache`` beside the dataset, or in the user's cache folder where that cannot be written. Its name
carries the dataset's digest, so that a changed dataset gets a new one; a file of the same dataset is used again by the
next run and shared by the processes of one machine.
"""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hgs_toolkit.datasets.images import Pixels
from hgs_toolkit.files import cache_folder

logger = logging.getLogger(__name__)

FOLDER = ".hgs-cache"

SPARE_BYTES = 1 << 30
"""Bytes of a disk that a cache leaves free."""

Shape = tuple[int, int, int, int]
"""Images, height, width, channels."""


class PixelCache:
    """The pixels of all images, and which of them are there; threads and processes may fill it together.

    Attributes:
        pixels: (N, H, W, 3 | 4) uint8.
        filled: (N,) uint8, 1 where an image is there; set after its pixels.
    """

    def __init__(self, pixels: Pixels, filled: npt.NDArray[np.uint8]) -> None:
        self.pixels, self.filled = pixels, filled

    @classmethod
    def in_memory(cls, shape: Shape) -> PixelCache:
        """An empty cache in memory; its pages are only allocated as they are filled."""
        return cls(np.empty(shape, np.uint8), np.zeros(shape[0], np.uint8))

    @classmethod
    def on_disk(cls, dataset: Path, digest: str, shape: Shape) -> PixelCache | None:
        """The cache in the file of ``dataset``, which is made if there is none; None if no disk has the space."""
        count, size = shape[0], int(np.prod(shape, dtype=np.int64))
        name = f"{dataset.stem}-{shape[1]}-{digest[:16]}.pixels"
        for folder in (dataset.absolute().parent / FOLDER, cache_folder()):
            try:
                file = _open(folder / name, size + count)
                content = np.memmap(file, np.uint8, "r+", shape=(size + count,))
            except OSError as error:
                logger.info("no cache of decoded images in %s: %s", folder, error)
                continue
            logger.info("%s: decoded images are kept in %s, %.1f GiB", dataset, file, size / 2**30)
            return cls(content[:size].reshape(shape), content[size:])
        return None

    def put(self, index: int, pixels: Pixels) -> None:
        """Keep an image (H, W, 3 | 4)."""
        self.pixels[index] = pixels
        self.filled[index] = 1


def _open(file: Path, size: int) -> Path:
    """``file`` of exactly ``size`` bytes, which the disk holds; the files of older versions of the set are removed.

    Several processes may open it at once.

    Raises:
        OSError: if it cannot be written or the disk has no space for it.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    for old in file.parent.glob(f"{file.name.rpartition('-')[0]}-*.pixels"):
        if old != file:
            old.unlink(missing_ok=True)
    with open(file, "ab") as made:
        status = os.fstat(made.fileno())
        missing = size - getattr(status, "st_blocks", 0) * 512
        if missing > 0 and shutil.disk_usage(file.parent).free < missing + SPARE_BYTES:
            if not status.st_size:
                file.unlink(missing_ok=True)
            raise OSError(f"less than {(missing + SPARE_BYTES) / 2**30:.1f} GiB are free")
        made.truncate(size)
        if hasattr(os, "posix_fallocate"):  # a disk that fills up later would end the process at a write to the map
            os.posix_fallocate(made.fileno(), 0, size)
    return file
