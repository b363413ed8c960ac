"""Whether a finished dataset is what its manifest says: counted, hashed, every file opened."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from hgs_toolkit.datasets.eg3d import match_labels
from hgs_toolkit.datasets.eg3d_writer import image_name
from hgs_toolkit.datasets.images import open_image
from hgs_toolkit.datasets.label_kinds import LABEL_FILE
from hgs_toolkit.errors import DataError
from hgs_toolkit.synthesis.containers import measure, read
from hgs_toolkit.synthesis.layout import Layout, Record

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
        damaged: numbers of the shards with problems.
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
    containers = list(_containers(layout, manifest["shards"], manifest["product"]))
    problems: list[str] = []
    damaged: list[int] = []
    files = size = 0
    for done, container in enumerate(containers, start=1):
        count, total, found = _examine(layout, container)
        files, size = files + count, size + total
        problems += found
        damaged += [container.shard] if found and container.shard is not None else []
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


def _containers(layout: Layout, records: list[Record], product: dict[str, str | int] | None) -> Iterator[_Container]:
    plan = layout.plan
    if [record.shard for record in records] != list(range(plan.shards)):
        raise DataError(f"{layout.manifest} lists other shards than its plan has; run the command again with --resume")
    replaced = layout.format.product is not None and layout.format.product.replaces_shards
    for record in [] if replaced else records:
        names = partial(layout.format.names, plan, record.shard)
        yield _Container(record.shard, layout.shard(record.shard), record.bytes, record.sha256, names)
    if product is not None and layout.product is not None:
        yield _Container(
            None, layout.product, int(product["bytes"]), str(product["sha256"]),
            partial(_posed_names, plan.images) if replaced else None,
        )  # fmt: skip


def _posed_names(count: int) -> Iterator[str]:
    """Files of a whole EG3D dataset."""
    yield from map(image_name, range(count))
    yield LABEL_FILE


def _examine(layout: Layout, container: _Container) -> tuple[int, int, list[str]]:
    """Files, bytes and problems of a container."""
    path = container.path
    if not path.exists():
        return 0, 0, [f"{path} is missing"]
    size, digest = measure(path)
    problems = []
    if (size, digest) != (container.bytes, container.sha256):
        problems.append(f"{path} has {size} bytes and SHA-256 {digest[:12]}...; expected {container.bytes} and "
                        f"{container.sha256[:12]}...")  # fmt: skip
    if container.names is None:
        return 1, size, problems
    found: Counter[str] = Counter()
    try:
        for name, data in read(path):
            found[name] += 1
            problems += _open(layout, name, data)
    except DataError as error:
        problems.append(str(error))
    expected = Counter(container.names())
    problems += [f"{path} lacks {name}" for name in (expected - found)]
    problems += [f"{path} holds {name} once too often" for name in (found - expected)]
    return found.total(), size, problems


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
            values = np.load(io.BytesIO(data), allow_pickle=False)
            if not np.isfinite(values).all():
                yield f"{name} holds values that are not finite"
        elif name == LABEL_FILE:
            pairs = json.loads(data)["labels"]
            match_labels([pair[0] for pair in pairs], pairs)
        elif name.endswith(".json"):
            json.loads(data)
    except (OSError, ValueError, SyntaxError, KeyError, TypeError) as error:
        yield f"{name} cannot be opened: {error}"
