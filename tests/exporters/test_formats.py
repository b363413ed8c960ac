"""The table of formats: which row a name chooses, and what is refused before a byte is written."""

from __future__ import annotations

import dataclasses
import inspect
import logging
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from blender_addon.core import numbered
from blender_addon.core.files.reading import READERS
from hgs_toolkit.asset import AssetMetadata
from hgs_toolkit.cli.export import export as export_command
from hgs_toolkit.errors import FormatError, HgsError
from hgs_toolkit.exporters import table as exporters
from hgs_toolkit.exporters.options import ExportOptions
from hgs_toolkit.exporters.splat_format import SplatFormat
from hgs_toolkit.exporters.table import FORMATS, export, format_of, load, read_asset
from hgs_toolkit.gaussians import GaussianHierarchy

SceneFactory = Callable[..., GaussianHierarchy]


@pytest.mark.parametrize("row", FORMATS, ids=lambda row: row.suffix)
def test_every_row_has_a_lower_case_suffix_and_a_reader_or_writer(row: SplatFormat) -> None:
    assert row.suffix.startswith(".") or row.suffix in ("lod-meta.json", "tileset.json", "meta.json")
    assert row.suffix == row.suffix.lower()
    assert row.reader or row.writer
    assert row.description
    assert format_of(Path(f"some.name{row.suffix}")) is row


def test_the_longest_suffix_wins_in_any_case(monkeypatch: pytest.MonkeyPatch) -> None:
    packed = SplatFormat(".packed.ply", "test", None, None)
    monkeypatch.setattr(exporters, "FORMATS", (*FORMATS, packed))
    assert format_of(Path("A.PACKED.PLY")) is packed
    assert format_of(Path("packed.ply")).suffix == ".ply"


def test_an_unknown_suffix_lists_the_known_ones_in_one_order_and_guesses_the_nearest() -> None:
    order = ", ".join(row.suffix for row in FORMATS)
    for name, guess in {"a.hgz": " (did you mean '.hgs'?)", "a.pyl": " (did you mean '.ply'?)", "a.foo": ""}.items():
        expected = f"'.{name[2:]}', which is no known format{guess}; known: {order}"
        with pytest.raises(FormatError, match=re.escape(expected) + "$"):
            format_of(Path(name))
    with pytest.raises(FormatError, match="a name without suffix"):
        format_of(Path("scene"))


def test_an_option_the_format_lacks_is_refused_by_name(tmp_path: Path, scene: GaussianHierarchy) -> None:
    with pytest.raises(FormatError, match=r"\.hgs files have no option 'pad_sh'"):
        export(scene, tmp_path / "a.hgs", pad_sh=3)
    assert not list(tmp_path.iterdir())


def test_levels_are_a_union_and_the_background_stays(tmp_path: Path, scene: GaussianHierarchy) -> None:
    export(scene, tmp_path / "a.hgs", levels=range(2))
    loaded = load(tmp_path / "a.hgs")
    assert loaded.level_counts == [4, 16]
    assert int((loaded.level == -1).sum()) == 5


def test_a_level_without_gaussians_is_refused(tmp_path: Path, scene_factory: SceneFactory) -> None:
    with pytest.raises(FormatError, match=r"a\.ply: no Gaussian has a level of \[7\]; the scene's levels are 0, 1, 2"):
        export(scene_factory(), tmp_path / "a.ply", levels=[1, 7])


def test_what_a_format_does_not_keep_is_said(
    tmp_path: Path, scene: GaussianHierarchy, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    export(scene, tmp_path / "a.ply")
    kept = "(hgs export --extras keeps it, extras=True in Python)"
    assert f"a.ply: .ply files do not keep the tree of 3 levels {kept}; which Gauss" in caplog.text
    caplog.clear()
    export(scene, tmp_path / "a.hgs")
    export(scene, tmp_path / "a.ply", extras=True, overwrite=True)
    export(scene.levels(0, background=False), tmp_path / "a.ply", overwrite=True)
    assert not caplog.text


@pytest.mark.parametrize("row", [row for row in FORMATS if row.suffix != ".hgs" and row.writer], ids=lambda r: r.suffix)
def test_a_scene_without_gaussians_is_refused(row: SplatFormat, tmp_path: Path, scene: GaussianHierarchy) -> None:
    with pytest.raises(FormatError, match=rf"a{row.suffix}: the scene has no Gaussians; expected at least one"):
        export(scene.select(scene.level > 99), tmp_path / f"a{row.suffix}")
    assert not list(tmp_path.iterdir())


def test_a_frame_can_only_be_given_where_it_is_not_settled(tmp_path: Path, scene: GaussianHierarchy) -> None:
    export(scene, tmp_path / "a.ply")
    with pytest.raises(FormatError, match=r"a\.ply: the frame of \.ply files is fixed or said in them"):
        load(tmp_path / "a.ply", frame="y_up")
    with pytest.raises(FormatError, match="unknown frame 'up'"):
        load(tmp_path / "a.ply", frame="up")


def test_a_batch_of_scenes_is_refused(tmp_path: Path, scene_factory: SceneFactory) -> None:
    with pytest.raises(FormatError, match="a batch of 2 scenes; a file holds one"):
        export(scene_factory(batch=2), tmp_path / "a.ply")


def test_an_existing_file_is_only_replaced_if_asked_for(tmp_path: Path, scene: GaussianHierarchy) -> None:
    (tmp_path / "a.ply").write_bytes(b"mine")
    with pytest.raises(HgsError, match="exists already; overwrite=True replaces it"):
        export(scene, tmp_path / "a.ply")
    assert (tmp_path / "a.ply").read_bytes() == b"mine"
    export(scene, tmp_path / "a.ply", overwrite=True)
    assert (tmp_path / "a.ply").read_bytes().startswith(b"ply")


def test_the_native_format_keeps_its_metadata_through_the_table(tmp_path: Path, scene: GaussianHierarchy) -> None:
    export(scene, tmp_path / "a.hgs", metadata=AssetMetadata(seed=7, focal=1.5))
    asset = read_asset(tmp_path / "a.hgs")
    assert (asset.metadata.seed, asset.metadata.focal) == (7, 1.5)
    assert torch.equal(asset.scene.means, scene.means)


@pytest.mark.parametrize("name", ["missing.ply", "missing.hgs"])
def test_a_missing_file_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=f"{name} does not exist; expected a splat file"):
        load(tmp_path / name)


def test_a_folder_is_no_splat_file(tmp_path: Path) -> None:
    (tmp_path / "a.ply").mkdir()
    with pytest.raises(FormatError, match="is a folder"):
        load(tmp_path / "a.ply")


def test_importing_the_package_imports_no_reader_command_or_network() -> None:
    code = "import sys, hgs_toolkit; print([m for m in sys.modules if m.startswith('hgs_toolkit.') or m == 'torch'])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert found.strip() == "[]"


def test_the_extension_reads_the_formats_that_the_table_says() -> None:
    stated = {row.suffix for row in FORMATS if row.opens_in_extension}
    assert set(numbered.SUFFIXES) == stated
    assert set(READERS) == stated


def test_every_option_of_a_row_is_a_field_and_every_field_is_a_flag() -> None:
    fields = {field.name for field in dataclasses.fields(ExportOptions)} - {"metadata"}
    assert set().union(*(row.options for row in FORMATS)) == fields
    assert fields <= set(inspect.signature(export_command).parameters)


def test_an_option_that_no_format_has_is_a_type_error(tmp_path: Path, scene: GaussianHierarchy) -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'speed'"):
        export(scene, tmp_path / "a.ply", speed=3)


@pytest.mark.parametrize("row", [row for row in FORMATS if row.reader and row.writer], ids=lambda row: row.suffix)
def test_of_a_tree_comes_back_what_the_table_says_and_the_rest_is_said(
    row: SplatFormat, tmp_path: Path, scene: GaussianHierarchy, caplog: pytest.LogCaptureFixture
) -> None:
    if row.suffix.startswith(".usd"):
        pytest.importorskip("pxr")
    caplog.set_level(logging.INFO)
    export(scene, tmp_path / f"a{row.suffix}")
    said = caplog.text
    back = load(tmp_path / f"a{row.suffix}")
    assert (back.level_counts == scene.level_counts) == ("levels" in row.keeps) == ("the tree of 3 levels" not in said)
    assert bool((back.parent >= 0).any()) == ("parents" in row.keeps)
    assert bool(back.is_background.any()) == ("background" in row.keeps) == ("are the background" not in said)
    assert ("which Gaussians are whose parents" in said) == (row.suffix == "tileset.json")


def test_nodes_keep_levels_and_background_but_no_parents(
    tmp_path: Path, scene: GaussianHierarchy, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    export(scene, tmp_path / "a.glb", nodes=True)
    assert "do not keep which Gaussians are whose parents (hgs export --extras keeps it" in caplog.text
    assert "background" not in caplog.text


@pytest.mark.parametrize("row", [row for row in FORMATS if row.reader and row.writer], ids=lambda row: row.suffix)
def test_how_a_scene_is_to_be_drawn_comes_back_or_its_loss_is_told(
    row: SplatFormat, tmp_path: Path, scene_factory: SceneFactory, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / f"a{row.suffix}" if row.suffix.startswith(".") else tmp_path / row.suffix
    with caplog.at_level(logging.INFO):
        export(scene_factory((8, 32)), path, metadata=AssetMetadata(antialiased=True))
    told = "do not keep" in caplog.text and "were trained for antialiased rendering" in caplog.text
    assert read_asset(path).metadata.antialiased is row.keeps_antialiased
    assert told is not row.keeps_antialiased
