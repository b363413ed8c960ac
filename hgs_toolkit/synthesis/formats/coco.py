"""COCO: images, and annotations.json with a box and a run-length mask of the subject in each.

Masks are COCO's uncompressed run lengths: {"size": [height, width], "counts": [...]}, counted down the columns, the
first count being zeros (data format of https://cocodataset.org). A view without a subject has no annotation.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from hgs_toolkit.datasets.attribution import ATTRIBUTION, LICENCE
from hgs_toolkit.files import atomic_path
from hgs_toolkit.synthesis.annotations import ANNOTATIONS, AnnotatedView, Annotation, Mask, rows
from hgs_toolkit.synthesis.containers import Put
from hgs_toolkit.synthesis.formats.base import DatasetFormat, Product, json_bytes
from hgs_toolkit.synthesis.formats.samples import FACTS, sample_name

if TYPE_CHECKING:
    from hgs_toolkit.synthesis.plan import SynthPlan

INSTANCES = "annotations.json"

CATEGORY = 1
"""Number of the first category."""

LICENCE_NUMBER = 1
"""Number of the model's licence, where its scenes have one that must be told."""

IN_THE_JSON = ("mask", "bbox")
"""Names of the annotations that COCO keeps in annotations.json."""


class CocoWriter:
    """A shard that is a COCO dataset itself; see :class:`ShardWriter`. A shard's masks stay in memory."""

    def __init__(self, plan: SynthPlan, put: Put) -> None:
        self._plan, self._put = plan, put
        self._images: list[dict[str, Any]] = []
        self._annotations: list[dict[str, Any]] = []

    def add(self, view: AnnotatedView) -> None:
        """See :class:`ShardWriter`."""
        index, size = view.planned.index, self._plan.settings.size
        for row in _file_rows(view.files):
            self._put(sample_name(index, row.suffix), view.files[row.name])
        number, file = index + 1, sample_name(index, ANNOTATIONS["rgb"].suffix)
        facts = {name: value for name, value in view.entries.items() if name not in IN_THE_JSON}
        licence = {"license": LICENCE_NUMBER} if LICENCE in self._plan.terms else {}
        self._images.append({"id": number, "file_name": file, "width": size, "height": size, FACTS: facts} | licence)
        if view.box is not None:
            self._annotations.append(
                {
                    "id": number, "image_id": number, "category_id": self._category(view), "iscrowd": 0,
                    "bbox": list(view.box), "area": int(view.mask.sum()), "segmentation": run_lengths(view.mask),
                }
            )  # fmt: skip

    def _category(self, view: AnnotatedView) -> int:
        """The number of a view's class, from CATEGORY on."""
        plan = self._plan
        return CATEGORY + (plan.classes.index(plan.class_of(view.planned.seed)) if plan.classes else 0)

    def finish(self) -> None:
        """The shard's annotations.json."""
        instances = head(self._plan) | {"images": self._images, "annotations": self._annotations}
        self._put(INSTANCES, json_bytes(instances))


def run_lengths(mask: Mask) -> dict[str, Any]:
    """A mask (H, W) as COCO's uncompressed run lengths."""
    column_wise = mask.T.reshape(-1)
    changes = np.flatnonzero(column_wise[1:] != column_wise[:-1]) + 1
    counts = np.diff([0, *changes, column_wise.size]).tolist()
    return {"size": list(mask.shape), "counts": [0, *counts] if column_wise[0] else counts}


def head(plan: SynthPlan) -> dict[str, Any]:
    """The entries that every annotations.json of a dataset shares."""
    info = {"description": f"synthesised by hgs_toolkit from {plan.model}", "version": plan.versions["hgs_toolkit"]}
    names = plan.classes or (plan.settings.category,)
    super_category = {"supercategory": plan.settings.category} if plan.classes else {}
    categories = [{"id": number, "name": name} | super_category for number, name in enumerate(names, start=CATEGORY)]
    licenses = [{"id": LICENCE_NUMBER, "name": plan.terms[LICENCE], "url": ""}] if LICENCE in plan.terms else []
    works = {ATTRIBUTION: plan.terms[ATTRIBUTION]} if ATTRIBUTION in plan.terms else {}
    return {"info": info | works, "licenses": licenses, "categories": categories}


def instance_names(plan: SynthPlan, shard: int) -> Iterator[str]:
    """Files of a shard."""
    views, scenes = plan.settings.views, plan.scenes(shard)
    for index in range(scenes.start * views, scenes.stop * views):
        yield from (sample_name(index, row.suffix) for row in _file_rows(plan.settings.annotations))
    yield INSTANCES


def join(plan: SynthPlan, shards: list[Path], target: Path) -> None:
    """One annotations.json for all shards, whose images stay where they are; one shard is in memory at a time."""

    def entries(kind: str) -> Iterator[Any]:
        for shard in shards:
            for entry in json.loads((shard / INSTANCES).read_bytes())[kind]:
                if "file_name" in entry:
                    entry["file_name"] = (shard / entry["file_name"]).relative_to(target.parent).as_posix()
                yield entry

    with atomic_path(target) as temporary, open(temporary, "wb") as file:
        file.write(json_bytes(head(plan))[:-1])
        for kind in ("images", "annotations"):
            _write_list(file, kind, entries(kind))
        file.write(b"}\n")


def _write_list(file: IO[bytes], name: str, entries: Iterable[Any]) -> None:
    file.write(f',"{name}":[\n'.encode())
    for comma, entry in zip(itertools.chain([b""], itertools.repeat(b",\n")), entries, strict=False):
        file.write(comma + json_bytes(entry))
    file.write(b"]")


def _file_rows(annotations: Iterable[str]) -> list[Annotation]:
    return [row for row in rows(annotations) if row.suffix and row.name not in IN_THE_JSON]


FORMAT = DatasetFormat(
    suffix="",
    only=None,
    usual=("rgb", "mask", "bbox", "camera"),
    transparent=False,
    writer=CocoWriter,
    names=instance_names,
    product=Product(INSTANCES, join, replaces_shards=False),
)
