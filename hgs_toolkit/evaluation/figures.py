"""One number with its conditions, and the file of all numbers of a model."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hgs_toolkit.files import write_json

FORMAT_VERSION = 1


@dataclass(frozen=True)
class Figure:
    """A number; two are comparable only if their names and conditions agree.

    Attributes:
        name: what was measured, with the feature extractor's name where there is one: ``kid_squeeze``.
        value: in ``unit``.
        unit: for people; empty for plain numbers.
        std: spread of the value, of what the conditions say; None where it has none.
        floor: the same measure of real images or of the true shapes; None where there is no such thing.
        conditions: counts, seed, extractor, digest of its weights, resize mode, size, digest of the model.
    """

    name: str
    value: float
    unit: str
    std: float | None
    floor: float | None
    conditions: dict[str, Any]


@dataclass(frozen=True)
class Report:
    """All numbers of one model.

    Attributes:
        model: name, file, digest and facts of the model.
        data: path and size of the dataset; None where none was used.
        settings: what was asked for.
        figures: the numbers.
    """

    model: dict[str, Any]
    data: dict[str, Any] | None
    settings: dict[str, Any]
    figures: list[Figure]

    def write(self, path: str | Path, *, force: bool = True) -> None:
        """Write it as JSON, atomically.

        Raises:
            HgsError: if the file cannot be written, or exists and not ``force``.
        """
        write_json(path, {"hgs_eval": FORMAT_VERSION} | asdict(self), force=force)
