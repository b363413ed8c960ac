"""What ``import hgs_toolkit`` offers."""

from __future__ import annotations

import ast
from importlib.metadata import version
from pathlib import Path

import pytest

import hgs_toolkit

DESIGNED = {"load_model", "sample", "render", "rasterize", "load", "export", "GaussianHierarchy", "Cameras"}


def test_the_designed_names_are_public() -> None:
    assert set(hgs_toolkit.__all__) >= DESIGNED
    assert list(hgs_toolkit.__all__) == sorted(hgs_toolkit.__all__)
    assert dir(hgs_toolkit) == sorted(hgs_toolkit.__all__)


@pytest.mark.parametrize("name", hgs_toolkit.__all__)
def test_every_public_name_is_there_and_documented(name: str) -> None:
    value = getattr(hgs_toolkit, name)
    assert isinstance(value, str) or value.__doc__


def test_editors_and_checkers_see_the_names_that_are_imported_late() -> None:
    tree = ast.parse(Path(hgs_toolkit.__file__).read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {alias.name for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert seen == set(hgs_toolkit.__all__) - {"__version__"}
    homes = {
        (f"hgs_toolkit.{module}", name)
        for module, names in hgs_toolkit._HOMES.items()
        for name in names
    }  # fmt: skip
    imported = {(n.module, a.name) for n in block.body if isinstance(n, ast.ImportFrom) for a in n.names}
    assert imported == homes


def test_the_version_is_that_of_the_distribution() -> None:
    assert hgs_toolkit.__version__ == version("hgs_toolkit")


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        hgs_toolkit.nonsense  # noqa: B018
