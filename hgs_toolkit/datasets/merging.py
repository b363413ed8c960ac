"""One set made of several, such as images from all sides and more of the front."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hgs_toolkit.datasets.attribution import ATTRIBUTION, credits_to_json, read_credits
from hgs_toolkit.datasets.eg3d import POSES, VIEWS, OnProgress, PosedImages, open_dataset, open_set, read_labels
from hgs_toolkit.datasets.eg3d_writer import EG3DWriter, open_writer, refuse_nested
from hgs_toolkit.errors import DataError

logger = logging.getLogger(__name__)

PNG = b"\x89PNG"
"""First bytes of a PNG file."""

SHOWN_CLASSES = 6
"""Names of classes that a message lists."""


def merge_sets(
    paths: Sequence[str | Path], out: str | Path, *, force: bool = False, progress: OnProgress | None = None
) -> int:
    """Write the images of several EG3D sets, one set after the other, as one; returns their number.

    PNG files keep their bytes, other images become PNG. Labels and classes stay what they are; credits are brought
    together. A set given twice counts twice. What cannot be carried over is logged.

    Args:
        progress: called with (images done, all).

    Raises:
        DataError: if there are fewer than two sets, they differ in size, alpha or the names of their classes, one of
            them cannot be read, or ``out`` lies in one of them or around it.
        HgsError: if ``out`` exists and not ``force``, or cannot be written.
    """
    if len(paths) < 2:
        raise DataError(f"{len(paths)} set; expected at least two to bring together")
    for path in paths:
        refuse_nested(Path(path), Path(out))
    sets = [_opened(path) for path in paths]
    for other in sets[1:]:
        _refuse_other_kind(sets[0], other)
    total, done = sum(map(len, sets)), 0
    with open_writer(out, force=force) as writer:
        writer.facts = merged_facts(sets)
        writer.class_names = sets[0].classes.names if sets[0].classes else ()
        for images in sets:
            for index in range(len(images)):
                with _naming(images.path):
                    _add(writer, images, index)
                done += 1
                if progress is not None:
                    progress(done, total)
            images.close()
    return total


def merged_facts(sets: Sequence[PosedImages]) -> dict[str, Any]:
    """Entries of dataset.json that hold for all ``sets`` together.

    Credits are brought together, and so are descriptions of assumed poses; the views of a subject are those that
    every set has. Any other entry stays where all agree, becomes the list of the sets' entries where they differ, and
    is left out where a set has none.
    """
    facts: dict[str, Any] = {}
    for name in dict.fromkeys(name for images in sets for name in images.facts):
        values = [images.facts.get(name) for images in sets]
        if name == ATTRIBUTION:
            facts[name] = credits_to_json([credit for value in values for credit in read_credits(value)])
        elif name == POSES:
            facts[name] = "; ".join(dict.fromkeys(str(value) for value in values if value))
            if not all(values):
                logger.warning("some of the sets have assumed poses, so that those of the merged set count as assumed")
        elif name == VIEWS:
            facts[name] = math.gcd(*(images.views_per_subject for images in sets))
        elif all(value == values[0] for value in values):
            facts[name] = values[0]
        elif any(value is None for value in values):
            logger.warning("the entry '%s' of dataset.json is left out: not all sets have one", name)
        else:  # that of a merged set is a list already
            facts[name] = [entry for value in values for entry in (value if isinstance(value, list) else [value])]
    return facts


def _add(writer: EG3DWriter, images: PosedImages, index: int) -> None:
    pixels, stored = images.image(index), images.stored(index)  # decoded in any case: a broken file is found here
    kind = images.classes.vectors[index].tolist() if images.classes else None
    writer.add(stored if stored.startswith(PNG) else pixels, images.labels[index], kind)


def _opened(path: str | Path) -> PosedImages:
    with _naming(Path(path)):
        images = open_dataset(path, cache_bytes=0)
        names = {images.name(index) for index in range(len(images))}
        missing = [name for name, _ in read_labels(open_set(path)) if name not in names]
    if missing:
        logger.warning("%s labels %d images that it does not hold, such as %s", path, len(missing), missing[0])
    return images


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Let a message say which set it is about: file names are the same in all of ours."""
    try:
        yield
    except DataError as error:
        if str(path) in str(error):
            raise
        raise DataError(f"{path}: {error}") from error


def _refuse_other_kind(first: PosedImages, other: PosedImages) -> None:
    if _kind_of_images(other) != _kind_of_images(first):
        raise DataError(
            f"{other.path} has images of {_kind_of_images(other)}, {first.path} of {_kind_of_images(first)}; "
            "expected the same: make one of the sets anew"
        )
    names, expected = (images.classes.names if images.classes else () for images in (other, first))
    if names != expected:
        raise DataError(
            f"{other.path} has {_listed(names)}, {first.path} has {_listed(expected)}; expected the same names in the "
            "same order: make the sets with the same classes, or all without"
        )


def _kind_of_images(images: PosedImages) -> str:
    size = images.stored_resolution
    return f"{size} x {size} pixels {'with' if images.has_alpha else 'without'} alpha"


def _listed(names: Sequence[str]) -> str:
    more = ", ..." if len(names) > SHOWN_CLASSES else ""
    return f"the classes {', '.join(names[:SHOWN_CLASSES])}{more}" if names else "no classes"
