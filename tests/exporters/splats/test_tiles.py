"""3D Tiles: the tree as a tree of tiles, boxes, errors, what Cesium asks for, and files that contradict themselves."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hgs_toolkit.asset import AssetMetadata
from hgs_toolkit.errors import FormatError
from hgs_toolkit.exporters.options import ExportOptions
from hgs_toolkit.exporters.splats.glb.names import EXTENSION, SPZ_EXTENSION
from hgs_toolkit.exporters.splats.spz.writer import pack_spz
from hgs_toolkit.exporters.splats.stored import splats_of
from hgs_toolkit.exporters.splats.tiles import writer
from hgs_toolkit.exporters.splats.tiles.layout import Z_UP_FROM_Y_UP
from hgs_toolkit.exporters.splats.tiles.writer import tile_glb
from hgs_toolkit.exporters.table import export, load, read_asset
from hgs_toolkit.gaussians import GaussianHierarchy
from hgs_toolkit.parsing.gltf import Glb
from tests.exporters.splats.accuracy import BOUNDS, differences, reference_scene

SceneFactory = Callable[..., GaussianHierarchy]
Json = dict[str, Any]


def document(path: Path) -> Json:
    value: Json = json.loads(path.read_text())
    return value


def walk(tile: Json, above: Json | None = None) -> Iterator[tuple[Json, Json | None]]:
    """Each tile and the one above it."""
    yield tile, above
    for child in tile.get("children", []):
        yield from walk(child, tile)


def corners(tile: Json) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    box = np.array(tile["boundingVolume"]["box"])
    half = np.abs(box[3:].reshape(3, 3)).sum(axis=0)
    return box[:3] - half, box[:3] + half


def packed_tile(scene: GaussianHierarchy) -> bytes:
    return tile_glb(scene, 0, b"".join(pack_spz(scene, ExportOptions()).parts))


def test_each_level_is_a_tile_that_adds_to_its_parent(tmp_path: Path, scene_factory: SceneFactory) -> None:
    scene = scene_factory((4, 16, 64))
    export(scene, tmp_path / "tileset.json")
    root = document(tmp_path / "tileset.json")["root"]
    assert root["refine"] == "ADD"
    tiles = [tile for tile, _ in walk(root)]
    assert len(tiles) == 3
    counts = [load(tmp_path / tile["content"]["uri"]).level_counts for tile in tiles]
    assert counts == [[4], [0, 16], [0, 0, 64]]
    errors = [tile["geometricError"] for tile in tiles]
    assert errors[0] >= errors[1] > errors[2] == 0
    assert document(tmp_path / "tileset.json")["geometricError"] >= errors[0]
    expected = writer.ERROR * scene.log_scales[0, scene.level == 0].exp().amax(-1).median()
    assert errors[0] == pytest.approx(float(expected))


def test_levels_and_background_come_back(tmp_path: Path, scene: GaussianHierarchy) -> None:
    export(scene, tmp_path / "tileset.json")
    loaded = load(tmp_path / "tileset.json")
    assert loaded.level_counts == scene.level_counts
    for level in (-1, 0, 1, 2):
        found, expected = (part.means[0, part.level == level] for part in (loaded, scene))
        torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("degree", [0, 3])
def test_tiles_have_the_precision_of_spz(degree: int, tmp_path: Path) -> None:
    scene = reference_scene(degree, 200)
    export(scene, tmp_path / "tileset.json")
    found = splats_of(load(tmp_path / "tileset.json"), "y_up")
    differences(found, splats_of(scene, "y_up")).assert_within(BOUNDS[".spz"])


def test_a_flat_scene_is_merged_and_replaced(tmp_path: Path, scene_factory: SceneFactory) -> None:
    scene = scene_factory((1100,))
    export(scene, tmp_path / "tileset.json")
    root = document(tmp_path / "tileset.json")["root"]
    assert root["refine"] == "REPLACE"
    assert [load(tmp_path / tile["content"]["uri"]).num_gaussians for tile, _ in walk(root)] == [275, 1100]
    torch.testing.assert_close(load(tmp_path / "tileset.json").means, scene.means, atol=1e-6, rtol=0)


def test_crowded_tiles_are_halved_within_their_parents(
    tmp_path: Path, scene_factory: SceneFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "TILE", 100)
    scene = scene_factory((64, 256))
    export(scene, tmp_path / "tileset.json")
    root = document(tmp_path / "tileset.json")["root"]
    found = list(walk(root))
    assert len(found) == 5  # the coarse level and four quarters of the fine one
    for tile, above in found:
        low, high = corners(tile)
        if above:
            outer_low, outer_high = corners(above)
            assert (outer_low <= low + 1e-9).all()
            assert (outer_high >= high - 1e-9).all()
        means = load(tmp_path / tile["content"]["uri"]).means[0].numpy() @ Z_UP_FROM_Y_UP[:3, :3].T
        assert ((means > low) & (means < high)).all()
    assert load(tmp_path / "tileset.json").level_counts == [64, 256]


def test_what_cesium_asks_for_is_there(tmp_path: Path, scene_factory: SceneFactory) -> None:
    export(scene_factory((8,), degree=1), tmp_path / "tileset.json")
    meta = document(tmp_path / "tileset.json")
    assert meta["asset"]["version"] == "1.1"
    assert meta["extensionsUsed"] == ["3DTILES_content_gltf"]
    assert meta["extensions"]["3DTILES_content_gltf"]["extensionsRequired"] == [EXTENSION, SPZ_EXTENSION]
    tile = Glb(tmp_path / meta["root"]["content"]["uri"]).document
    assert tile["extensionsRequired"] == [EXTENSION, SPZ_EXTENSION]
    (primitive,) = tile["meshes"][0]["primitives"]
    assert primitive["extensions"][EXTENSION]["extensions"] == {SPZ_EXTENSION: {"bufferView": 0}}
    names = list(primitive["attributes"])
    assert names[:4] == ["POSITION", "COLOR_0", f"{EXTENSION}:SCALE", f"{EXTENSION}:ROTATION"]
    assert names[4:] == [f"{EXTENSION}:SH_DEGREE_1_COEF_{n}" for n in range(3)]
    assert all("bufferView" not in accessor for accessor in tile["accessors"])


def test_the_offset_is_the_roots_transform_and_comes_back(tmp_path: Path, scene_factory: SceneFactory) -> None:
    offset = (4_500_000.0, 120.0, -300_000.0)
    export(scene_factory((8,)), tmp_path / "tileset.json", metadata=AssetMetadata(offset=offset))
    transform = document(tmp_path / "tileset.json")["root"]["transform"]
    assert transform[12:] == [4_500_000.0, 300_000.0, 120.0, 1.0]  # z up
    assert read_asset(tmp_path / "tileset.json").metadata.offset == offset


def test_values_beyond_the_range_are_counted_once_for_all_tiles(
    tmp_path: Path, scene_factory: SceneFactory, caplog: pytest.LogCaptureFixture
) -> None:
    scene = scene_factory((4, 16, 64))
    log_scales = scene.log_scales.clone()
    log_scales[0, [0, 5, 50]] = 9.0
    export(scene.replace(log_scales=log_scales), tmp_path / "tileset.json")
    said = [record.getMessage() for record in caplog.records if "were clamped" in record.getMessage()]
    assert said == ["9 of 252 scales lie beyond the range of tileset.json files and were clamped"]


@pytest.mark.parametrize("antialiased", [False, True])
def test_tiles_say_that_a_scene_is_to_be_drawn_antialiased(
    antialiased: bool, tmp_path: Path, scene_factory: SceneFactory
) -> None:
    metadata = AssetMetadata(antialiased=antialiased, offset=(1e6, 0.0, 0.0))
    export(scene_factory((4, 16)), tmp_path / "tileset.json", metadata=metadata)
    assert read_asset(tmp_path / "tileset.json").metadata == metadata
    for name in tmp_path.rglob("*.glb"):
        assert read_asset(name).metadata == AssetMetadata(antialiased=antialiased)


def test_a_new_scene_takes_the_old_ones_place(tmp_path: Path, scene_factory: SceneFactory) -> None:
    export(scene_factory((8,)), tmp_path / "tileset.json")
    export(scene_factory((9,)), tmp_path / "tileset.json", overwrite=True)
    assert len([entry for entry in tmp_path.iterdir() if entry.is_dir()]) == 1
    assert load(tmp_path / "tileset.json").num_gaussians == 9


def test_tiles_of_other_programs_are_placed_by_their_transforms(tmp_path: Path, scene_factory: SceneFactory) -> None:
    """Plain attributes, an inherited refinement, a transform of a child, an address with an escape and a query."""
    scene = scene_factory((8,), degree=1)
    export(scene, tmp_path / "a b.glb")
    move = np.eye(4)
    move[:3, 3] = (1, 2, 3)  # z up
    child = {"content": {"uri": "a%20b.glb?v=1"}, "transform": move.T.reshape(-1).tolist(), "geometricError": 0}
    root = {"refine": "REPLACE", "content": {"uri": "missing.glb"}, "children": [child], "geometricError": 1}
    (tmp_path / "tileset.json").write_text(json.dumps({"asset": {"version": "1.0"}, "root": root}))
    loaded = load(tmp_path / "tileset.json")
    torch.testing.assert_close(loaded.means, scene.means + torch.tensor([1.0, 3, -2]))
    torch.testing.assert_close(loaded.sh, scene.sh)


@pytest.mark.parametrize(
    ("root", "message"),
    [
        ({"content": {"uri": "../a.glb"}}, "names the tile '../a.glb'; expected a file in its folder"),
        ({"content": {"uri": "https://example.org/a.glb"}}, "expected a file in its folder"),
        ({"content": {"uri": "other.json"}}, "join them first: npx 3d-tiles-tools combine"),
        ({"content": {"uri": "a.pnts"}}, "expected .glb files with Gaussians"),
        ({"content": {"uri": "a.glb"}}, "lacks the tile 'a.glb'"),
        ({"content": {}}, "names the tile None"),
        ({"implicitTiling": {}, "content": {"uri": "a.glb"}}, "its tiles are implicit"),
        ({"children": []}, "names no tiles with content"),
        ({"transform": [1, 2], "content": {"uri": "a.glb"}}, "no list of 16 finite numbers"),
        ({"content": {"uri": "//["}}, "names the tile '//\\['; expected a file in its folder"),
        ({"transform": [10**400] * 16, "content": {"uri": "a.glb"}}, "is no JSON of a 3D-Tiles tileset"),
        ({"children": 5}, "is no JSON of a 3D-Tiles tileset"),
        ([], "is no JSON of a 3D-Tiles tileset"),
    ],
)
def test_files_that_cannot_be_read_are_refused(root: Any, message: str, tmp_path: Path) -> None:
    (tmp_path / "tileset.json").write_text(json.dumps({"asset": {"version": "1.1"}, "root": root}))
    with pytest.raises(FormatError, match=message):
        load(tmp_path / "tileset.json")


def test_an_unknown_version_or_too_many_levels_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tileset.json").write_text(json.dumps({"asset": {"version": "9"}, "root": {}}))
    with pytest.raises(FormatError, match=r"its version is '9'; expected 1\.0 or 1\.1"):
        load(tmp_path / "tileset.json")
    tile: Json = {"content": {"uri": "a.glb"}}
    for _ in range(70):
        tile = {"children": [tile]}
    (tmp_path / "tileset.json").write_text(json.dumps({"asset": {"version": "1.1"}, "root": tile}))
    with pytest.raises(FormatError, match="more than 64 deep"):
        load(tmp_path / "tileset.json")


def test_a_tile_that_is_used_again_and_again_counts_each_time(tmp_path: Path, scene_factory: SceneFactory) -> None:
    scene = scene_factory((20_000,))
    same = scene.replace(**{name: 0 * value for name, value in scene.parameters().items()})
    (tmp_path / "a.glb").write_bytes(packed_tile(same))
    tiles = [{"content": {"uri": "a.glb"}}] * 60
    for count, refused in ((2, False), (60, True)):
        root = {"refine": "ADD", "children": tiles[:count]}
        (tmp_path / "tileset.json").write_text(json.dumps({"asset": {"version": "1.1"}, "root": root}))
        if refused:
            with pytest.raises(FormatError, match="uses its tiles so often that they hold"):
                load(tmp_path / "tileset.json")
        else:
            assert load(tmp_path / "tileset.json").num_gaussians == 40_000


@pytest.mark.parametrize("levels", [[0], [2], []])
def test_a_scene_of_one_level_keeps_it_and_its_background(
    levels: list[int], tmp_path: Path, scene: GaussianHierarchy
) -> None:
    scene = scene.levels(levels)
    export(scene, tmp_path / "tileset.json")
    loaded = load(tmp_path / "tileset.json")
    assert sorted(loaded.level.tolist()) == sorted(scene.level.tolist())
