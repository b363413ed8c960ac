"""What a format is."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from hgs_toolkit.synthesis.annotations import Sample
from hgs_toolkit.synthesis.containers import Put

if TYPE_CHECKING:
    from hgs_toolkit.synthesis.plan import Plan


class ShardWriter(Protocol):
    """Turns samples into the files of one shard, front to back."""

    def add(self, sample: Sample) -> None:
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
    join: Callable[[Plan, list[Path], Path], None]
    replaces_shards: bool


@dataclass(frozen=True)
class Format:
    """One way to write a dataset.

    Attributes:
        suffix: of a shard: ``.tar``, ``.zip``, or nothing for a folder.
        annotations: what it can store.
        usual: what it stores if nothing else is asked for.
        transparent: whether pictures usually have nothing behind the scene.
        writer: makes a shard's writer.
        names: the files of a shard, in any order.
        product: None where the shards are the dataset.
    """

    suffix: str
    annotations: tuple[str, ...]
    usual: tuple[str, ...]
    transparent: bool
    writer: Callable[[Plan, Put], ShardWriter]
    names: Callable[[Plan, int], Iterator[str]]
    product: Product | None = None


def json_bytes(value: Any) -> bytes:
    """Compact JSON; NaN is refused, since JSON has none."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()
