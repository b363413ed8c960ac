"""What the labels of a dataset.json are: cameras as in EG3D, classes as in StyleGAN, or a camera followed by a class.

StyleGAN's labels (Karras et al. 2020, dataset_tool.py) are the whole number of a class, a vector with 1 at its place, a
vector of attributes, or ``null`` for a set without any. Conditional variants of EG3D join a class vector to the 25
numbers of the camera.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from hgs_toolkit.conventions import LABEL_SIZE
from hgs_toolkit.datasets.classes import CLASSES, MAX_NAMES, ClassLabel, classes_by_name
from hgs_toolkit.datasets.storage import FileStore
from hgs_toolkit.errors import DataError

LABEL_FILE = "dataset.json"

MAX_LABEL_BYTES = 1 << 29
"""Largest dataset.json that is read: about a million labels."""

Pairs = Sequence[tuple[str, Any]]


def is_class(label: Any) -> bool:
    """Whether a label is a class and no camera: a whole number, or a vector of zeros and ones.

    25 numbers are a camera unless exactly one of them is 1 and the others are 0, which no camera is.
    """
    if isinstance(label, int) and not isinstance(label, bool):
        return label >= 0
    if not isinstance(label, list) or not 1 <= len(label) <= MAX_NAMES:
        return False
    binary = all(isinstance(value, int | float) and value in (0, 1) for value in label)
    return binary and (len(label) != LABEL_SIZE or sum(label) == 1)


def says_cameras(store: FileStore) -> bool:
    """Whether the dataset.json of a store has cameras; True for a broken one, too, whose reader names the fault."""
    try:
        return not all(is_class(label) for _, label in _pairs(store))
    except (DataError, ValueError, RecursionError):
        return True


def read_class_labels(store: FileStore) -> dict[str, ClassLabel] | None:
    """The class of each image that a dataset.json of classes alone names; None if there is no such file.

    The file may lie in the one folder around a set; names are those of the store.

    Raises:
        DataError: naming an image that has two different classes.
    """
    if not label_file(store) or says_cameras(store):
        return None
    folder = label_file(store).removesuffix(LABEL_FILE)
    return classes_by_name((folder + name.replace("\\", "/"), label) for name, label in _pairs(store)) or None


def label_file(store: FileStore) -> str:
    """The name of the store's dataset.json: at its top, or in the only folder that has one; empty if there is none."""
    if LABEL_FILE in store.names:
        return LABEL_FILE
    inner = [name for name in store.names if name.count("/") == 1 and name.endswith(f"/{LABEL_FILE}")]
    inner = [name for name in inner if not name.startswith(("__MACOSX/", "."))]
    return inner[0] if len(inner) == 1 else ""


def split_classes(pairs: Pairs, facts: dict[str, Any]) -> tuple[Pairs, dict[str, Any]]:
    """Labels of a camera and a class vector, taken apart: the cameras, and the facts with an entry ``classes``.

    Nothing changes where a label is no longer than a camera's, or the facts have classes already.
    """
    longer = pairs and all(isinstance(label, list) and len(label) > LABEL_SIZE for _, label in pairs)
    if not longer or CLASSES in facts:
        return pairs, facts
    classes = {"labels": [[name, label[LABEL_SIZE:]] for name, label in pairs]}
    return [(name, label[:LABEL_SIZE]) for name, label in pairs], facts | {CLASSES: classes}


def _pairs(store: FileStore) -> list[tuple[str, Any]]:
    """The pairs of the store's dataset.json; none where its labels are ``null``."""
    content = json.loads(store.read(label_file(store), MAX_LABEL_BYTES))
    pairs = content.get("labels", 0) if isinstance(content, dict) else 0
    if pairs is None:
        return []
    if not isinstance(pairs, list) or not pairs or not all(is_pair(pair) for pair in pairs):
        raise DataError(f'{LABEL_FILE} in {store.path} is not {{"labels": [[name, label], ...]}}')
    return [(name, label) for name, label in pairs]


def is_pair(value: Any) -> bool:
    """Whether a value is a name with its label."""
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str)
