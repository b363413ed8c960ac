"""Whether a finished dataset is what its manifest says: counted, hashed, every file opened."""

from __future__ import annotations

import io
import json
import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hgs_toolkit.datasets.eg3d import match_labels
from hgs_toolkit.datasets.eg3d_writer import image_name
from hgs_toolkit.datasets.images import open_image
from hgs_toolkit.datasets.label_kinds import LABEL_FILE
from hgs_toolkit.errors import DataError
from hgs_toolkit.synthesis.containers import measure, read
from hgs_toolkit.synthesis.layout import Layout, ProductRecord, Record

OnContainer = Callable[[int, int], None]
"""Called with the number of containers examined so far, and of all containers."""


@dataclass(frozen=True)
class CheckReport:
    """What a check found.

    Attributes:
        images: views in the plan.
        files: number of files opened.
        bytes: total size of these files.
        problems: one sentence each; empty for a sound dataset.
        damaged: numbers of the shards with problems; not of those that only have files of others beside their own.
    """

    images: int
    files: int
    bytes: int
    problems: list[str]
    damaged: list[int]


def check(folder: str | Path, on_container: OnContainer | None = None) -> CheckReport:
    """Recount, rehash and open everything of the finished dataset in ``folder``.

    Args:
        on_container: called after each container.

    Raises:
        DataError: if there is no finished dataset to check.
    """
    layout = Layout.open(Path(folder))
    manifest = layout.read_manifest()
    if manifest is None:
        layout.records()  # names what is missing, if anything is
        raise DataError(f"{folder} has all its shards but is not finished; run: hgs synth merge {folder}")
    containers = list(_containers(layout, *manifest))
    problems: list[str] = []
    damaged: list[int] = []
    files = size = 0
    for done, container in enumerate(containers, start=1):
        found = _examine(layout, container)
        files, size = files + found.files, size + found.bytes
        problems += found.problems + found.foreign
        damaged += [container.shard] if found.problems and container.shard is not None else []
        if on_container is not None:
            on_container(done, len(containers))
    return CheckReport(layout.plan.images, files, size, problems, damaged)


def forget(folder: str | Path, report: CheckReport) -> None:
    """Mark damaged shards, and with them the dataset, as unfinished: ``--resume`` makes them again."""
    layout = Layout.open(Path(folder))
    layout.manifest.unlink(missing_ok=True)
    for shard in report.damaged:
        layout.record_path(shard).unlink(missing_ok=True)


@dataclass(frozen=True)
class _Container:
    """A shard or product to examine.

    Attributes:
        shard: its number; None for a product.
        path: where it is.
        bytes, sha256: what the manifest says.
        names: which files it should hold; None for a product that is one file.
    """

    shard: int | None
    path: Path
    bytes: int
    sha256: str
    names: Callable[[], Iterator[str]] | None


def _containers(layout: Layout, records: list[Record], product: ProductRecord | None) -> Iterator[_Container]:
    plan = layout.plan
    if [record.shard for record in records] != list(range(plan.shards)):
        raise DataError(f"{layout.manifest} lists other shards than its plan has; run the command again with --resume")
    replaced = layout.format.product is not None and layout.format.product.replaces_shards
    for record in [] if replaced else records:
        names = partial(layout.format.names, plan, record.shard)
        yield _Container(record.shard, layout.shard(record.shard), record.bytes, record.sha256, names)
    if product is not None and layout.product is not None:
        yield _Container(
            None, layout.product, product.bytes, product.sha256,
            partial(_posed_names, plan.images) if replaced else None,
        )  # fmt: skip


def _posed_names(count: int) -> Iterator[str]:
    """Files of a whole EG3D dataset."""
    yield from map(image_name, range(count))
    yield LABEL_FILE


@dataclass(frozen=True)
class _Findings:
    """Number of a container's files, their bytes, and what is wrong: with them, and that others are among them."""

    files: int
    bytes: int
    problems: list[str]
    foreign: list[str] = field(default_factory=list)


def _examine(layout: Layout, container: _Container) -> _Findings:
    """What a container holds."""
    path = container.path
    if not path.exists():
        return _Findings(0, 0, [f"{path} is missing"])
    expected = None if container.names is None else Counter(container.names())
    size, digest = measure(path, expected)
    problems = []
    if (size, digest) != (container.bytes, container.sha256):
        problems.append(f"{path} has {size} bytes and SHA-256 {digest[:12]}...; expected {container.bytes} and "
                        f"{container.sha256[:12]}...")  # fmt: skip
    if expected is None:
        return _Findings(1, size, problems)
    found: Counter[str] = Counter()
    try:
        for name, data in read(path):
            found[name] += 1
            problems += _open(layout, name, data) if name in expected else ()
    except DataError as error:
        problems.append(str(error))
    problems += [f"{path} lacks {name}" for name in (expected - found)]
    if path.is_dir():  # where anybody may put a file, which is nobody else's to remove
        foreign = [f"{path} holds {name}, which is not of the dataset; move it elsewhere" for name in found - expected]
        return _Findings((found & expected).total(), size, problems, foreign)
    problems += [f"{path} holds {name} once too often" for name in (found - expected)]
    return _Findings(found.total(), size, problems)


def _open(layout: Layout, name: str, data: bytes) -> Iterator[str]:
    """Problems of one file, whose suffix chooses the check; a file of unknown kind is only hashed."""
    size = layout.plan.settings.size
    try:
        if name.endswith(".png"):
            with open_image(data, name) as image:
                image.load()
                if image.size != (size, size):
                    yield f"{name} is {image.width} x {image.height}; expected {size} x {size}"
        elif name.endswith(".npy"):
            if not np.isfinite(_array(data)).all():
                yield f"{name} holds values that are not finite"
        elif name == LABEL_FILE:
            pairs = json.loads(data)["labels"]
            match_labels([pair[0] for pair in pairs], pairs)
        elif name.endswith(".json"):
            json.loads(data)
    except (OSError, ValueError, SyntaxError, KeyError, TypeError) as error:
        yield f"{name} cannot be opened: {error}"


def _array(data: bytes) -> NDArray[Any]:
    """The array of a .npy file; a ValueError if its header promises more or less than the file holds."""
    stream = io.BytesIO(data)
    version = np.lib.format.read_magic(stream)
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, kind = read_header(stream)
    promised, held = math.prod(shape) * kind.itemsize, len(data) - stream.tell()
    if promised != held:
        raise ValueError(f"its header promises {promised:,} bytes of values, it holds {held:,}")
    array: NDArray[Any] = np.load(io.BytesIO(data), allow_pickle=False)
    return array
