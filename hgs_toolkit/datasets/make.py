"""Making a posed set image by image in several processes, with the same bytes whatever their number."""

from __future__ import annotations

import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy.typing as npt
import torch

from hgs_toolkit.datasets.classes import ClassLabel
from hgs_toolkit.datasets.eg3d import OnProgress, open_set, read_labels
from hgs_toolkit.datasets.eg3d_writer import open_writer
from hgs_toolkit.datasets.images import MAX_IMAGE_BYTES, Pixels, encode_png
from hgs_toolkit.errors import DataError, HgsError

ImageMaker = Callable[[int], tuple[Pixels, npt.ArrayLike]]
"""From an index to pixels (H, W, 3 | 4) and label (25,); picklable, and a function of the index alone."""


@dataclass(frozen=True)
class ClassesOf:
    """The classes of a set that is made.

    Attributes:
        names: of the numbers of a class vector.
        kind_of: from an image's index to its class, a number or a vector.
    """

    names: Sequence[str]
    kind_of: Callable[[int], ClassLabel]


MAX_COUNT = 10_000_000
MAX_RESOLUTION = 2048

PART = 512
"""Number of images of a part of :func:`make_in_parts`: what an interrupt costs at most, tens of seconds."""

CHUNK = 16
"""Images a process makes at a time: long enough to hide the messages, short enough for a live progress bar."""


def make_dataset(
    make_image: ImageMaker, count: int, path: str | Path, *, workers: int = 1, force: bool = False,
    progress: OnProgress | None = None, facts: dict[str, Any] | None = None, classes: ClassesOf | None = None,
) -> None:  # fmt: skip
    """Write the images ``make_image(0)`` ... ``make_image(count - 1)`` as an EG3D zip or folder.

    Args:
        make_image: makes the image and label of an index; it is sent to the processes, so it must pickle.
        count: number of images.
        path: zip archive (``.zip``) or folder; appears when everything is made.
        workers: processes; 1 works in this one.
        force: whether an existing dataset is replaced.
        progress: called with (images done, count).
        facts: further entries of dataset.json, such as the pose prior and the licences of what is shown.
        classes: names of the classes, and the class of each image; None for a set without classes.

    Raises:
        HgsError: if ``count`` or ``workers`` is out of range, or ``path`` cannot be written.
    """
    _check_numbers(count, workers)
    with open_writer(path, force=force) as writer:
        writer.facts |= facts or {}
        writer.class_names = classes.names if classes is not None else ()
        for done, (data, label) in enumerate(_images(make_image, range(count), workers), start=1):
            writer.add(data, label, None if classes is None else classes.kind_of(done - 1))
            if progress is not None:
                progress(done, count)


def make_in_parts(
    make_image: ImageMaker, count: int, path: str | Path, parts: Path, *, workers: int = 1,
    progress: OnProgress | None = None, facts: dict[str, Any] | None = None, classes: ClassesOf | None = None,
) -> None:  # fmt: skip
    """Write what :func:`make_dataset` writes, byte for byte, keeping finished parts in the folder ``parts``.

    A call that was interrupted is repeated with the same arguments: whole parts are then read, not made again. The
    caller removes ``parts`` afterwards, and when the arguments change.

    Raises:
        HgsError: as for :func:`make_dataset`.
    """
    _check_numbers(count, workers)
    ranges = [range(start, min(start + PART, count)) for start in range(0, count, PART)]
    files = [parts / f"part-{indices.start:08d}.zip" for indices in ranges]
    for indices, file in zip(ranges, files, strict=True):
        if not _is_whole(file, len(indices)):
            with open_writer(file, force=True) as writer:
                for done, (data, label) in enumerate(_images(make_image, indices, workers), start=indices.start + 1):
                    writer.add(data, label)
                    if progress is not None:
                        progress(done, count)
        elif progress is not None:
            progress(indices.stop, count)
    with open_writer(path, force=True) as writer:
        writer.facts |= facts or {}
        writer.class_names = classes.names if classes is not None else ()
        for file in files:
            store = open_set(file)
            for name, label in read_labels(store):
                kind = None if classes is None else classes.kind_of(len(writer))
                writer.add(store.read(name, MAX_IMAGE_BYTES), label, kind)
            store.close()


def _is_whole(file: Path, count: int) -> bool:
    """Whether a part was finished."""
    try:
        return file.is_file() and len(read_labels(open_set(file))) == count
    except DataError:
        return False


def _check_numbers(count: int, workers: int) -> None:
    if not 1 <= count <= MAX_COUNT or not 1 <= workers <= 1024:
        raise HgsError(f"count {count}, workers {workers}; expected 1 ... {MAX_COUNT:,} images and 1 ... 1024 workers")


def check_request(resolution: int, seed: int) -> None:
    """Raise :class:`HgsError` for a resolution or seed that cannot be made."""
    if not 8 <= resolution <= MAX_RESOLUTION:
        raise HgsError(f"resolution {resolution}; expected 8 ... {MAX_RESOLUTION} pixels")
    if not 0 <= seed < 2**63:
        raise HgsError(f"seed {seed}; expected 0 ... 2^63 - 1")


def _images(make_image: ImageMaker, indices: range, workers: int) -> Iterator[tuple[bytes, npt.ArrayLike]]:
    """PNG files and labels in the order of ``indices``."""
    workers = min(workers, len(indices))
    if workers == 1:
        yield from (_encode(make_image, index) for index in indices)
        return
    # Processes are spawned: a fork would inherit the locks of torch's and numpy's thread pools.
    context = multiprocessing.get_context("spawn")
    chunks = (indices[start : start + CHUNK] for start in range(0, len(indices), CHUNK))
    with ProcessPoolExecutor(workers, context, _prepare_worker) as pool:
        try:
            waiting = deque(pool.submit(_encode_all, make_image, chunk) for chunk in islice(chunks, 2 * workers))
            while waiting:
                yield from waiting.popleft().result()
                waiting.extend(pool.submit(_encode_all, make_image, chunk) for chunk in islice(chunks, 1))
        except BrokenProcessPool as error:
            raise HgsError("a worker process was killed, perhaps for want of memory; use fewer --workers") from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _encode_all(make_image: ImageMaker, indices: range) -> list[tuple[bytes, npt.ArrayLike]]:
    return [_encode(make_image, index) for index in indices]


def _encode(make_image: ImageMaker, index: int) -> tuple[bytes, npt.ArrayLike]:
    pixels, label = make_image(index)
    return encode_png(pixels), label


def _prepare_worker() -> None:
    """One thread a process, since the processes fill the cores; Ctrl-C is the parent's to handle."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
