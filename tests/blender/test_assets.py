"""A batch of seeds as an asset library."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest

from hgs_toolkit.blender.programs import assets_arguments

Addon = Callable[[str], Any]
SEEDS = (3, 11)


@pytest.fixture
def batch(addon: Addon, make_splats: Callable[..., Any], save_hgs: Callable[..., None], tmp_path: Path) -> Path:
    """A folder as hgs sample leaves it, open in the browser."""
    folder = tmp_path / "critters"
    folder.mkdir()
    scenes = []
    for seed in SEEDS:
        save_hgs(folder / f"seed{seed:04d}.hgs", make_splats(seed))
        image = bpy.data.images.new("thumbnail", 32, 32)
        image.generated_color = (1, 0, 0, 1)
        image.filepath_raw, image.file_format = str(folder / f"seed{seed:04d}.png"), "PNG"
        image.save()
        bpy.data.images.remove(image)
        names = {kind: f"seed{seed:04d}.{kind}" for kind in ("hgs", "png")}
        scenes.append({"seed": seed, "files": names, "gaussians": 340})
    (folder / "manifest.json").write_text(json.dumps({"scenes": scenes, "generator": "tiny"}))
    bpy.context.scene.hgs_seeds.folder = str(folder)
    return folder


def load(path: Path, link: bool) -> list[Any]:
    libraries: Any = bpy.data.libraries
    with libraries.load(str(path), link=link, assets_only=True) as (there, wanted):
        wanted.objects = there.objects
    return sorted(wanted.objects, key=lambda obj: obj.name)


@pytest.mark.parametrize("link", [False, True])
def test_assets_have_what_the_asset_browser_shows_and_draw_when_they_come_back(
    batch: Path, link: bool, addon: Addon, make_splats: Callable[..., Any], tmp_path: Path
) -> None:
    library = tmp_path / "library"
    library.mkdir()
    before = len(bpy.data.objects), len(bpy.data.meshes), len(bpy.data.pointclouds)
    path = library / "critters.blend"
    assert bpy.ops.hgs.write_assets(filepath=str(path), author="Somebody", show=False) == {"FINISHED"}
    assert (len(bpy.data.objects), len(bpy.data.meshes), len(bpy.data.pointclouds)) == before
    bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)
    found = load(path, link)
    assert [obj.name for obj in found] == ["critters seed 11", "critters seed 3"]
    catalogs = (library / "blender_assets.cats.txt").read_text()
    for obj, seed in zip(found, (11, 3), strict=True):
        asset = obj.asset_data
        assert (asset.author, {tag.name for tag in asset.tags}) == ("Somebody", {"gaussian splats", "hgs"})
        assert f"{asset.catalog_id}:Gaussian Splats/critters:" in catalogs
        assert asset.description == "340 Gaussians, made by tiny"
        assert tuple(obj.preview.image_size) == (32, 32)
        np.testing.assert_allclose(addon("data").get_values(obj.data, "scale"), make_splats(seed).scale, rtol=1e-6)
        bpy.context.scene.collection.objects.link(obj)
    graph = bpy.context.evaluated_depsgraph_get()
    graph.update()
    assert [modifier.node_group.name for modifier in found[0].modifiers] == ["HGS Display"]
    gathered = addon("engine.gathering").gather(graph, np.eye(4), parallel=True)
    assert len(gathered.solids.points) == 2 * 340


def test_a_library_in_the_way_stays_and_catalogues_are_added_to(batch: Path, tmp_path: Path) -> None:
    path, catalogs = tmp_path / "a.blend", tmp_path / "blender_assets.cats.txt"
    path.write_bytes(b"mine")
    catalogs.write_text("VERSION 1\n\n11111111-2222-3333-4444-555555555555:Mine:Mine")
    with pytest.raises(RuntimeError, match="exists already"):
        bpy.ops.hgs.write_assets(filepath=str(path), show=False)
    assert path.read_bytes() == b"mine"
    assert bpy.ops.hgs.write_assets(filepath=str(path), show=False, replace=True) == {"FINISHED"}
    assert path.read_bytes() != b"mine"
    lines = catalogs.read_text().splitlines()
    assert lines[2].endswith(":Mine:Mine")
    assert len(lines) == 4, "written twice, listed once"


def test_the_folder_is_shown_to_the_asset_browser_once(batch: Path, tmp_path: Path) -> None:
    libraries: Any = bpy.context.preferences.filepaths.asset_libraries
    known = {each.path for each in libraries}
    for name in ("a", "b"):
        bpy.ops.hgs.write_assets(filepath=str(tmp_path / f"{name}.blend"))
    new = [each for each in libraries if each.path not in known]
    assert [Path(each.path).resolve() for each in new] == [tmp_path.resolve()]
    libraries.remove(new[0])


def test_without_a_batch_there_is_a_sentence(addon: Addon, tmp_path: Path) -> None:
    addon("ui.seeds")
    bpy.context.scene.hgs_seeds.folder = ""
    with pytest.raises(RuntimeError, match="no batch is open"):
        bpy.ops.hgs.write_assets(filepath=str(tmp_path / "a.blend"))
    assert not list(tmp_path.iterdir())


def test_what_hgs_blender_assets_runs_writes_the_library(
    batch: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "it's one.blend"

    def run() -> None:
        arguments = assets_arguments("hgs_toolkit", batch, path, "Somebody's", replace=False)
        monkeypatch.setattr(sys, "argv", ["blender", *arguments])
        exec(arguments[arguments.index("--python-expr") + 1], {})

    run()
    found = load(path, link=True)
    assert [obj.asset_data.author for obj in found] == ["Somebody's"] * 2
    with pytest.raises(SystemExit, match="exists already"):
        run()
