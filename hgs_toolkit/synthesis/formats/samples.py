"""One group of files a view, named by its number: plain in folders, or as WebDataset wants them in tar shards.

``00000012.rgb.png``, ``00000012.depth.png``, ..., ``00000012.json``: in a tar file the part before the first dot is
the sample's key, the rest its field (https://github.com/webdataset/webdataset).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from hgs_toolkit.synthesis.annotations import ANNOTATIONS, AnnotatedView, rows
from hgs_toolkit.synthesis.containers import Put
from hgs_toolkit.synthesis.formats.base import DatasetFormat, json_bytes

if TYPE_CHECKING:
    from hgs_toolkit.synthesis.plan import SynthPlan

FACTS = "json"


def sample_name(index: int, ending: str) -> str:
    """The file of view ``index`` of the dataset."""
    return f"{index:08d}.{ending}"


class SampleWriter:
    """Files of each view side by side; see :class:`ShardWriter`."""

    def __init__(self, plan: SynthPlan, put: Put) -> None:  # noqa: ARG002
        self._put = put

    def add(self, view: AnnotatedView) -> None:
        """See :class:`ShardWriter`."""
        for annotation, data in view.files.items():
            self._put(sample_name(view.planned.index, ANNOTATIONS[annotation].suffix), data)
        self._put(sample_name(view.planned.index, FACTS), json_bytes(view.entries))

    def finish(self) -> None:
        """A shard has no file of its own."""


def sample_names(plan: SynthPlan, shard: int) -> Iterator[str]:
    """Files of a shard."""
    endings = [row.suffix for row in rows(plan.settings.annotations) if row.suffix] + [FACTS]
    views, scenes = plan.settings.views, plan.scenes(shard)
    for index in range(scenes.start * views, scenes.stop * views):
        yield from (sample_name(index, ending) for ending in endings)


def _format(suffix: str) -> DatasetFormat:
    return DatasetFormat(suffix, None, None, False, SampleWriter, sample_names)


FOLDER = _format("")
WEBDATASET = _format(".tar")
