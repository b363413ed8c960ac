"""The version that the toolkit names, installed and not."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator
from pathlib import Path

import pytest

import hgs_toolkit
from hgs_toolkit.exporters.table import export, load
from hgs_toolkit.gaussians import GaussianHierarchy
from hgs_toolkit.version import NOT_INSTALLED, program_name, toolkit_version


@pytest.fixture
def uninstalled(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The state of a checkout on PYTHONPATH: there is no metadata of an installed package."""

    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    toolkit_version.cache_clear()
    monkeypatch.setattr("hgs_toolkit.version.version", missing)
    yield
    toolkit_version.cache_clear()


def test_an_installed_toolkit_names_its_version() -> None:
    assert program_name() == f"hgs_toolkit {importlib.metadata.version('hgs_toolkit')}"


@pytest.mark.usefixtures("uninstalled")
def test_a_checkout_that_is_not_installed_still_writes_files(tmp_path: Path, scene: GaussianHierarchy) -> None:
    assert hgs_toolkit.__version__ == NOT_INSTALLED
    for suffix in (".ply", ".compressed.ply", ".sog", ".glb", ".rad"):
        export(scene, tmp_path / f"a{suffix}")
        assert load(tmp_path / f"a{suffix}").num_gaussians == scene.num_gaussians
