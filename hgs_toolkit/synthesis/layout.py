"""The folder of a dataset: plan.json comes first, then shards with a record each, products, and manifest.json last.

::

    plan.json            what is to be made
    shards/000000.tar    (or .zip, or a folder) appears complete, by renaming
    shards/000000.json   its record, written after it: the shard is done
    dataset.zip, annotations.json    products of the formats that have one
    manifest.json        the plan and every shard's record: the dataset is done

No file says when, where or in how many pieces of work it was made, so that equal plans give equal folders.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hgs_toolkit.errors import DataError, HgsError
from hgs_toolkit.files import write_json
from hgs_toolkit.settings_io import build
from hgs_toolkit.synthesis.containers import TEMPORARY, names_in, remove_unfinished, size_of
from hgs_toolkit.synthesis.formats import FORMATS, DatasetFormat
from hgs_toolkit.synthesis.plan import SynthPlan, is_plan, read_plan

logger = logging.getLogger(__name__)

PLAN, MANIFEST, SHARDS = "plan.json", "manifest.json", "shards"

NAMES_SHOWN = 5


@dataclass(frozen=True)
class Record:
    """The record of a finished shard.

    Attributes:
        shard: its number.
        plan: digest of the plan it belongs to.
        images: views in it.
        bytes: of its files.
        sha256: see :func:`hgs_toolkit.synthesis.containers.measure`.
        precision: type in which the machine that made it multiplied features, ``float32`` or ``bfloat16``: with another
            one, pictures differ a little (bfloat16 by 45 dB at least).
    """

    shard: int
    plan: str
    images: int
    bytes: int
    sha256: str
    precision: str = "float32"


@dataclass(frozen=True)
class ProductRecord:
    """What the manifest says of a format's product: its name in the dataset's folder, its bytes and their SHA-256."""

    name: str
    bytes: int
    sha256: str


class Layout:
    """Paths of one dataset's files, and what is there already."""

    def __init__(self, folder: Path, plan: SynthPlan) -> None:
        self.folder, self.plan = folder, plan
        self.format: DatasetFormat = FORMATS[plan.settings.format]

    @classmethod
    def open(cls, folder: Path) -> Layout:
        """The dataset of an existing folder; DataError if it has no readable plan."""
        return cls(folder, read_plan(folder / PLAN))

    @property
    def shard_folder(self) -> Path:
        """The folder that holds the shards."""
        return self.folder / SHARDS

    @property
    def manifest(self) -> Path:
        """The last file."""
        return self.folder / MANIFEST

    @property
    def product(self) -> Path | None:
        """The file that the shards are joined to, in formats that have one."""
        return self.folder / self.format.product.name if self.format.product else None

    def shard(self, number: int) -> Path:
        """A shard's container."""
        return self.shard_folder / f"{number:06d}{self.format.suffix}"

    def record_path(self, number: int) -> Path:
        """A shard's record."""
        return self.shard_folder / f"{number:06d}.json"

    def record(self, number: int) -> Record | None:
        """The record of a shard of this plan, or None if that is not (wholly) there; other files beside it are."""
        try:
            record = build(Record, json.loads(self.record_path(number).read_bytes()), "")
        except (OSError, ValueError, TypeError, RecursionError):
            return None
        of_this = record.shard == number and record.plan == self.plan.digest
        names = self.format.names(self.plan, number)
        return record if of_this and size_of(self.shard(number), names) == record.bytes else None

    def refuse_foreign(self, shards: list[int]) -> None:
        """Raise an HgsError if making ``shards`` would remove files that are not of this dataset."""
        for number in shards:
            own = frozenset(self.format.names(self.plan, number))
            foreign = [name for name in names_in(self.shard(number)) if name not in own]
            if foreign:
                raise HgsError(
                    f"{self.shard(number)} is to be made again and holds {', '.join(foreign[:NAMES_SHOWN])}, which is "
                    "not of this dataset; move that elsewhere, then run the command again"
                )

    def write_record(self, record: Record) -> None:
        """Mark a shard as done."""
        write_json(self.record_path(record.shard), dataclasses.asdict(record))

    def missing(self, shards: range) -> list[int]:
        """The members of ``shards`` that are not done."""
        return [shard for shard in shards if self.record(shard) is None]

    def records(self) -> list[Record]:
        """The records of all shards.

        Raises:
            DataError: naming those that are not done.
        """
        found = [self.record(shard) for shard in range(self.plan.shards)]
        missing = [str(shard) for shard, record in enumerate(found) if record is None]
        if missing:
            names = ", ".join(missing[:NAMES_SHOWN]) + (", ..." if len(missing) > NAMES_SHOWN else "")
            raise DataError(
                f"{self.folder} lacks {len(missing)} of {self.plan.shards} shards ({names}); "
                "make them with the command that began it and --resume"
            )
        return [record for record in found if record is not None]

    def remove_unfinished(self, shard: int) -> None:
        """Remove what a lost worker left of ``shard``."""
        remove_unfinished(self.shard_folder, self.shard(shard).name)

    def manifest_values(self, records: list[Record], product: ProductRecord | None) -> dict[str, Any]:
        """Content of the manifest."""
        return {
            **self.plan.to_dict(), "plan_sha256": self.plan.digest, "images": self.plan.images,
            "product": product and dataclasses.asdict(product),
            "shards": [dataclasses.asdict(record) for record in records],
        }  # fmt: skip

    def finished(self) -> bool:
        """Whether the dataset is done and all of it is still there.

        Raises:
            DataError: as for :meth:`read_manifest`.
        """
        manifest = self.read_manifest()
        if manifest is None:
            return False
        (_, product), form = manifest, self.format.product
        whole = product is None or size_of(self.folder / product.name) == product.bytes
        if form is None or not form.replaces_shards:
            whole &= not self.missing(range(self.plan.shards))
        if not whole:
            logger.warning("%s was finished, but some of it is gone or has another size now", self.folder)
        return whole

    def read_manifest(self) -> tuple[list[Record], ProductRecord | None] | None:
        """The shards and the product that the manifest lists, or None where the dataset is not done.

        Raises:
            DataError: if it is broken or of another plan.
        """
        if not self.manifest.exists():
            return None
        try:
            values = json.loads(self.manifest.read_bytes())
            plan, given = values["plan_sha256"], values["product"]
            records = [build(Record, entry, "shards.") for entry in values["shards"]]
            product = None if given is None else build(ProductRecord, given, "product.")
            if (product and product.name) != (self.product and self.product.name):
                raise DataError(f"its product is {given!r:.60}")
        except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
            fault = f"it has no {error}" if isinstance(error, KeyError) else error
            raise DataError(f"{self.manifest} is damaged: {fault}; remove it and run 'hgs synth merge'") from error
        if plan != self.plan.digest:
            raise DataError(f"{self.manifest} belongs to another plan than {PLAN} beside it")
        return records, product


def claim(folder: Path, plan: SynthPlan, own: range, *, resume: bool, force: bool) -> Layout:
    """The layout of the dataset to be made in ``folder``, whose plan is written there if it is new.

    Args:
        own: numbers of the shards that this run is to make.
        resume: whether what is there already is kept.
        force: whether another dataset in ``folder`` is removed first.

    Raises:
        HgsError: if the folder holds something else, or a dataset and neither ``resume`` nor ``force``, or with
            ``resume`` a dataset of another plan; the message says what differs.
    """
    layout = Layout(folder, plan)
    if folder.exists() and not folder.is_dir():
        raise HgsError(f"{folder} is a file; expected a folder to make the dataset in")
    other = f"{folder} holds something else than a dataset of 'hgs synth'; choose another folder"
    held = folder.exists() and any(not path.name.startswith(TEMPORARY) for path in folder.iterdir())
    if held and not (folder / PLAN).exists():  # asked last: another part may be writing its plan just now
        raise HgsError(other)
    if (folder / PLAN).exists():
        if force and not resume:
            if not is_plan(folder / PLAN):
                raise HgsError(other)
            _remove(folder)
        else:
            _check_same(folder, plan, layout, own, resume)
    if not (folder / PLAN).exists():
        write_json(folder / PLAN, plan.to_dict())
    return layout


def _check_same(folder: Path, plan: SynthPlan, layout: Layout, own: range, resume: bool) -> None:
    differences = plan.differences(read_plan(folder / PLAN))
    if differences:
        more = f" and {len(differences) - NAMES_SHOWN} more" if len(differences) > NAMES_SHOWN else ""
        raise HgsError(
            f"{folder} holds a dataset of another plan ({'; '.join(differences[:NAMES_SHOWN])}{more}); run the command "
            "that began it, or replace it with --force, or choose another folder"
        )
    begun = layout.manifest.exists() or len(layout.missing(own)) < len(own)
    if begun and not resume:
        raise HgsError(f"{folder} holds this dataset already; add --resume to go on with it or --force to replace it")


def _remove(folder: Path) -> None:
    """Remove a dataset of ours and nothing else: the manifest first, which says that it is whole, the plan last."""
    products = [form.product.name for form in FORMATS.values() if form.product]
    (folder / MANIFEST).unlink(missing_ok=True)
    shutil.rmtree(folder / SHARDS, ignore_errors=True)
    remove_unfinished(folder)
    for name in (*products, PLAN):
        (folder / name).unlink(missing_ok=True)
