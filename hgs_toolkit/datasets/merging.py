"""One set made of several, such as images from all sides and more of the front."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hgs_toolkit.datasets.attribution import ATTRIBUTION, credits_to_json, read_credits
from hgs_toolkit.datasets.eg3d import POSES, VIEWS, OnProgress, PosedImages, open_dataset
from hgs_toolkit.datasets.eg3d_writer import open_writer
from hgs_toolkit.errors import DataError


def merge_sets(
    paths: Sequence[str | Path], out: str | Path, *, force: bool = False, progress: OnProgress | None = None
) -> int:
    """Write the images of several EG3D sets, one set after the other, as one; returns their number.

    PNG files keep their bytes, other images become PNG. Labels and classes stay what they are; credits are brought
    together. A set given twice counts twice.

    Args:
        progress: called with (images done, all).

    Raises:
        DataError: if there are fewer than two sets, they differ in size, alpha or the names of their classes, or one
            cannot be read.
        HgsError: if ``out`` exists and not ``force``, or cannot be written.
    """
    if len(paths) < 2:
        raise DataError(f"{len(paths)} set; expected at least two to bring together")
    sets = [open_dataset(path, cache_bytes=0) for path in paths]
    for other in sets[1:]:
        _refuse_other_kind(sets[0], other)
    total, done = sum(map(len, sets)), 0
    with open_writer(out, force=force) as writer:
        writer.facts = merged_facts(sets)
        writer.class_names = sets[0].classes.names if sets[0].classes else ()
        for images in sets:
            for index in range(len(images)):
                pixels = images.image(index)  # decoded even if not needed: a broken file is found here
                is_png = images.name(index).lower().endswith(".png")
                kind = images.classes.vectors[index].tolist() if images.classes else None
                writer.add(images.stored(index) if is_png else pixels, images.labels[index], kind)
                done += 1
                if progress is not None:
                    progress(done, total)
            images.close()
    return total


def merged_facts(sets: Sequence[PosedImages]) -> dict[str, Any]:
    """Entries of dataset.json that hold for all ``sets`` together.

    Credits are brought together, and so are descriptions of assumed poses; the views of a subject are those that
    every set has. Any other entry stays where all agree, and else becomes the list of the sets' entries.
    """
    facts: dict[str, Any] = {}
    for name in dict.fromkeys(name for images in sets for name in images.facts):
        values = [images.facts.get(name) for images in sets]
        if name == ATTRIBUTION:
            facts[name] = credits_to_json([credit for value in values for credit in read_credits(value)])
        elif name == POSES:
            facts[name] = "; ".join(dict.fromkeys(str(value) for value in values if value))
        elif name == VIEWS:
            facts[name] = math.gcd(*(images.views_per_subject for images in sets))
        else:
            facts[name] = values[0] if all(value == values[0] for value in values) else values
    return facts


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
    return f"the classes {', '.join(names)}" if names else "no classes"
