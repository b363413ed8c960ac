"""The EG3D layout that ``hgs train`` reads: dataset.json and images, with alpha if nothing is behind them, in a zip."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hgs_toolkit.datasets.classes import read_classes
from hgs_toolkit.datasets.eg3d import VIEWS, read_label_file
from hgs_toolkit.datasets.eg3d_writer import EG3DWriter, image_name, open_writer
from hgs_toolkit.datasets.images import MAX_IMAGE_BYTES
from hgs_toolkit.datasets.label_kinds import LABEL_FILE
from hgs_toolkit.datasets.storage import open_store
from hgs_toolkit.synthesis.annotations import AnnotatedView
from hgs_toolkit.synthesis.containers import Put
from hgs_toolkit.synthesis.formats.base import DatasetFormat, Product

if TYPE_CHECKING:
    from hgs_toolkit.synthesis.plan import SynthPlan

DATASET = "dataset.zip"


class PosedWriter:
    """A shard that is an EG3D dataset itself; see :class:`ShardWriter`."""

    def __init__(self, plan: SynthPlan, put: Put) -> None:
        self._writer, self._plan = EG3DWriter(put), plan
        self._writer.class_names = plan.prior.names
        self._writer.facts |= _facts(plan)

    def add(self, view: AnnotatedView) -> None:
        """See :class:`ShardWriter`."""
        name = self._plan.class_of(view.planned.seed)
        kind = self._plan.prior.parse(name).tolist() if name else None
        self._writer.add(view.files["rgb"], view.planned.label, kind)

    def finish(self) -> None:
        """The shard's dataset.json."""
        self._writer.finish()


def _facts(plan: SynthPlan) -> dict[str, Any]:
    """Further entries of dataset.json: the views of a scene stand one after the other, in shards and in their sum."""
    views = plan.settings.views
    return plan.terms | ({VIEWS: views} if views > 1 else {})


def shard_names(plan: SynthPlan, shard: int) -> Iterator[str]:
    """Files of a shard, numbered from 0 in each."""
    yield from (image_name(index) for index in range(len(plan.scenes(shard)) * plan.settings.views))
    yield LABEL_FILE


def join(plan: SynthPlan, shards: list[Path], target: Path) -> None:
    """One zip of all shards, numbered through."""
    with open_writer(target, force=True) as writer:
        writer.class_names = plan.prior.names
        writer.facts |= _facts(plan)
        for shard in shards:
            store = open_store(shard)
            pairs, facts = read_label_file(store)
            classes = read_classes(facts, [name for name, _ in pairs])
            for index, (name, label) in enumerate(pairs):
                kind = None if classes is None else classes.vectors[index].tolist()
                writer.add(store.read(name, MAX_IMAGE_BYTES), label, kind)
            store.close()


FORMAT = DatasetFormat(
    suffix=".zip",
    only=("rgb", "alpha", "camera"),
    usual=("rgb", "camera"),
    transparent=True,
    writer=PosedWriter,
    names=shard_names,
    product=Product(DATASET, join, replaces_shards=True),
)
