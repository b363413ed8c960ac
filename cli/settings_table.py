"""The settings of a run as a table: key, type, default and meaning of each, read from the dataclasses themselves."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import itertools
import re
from dataclasses import dataclass
from typing import Any, get_type_hints

from hgs_toolkit.config import Config
from hgs_toolkit.pose_prior import PosePrior

PAGE_START = """# Settings of a training run

Each is a key of a configuration file and of `hgs train --set key=value`; `hgs train --settings` prints this table.
Defaults are those of the reference model; presets change them.

| key | type | default | meaning |
|---|---|---|---|"""


@dataclass(frozen=True)
class Setting:
    """One setting.

    Attributes:
        key: what ``--set`` calls it, such as ``training.batch``.
        kind: its type, as it is annotated.
        default: its default value.
        meaning: what it is, with its unit.
    """

    key: str
    kind: str
    default: str
    meaning: str


def list_settings(cls: type = Config, prefix: str = "") -> list[Setting]:
    """The settings of a configuration dataclass and of the dataclasses in it, in their order."""
    types, meanings, found = get_type_hints(cls), _meanings(cls), []
    kinds = inspect.get_annotations(cls)
    for field in dataclasses.fields(cls):
        kind = types[field.name]
        if dataclasses.is_dataclass(kind):
            found += list_settings(kind, f"{prefix}{field.name}.")  # type: ignore[arg-type]
            continue
        value: Any = field.default
        if isinstance(value, float):
            value = round(value, 4)
        found.append(Setting(prefix + field.name, str(kinds[field.name]), str(value), meanings.get(field.name, "")))
    return found


def settings_page() -> str:
    """The table as a page of Markdown."""
    rows = [PAGE_START]
    for one in list_settings():
        cells = (f"`{one.key}`", one.kind, f"`{one.default}`" if one.default else "", one.meaning.replace("``", "`"))
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows) + "\n"


def _meanings(cls: type) -> dict[str, str]:
    """The texts below the fields of a dataclass, or, of the pose prior, those of its docstring."""
    if cls is PosePrior:
        lines = re.findall(r"^ {8}([a-z_, ]+): (.+?)(?=\n {8}[a-z]|\n {4}\"|\Z)", cls.__doc__ or "", re.M | re.S)
        return {name.strip(): _one_line(text) for names, text in lines for name in names.split(",")}
    (definition,) = ast.parse(inspect.getsource(cls)).body
    assert isinstance(definition, ast.ClassDef)
    found = {}
    for before, after in itertools.pairwise(definition.body):
        if not (isinstance(before, ast.AnnAssign) and isinstance(before.target, ast.Name)):
            continue
        if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            found[before.target.id] = _one_line(str(after.value.value))
    return found


def _one_line(text: str) -> str:
    return " ".join(text.split()).rstrip(".")


if __name__ == "__main__":
    from hgs_toolkit.files import write_bytes

    write_bytes("docs/settings.md", settings_page().encode())
