"""One group of files a view, named by its number: plain in folders, or as WebDataset wants them in tar shards.

``00000012.rgb.png``, ``00000012.depth.png``, ..., ``00000012.json``: in a tar file the part before the first dot is
the sample's key, the rest its field (https://github.com/webdataset/webdataset).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from hgs_toolkit.synthesis.annotations import ANNOTATIONS, SUFFIXES, Sample, describe
from hgs_toolkit.synthesis.containers import Put
from hgs_toolkit.synthesis.formats.base import Format, json_bytes

if TYPE_CHECKING:
    from hgs_toolkit.synthesis.plan import Plan

FACTS = "json"


def sample_name(index: int, ending: str) -> str:
    """The file of view ``index`` of the dataset."""
    return f"{index:08d}.{ending}"


class SampleWriter:
    """Files of each view side by side; see :class:`ShardWriter`."""

    def __init__(self, plan: Plan, put: Put) -> None:
        self._plan, self._put = plan, put

    def add(self, sample: Sample) -> None:
        """See :class:`ShardWriter`."""
        for annotation, data in sample.files.items():
            self._put(sample_name(sample.view.index, SUFFIXES[annotation]), data)
        self._put(sample_name(sample.view.index, FACTS), json_bytes(describe(self._plan, sample)))

    def finish(self) -> None:
        """Nothing is left to say."""


def sample_names(plan: Plan, shard: int) -> Iterator[str]:
    """Files of a shard."""
    endings = [SUFFIXES[name] for name in plan.settings.annotations if name in SUFFIXES] + [FACTS]
    views, scenes = plan.settings.views, plan.scenes(shard)
    for index in range(scenes.start * views, scenes.stop * views):
        yield from (sample_name(index, ending) for ending in endings)


def _format(suffix: str) -> Format:
    everything = tuple(ANNOTATIONS)
    return Format(suffix, everything, everything, False, SampleWriter, sample_names)


FOLDER = _format("")
WEBDATASET = _format(".tar")
