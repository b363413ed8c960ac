"""The tables of docs/formats.md and docs/datasets.md name what the registries hold, and nothing else."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from hgs_toolkit.datasets.images import IMAGE_SUFFIXES
from hgs_toolkit.datasets.meshes.library import MESH_SUFFIXES
from hgs_toolkit.datasets.sources import SOURCES
from hgs_toolkit.exporters.options import ExportOptions
from hgs_toolkit.exporters.table import FORMATS

DOCS = Path(__file__).parents[2] / "docs"
NAME = re.compile(r"`([^`]+)`")


def rows(page: str, header: str) -> list[list[str]]:
    """The cells of the table whose first line begins with ``header``."""
    lines = (DOCS / page).read_text("utf-8").splitlines()
    start = next(index for index, line in enumerate(lines) if line.startswith(header))
    found = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        found.append([cell.strip() for cell in line.strip("|").split("|")])
    return found


def names(cell: str) -> set[str]:
    return {name.split()[0] for name in NAME.findall(cell)}


def test_every_splat_format_has_a_row_and_no_other_has_one() -> None:
    table = {name: row for row in rows("formats.md", "| suffix | opens in") for name in names(row[0])}
    assert set(table) == {row.suffix for row in FORMATS}
    for row in FORMATS:
        flags = {"--no-normals" if name == "normals" else "--" + name.replace("_", "-") for name in row.options}
        always = {"--lods"} if not row.suffix.startswith(".usd") else set()
        assert set(re.findall(r"--[a-z-]+", table[row.suffix][-1])) == flags - always, row.suffix


def test_every_format_that_is_read_says_how_it_is_recognised() -> None:
    table = rows("formats.md", "| file | recognised by")
    assert set().union(*(names(row[0]) for row in table)) >= {row.suffix for row in FORMATS if row.reader} - {".hgs"}
    assert all(row[1] for row in table)


def test_every_option_belongs_to_a_format() -> None:
    assert {field.name for field in fields(ExportOptions)} - {"metadata"} == set().union(*(r.options for r in FORMATS))


def test_sources_images_and_models_have_their_rows() -> None:
    kinds = set().union(*(names(row[0]) for row in rows("datasets.md", "| `--from` |")))
    assert kinds == {source.kind for source in SOURCES} | {"bare"}
    images = next(row for row in rows("datasets.md", "| what | recognised by") if row[0] == "files of images")
    assert names(images[1]) == set(IMAGE_SUFFIXES)
    models = set().union(*(names(row[0]) for row in rows("datasets.md", "| read | colours")))
    assert models == set(MESH_SUFFIXES)
