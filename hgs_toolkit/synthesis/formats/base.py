"""What a format is."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from hgs_toolkit.synthesis.annotations import ANNOTATIONS, AnnotatedView
from hgs_toolkit.synthesis.containers import Put

if TYPE_CHECKING:
    from hgs_toolkit.synthesis.plan import SynthPlan


class ShardWriter(Protocol):
    """Turns annotated views into the files of one shard, front to back."""

    def add(self, view: AnnotatedView) -> None:
        """Append a view; views come scene by scene."""
        ...

    def finish(self) -> None:
        """Append what can be said only at the end."""
        ...


@dataclass(frozen=True)
class Product:
    """The file that a format's finished shards are joined to.

    Attributes:
        name: of the file, within the dataset's folder.
        join: writes it, atomically, from the containers of all shards in their order.
        replaces_shards: whether it holds all that the shards hold, so that they can go.
    """

    name: str
    join: Callable[[SynthPlan, list[Path], Path], None]
    replaces_shards: bool


@dataclass(frozen=True)
class DatasetFormat:
    """One way to write a dataset.

    Attributes:
        suffix: of a shard: ``.tar``, ``.zip``, or nothing for a folder.
        only: annotations that it can store; None for every one of the table.
        usual: annotations that it stores if none is named; None for every one.
        transparent: whether images usually have nothing behind the scene.
        writer: makes a shard's writer.
        names: the files of a shard, in any order.
        product: None where the shards are the dataset.
    """

    suffix: str
    only: tuple[str, ...] | None
    usual: tuple[str, ...] | None
    transparent: bool
    writer: Callable[[SynthPlan, Put], ShardWriter]
    names: Callable[[SynthPlan, int], Iterator[str]]
    product: Product | None = None

    @property
    def annotations(self) -> tuple[str, ...]:
        """What it can store."""
        return tuple(ANNOTATIONS) if self.only is None else self.only

    @property
    def usual_annotations(self) -> tuple[str, ...]:
        """What it stores if nothing is named."""
        return tuple(ANNOTATIONS) if self.usual is None else self.usual


def json_bytes(value: Any) -> bytes:
    """Compact JSON; NaN is refused, since JSON has none."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()
