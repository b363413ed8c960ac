"""The classes of a posed set: an entry ``classes`` of dataset.json, beside the camera labels.

``{"labels": [...], "classes": {"names": ["chair", "table"], "labels": [["00000/img00000000.png", 0], ...]}}``: as in
StyleGAN's dataset.json, a class label is a whole number from 0 or a vector of numbers, such as one for each attribute.
``names`` names the numbers of the vector; without it they are called "0", "1" and so on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from hgs_toolkit.config import ClassPrior
from hgs_toolkit.config.classes import Vectors, check_names
from hgs_toolkit.errors import ConfigError, DataError

CLASSES = "classes"
"""The entry's key in dataset.json."""

MAX_NAMES = 4096

MAX_KINDS = 256
"""Number of different class vectors that a model keeps; of a set with more, the most frequent ones."""

DIGITS = 6
"""Number of decimals of a share."""

ClassLabel = int | Sequence[float]
"""A class: its number, or the vector of the attributes."""


@dataclass(frozen=True, eq=False)
class ClassLabels:
    """The classes of N images.

    Attributes:
        names: C names.
        vectors: (N, C) float32; a class's number n is the vector with 1 at n and 0 elsewhere.
    """

    names: tuple[str, ...]
    vectors: Vectors

    @property
    def prior(self) -> ClassPrior:
        """How often each class vector occurs, those with the earlier names first."""
        distinct, counts, _ = self._kinds
        shares = tuple(round(float(count), DIGITS) for count in counts / counts.sum())
        plain = np.array_equal(distinct, np.eye(len(self.names), dtype=np.float32))
        vectors = () if plain else tuple(tuple(map(float, vector)) for vector in distinct)
        return ClassPrior(self.names, vectors, () if len(set(counts.tolist())) == 1 else shares)

    def counts(self) -> dict[str, int]:
        """Number of images of each class vector, by its text; those beyond MAX_KINDS together, as the last."""
        _, numbers, others = self._kinds
        found = dict(zip(self.prior.texts, numbers.tolist(), strict=True))
        if others:  # no class can be called so: its name holds no comma
            found[f"others, {others} kinds"] = len(self.vectors) - int(numbers.sum())
        return found

    @cached_property
    def _kinds(self) -> tuple[Vectors, npt.NDArray[np.int64], int]:
        """The most frequent vectors (K, C), how many images each has (K,), and how many other vectors there are."""
        distinct, numbers = np.unique(self.vectors, axis=0, return_counts=True)
        kept = np.sort(np.argsort(-numbers, kind="stable")[:MAX_KINDS])[::-1]
        return distinct[kept], numbers[kept], len(distinct) - len(kept)


def read_classes(facts: Mapping[str, Any], names: Sequence[str]) -> ClassLabels | None:
    """The classes of the images ``names`` in the ``facts`` of a dataset.json; None if it has none.

    Raises:
        DataError: naming the first image without a class, or whose class is neither a number nor a vector as expected.
    """
    entry = facts.get(CLASSES)
    if entry is None:
        return None
    pairs = entry.get("labels") if isinstance(entry, dict) else None
    if not isinstance(pairs, list) or not all(isinstance(p, list) and len(p) == 2 for p in pairs):
        raise DataError(f'"{CLASSES}" of dataset.json is not {{"names": [...], "labels": [[image, class], ...]}}')
    by_name = classes_by_name((str(name).replace("\\", "/"), value) for name, value in pairs)
    missing = [name for name in names if name not in by_name]
    if missing:
        raise DataError(
            f'"{CLASSES}" of dataset.json leaves out {len(missing)} of {len(names)} images, the first is {missing[0]}; '
            "expected a class for every image, or for none"
        )
    values = [by_name[name] for name in names]
    return class_labels(_names(entry.get("names"), values), values, names)


def classes_by_name(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """The class of each image; DataError names one that has two different ones."""
    by_name: dict[str, Any] = {}
    for name, value in pairs:
        if by_name.setdefault(name, value) != value:
            raise DataError(f"dataset.json has two different classes for {name}; expected one")
    return by_name


def class_labels(names: Sequence[str], values: Sequence[ClassLabel], images: Sequence[str] = ()) -> ClassLabels:
    """Classes from their labels.

    Args:
        names: of the numbers of a vector.
        values: a label for each image.
        images: what messages call the images.

    Raises:
        DataError: naming the image whose label is neither a class's number nor a vector of ``len(names)`` numbers.
    """
    try:
        check_names(tuple(names), f'"{CLASSES}" of dataset.json')
    except ConfigError as error:
        raise DataError(str(error)) from error
    vectors = np.zeros((len(values), len(names)), dtype=np.float32)
    for index, value in enumerate(values):
        if isinstance(value, list | tuple) and len(value) == len(names) and all(map(_is_number, value)):
            vectors[index] = value
        elif isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(names):
            vectors[index, value] = 1
        else:
            given = f"{len(value)} values" if isinstance(value, list | tuple) else repr(value)
            if isinstance(value, list | tuple) and len(value) == len(names):
                given += ", not all of them finite numbers"
            image = images[index] if index < len(images) else f"image {index}"
            raise DataError(
                f"the class of {image} is {given}; expected a number from 0 to {len(names) - 1}, or a vector of "
                f"{len(names)} numbers, one for each of the names {', '.join(names[:6])}{', ...' * (len(names) > 6)}"
            )
    return ClassLabels(tuple(names), vectors)


def classes_entry(names: Sequence[str], images: Sequence[str], values: Sequence[ClassLabel]) -> dict[str, Any]:
    """What dataset.json says of the classes of ``images``: the value of its entry ``classes``."""
    labels = [[image, _short(value)] for image, value in zip(images, values, strict=True)]
    return {"names": list(names), "labels": labels}


def _short(value: ClassLabel) -> ClassLabel:
    """The number of a class instead of a vector with a 1 at its place alone; whole numbers without a fraction."""
    if isinstance(value, int):
        return value
    numbers = [int(number) if float(number).is_integer() else float(number) for number in value]
    return numbers.index(1) if sorted(numbers) == [0] * (len(numbers) - 1) + [1] else numbers


def folder_names(places: Sequence[str]) -> list[str]:
    """The names of the first folders of relative paths, sorted.

    Raises:
        DataError: if a path has no folder, or there is only one.
    """
    found = sorted({top_folder(place) for place in places})
    if len(found) < 2:
        raise DataError(f"all {len(places)} files are of one folder, '{found[0]}'; expected a folder for each class")
    try:
        check_names(tuple(found), "the list of folders")
    except ConfigError as error:
        raise DataError(f"{error}; rename the folder") from error
    return found


def top_folder(place: str) -> str:
    """The first folder of a relative path."""
    folder, slash, _ = place.partition("/")
    if not slash:
        raise DataError(f"{place} lies in no folder; expected a folder for each class")
    return folder


def _names(given: Any, values: Sequence[Any]) -> list[str]:
    if given is None:
        lengths = [len(value) if isinstance(value, list) else value + 1 for value in values if _is_label(value)]
        given = [str(number) for number in range(max(lengths, default=1))]
    if not isinstance(given, list) or not 1 <= len(given) <= MAX_NAMES or not all(isinstance(n, str) for n in given):
        raise DataError(f'the names in "{CLASSES}" of dataset.json are not 1 ... {MAX_NAMES} texts')
    return given


def _is_label(value: Any) -> bool:
    return isinstance(value, list) or (isinstance(value, int) and 0 <= value < MAX_NAMES)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e30  # not so NaN
