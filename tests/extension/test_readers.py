"""The extension's own readers agree with the toolkit's, and damaged files end in a sentence."""

from __future__ import annotations

import struct
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blender_addon.core.files import read_spz as spz
from blender_addon.core.files.read_glb import NoSplatsError, read_glb
from blender_addon.core.files.read_hgs import read_hgs
from blender_addon.core.files.read_ply import read_ply
from blender_addon.core.files.read_splat import read_splat
from blender_addon.core.files.read_spz import read_spz
from blender_addon.core.files.writing import write_splats
from blender_addon.core.parsing import unpacking
from blender_addon.core.parsing.spz import parse_parts
from blender_addon.core.splats import ZERO_ROWS, ActivatedSplats, SplatError, offset_of
from blender_addon.core.transforming import moved
from hgs_toolkit.exporters.table import export, load, read_asset
from hgs_toolkit.gaussians import GaussianHierarchy
from tests.exporters.splats.accuracy import reference_scene
from tests.exporters.splats.test_foreign_values import far_file, rewritten
from tests.exporters.splats.test_glb import rewrite as rewrite_glb
from tests.samples import sample_file

READERS = {".ply": read_ply, ".spz": read_spz, ".splat": read_splat, ".glb": read_glb, ".hgs": read_hgs}

MUTATIONS = 300


def _assert_same(ours: ActivatedSplats, scene: GaussianHierarchy, y_up: bool) -> None:
    """``scene`` is the toolkit's, y up; a file in RDF is turned half round about x there."""
    turn = np.array([1, 1, 1] if y_up else [1, -1, -1], np.float32)
    np.testing.assert_allclose(ours.position * turn, scene.means[0], rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(ours.base[:, :3], scene.sh[0, :, 0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(ours.base[:, 3], scene.opacity_logits[0].sigmoid(), atol=1e-6)
    np.testing.assert_allclose(ours.scale, scene.log_scales[0].exp(), rtol=1e-5, atol=1e-12)
    quats = scene.quats[0].numpy()
    if not y_up:  # the toolkit turns the Gaussian's own axes along, which changes nothing of it
        quats = quats * np.array([1, 1, -1, -1], np.float32)
    cosine = np.abs((ours.rotation * quats).sum(1)) / np.linalg.norm(quats, axis=1)
    np.testing.assert_allclose(cosine, 1, atol=2e-6)


@pytest.mark.parametrize("suffix", READERS)
@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_readers_agree_with_the_toolkits(suffix: str, degree: int, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    export(reference_scene(degree, 300), path)
    ours, scene = READERS[suffix](path), load(path)
    _assert_same(ours, scene, ours.frame == "y_up")
    if ours.frame == "y_up":
        np.testing.assert_allclose(ours.harmonics, scene.sh[0, :, 1:], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("options", [{"extras": True}, {"extras": True, "nodes": True}, {"nodes": True}])
def test_levels_of_a_glb_are_kept(options: dict[str, Any], tmp_path: Path) -> None:
    scene = load(_tree(tmp_path))
    export(scene, tmp_path / "a.glb", **options)
    ours, back = read_glb(tmp_path / "a.glb"), load(tmp_path / "a.glb")
    assert ours.level is not None
    assert ours.parent is not None
    np.testing.assert_array_equal(ours.level, back.level)
    np.testing.assert_array_equal(ours.parent, back.parent)
    assert len(np.unique(ours.level)) == 3


def _tree(folder: Path) -> Path:
    """A .hgs of three levels."""
    import torch

    from hgs_toolkit.asset import Asset, save_asset

    flat = reference_scene(0, 21)
    level = torch.tensor([0] + [1] * 4 + [2] * 16)
    parent = torch.tensor([-1] + [0] * 4 + [1 + i // 4 for i in range(16)])
    save_asset(folder / "tree.hgs", Asset(flat.replace(level=level, parent=parent)))
    return folder / "tree.hgs"


@pytest.mark.parametrize("name", ["biker.spz", "guitar.compressed.ply"])
def test_real_files(name: str) -> None:
    path = sample_file(name)
    if name.endswith(".compressed.ply"):
        with pytest.raises(SplatError, match="chunk"):
            read_ply(path)
    else:
        _assert_same(read_spz(path), load(path), y_up=True)


def test_version_4_is_read_with_a_zstandard_module_and_explained_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zstandard = pytest.importorskip("zstandard")
    export(reference_scene(1, 50), tmp_path / "a.spz")
    header, planes, _ = parse_parts((tmp_path / "a.spz").read_bytes())
    packed = [zstandard.ZstdCompressor().compress(plane.tobytes()) for plane in planes]
    head = struct.pack("<4sIIBBBBI12x", b"NGSP", 4, 50, 1, header.fractional_bits, 0, len(packed), 32)
    table = b"".join(struct.pack("<QQ", len(p), len(plane)) for p, plane in zip(packed, planes, strict=True))
    (tmp_path / "b.spz").write_bytes(head + table + b"".join(packed))
    np.testing.assert_array_equal(read_spz(tmp_path / "b.spz").position, read_spz(tmp_path / "a.spz").position)
    monkeypatch.setattr(unpacking, "ZSTANDARD", ("no_such_module",))
    with pytest.raises(SplatError, match="hgs export"):
        read_spz(tmp_path / "b.spz")


@pytest.mark.parametrize("number", range(18))
def test_declared_axes_of_an_spz_are_those_of_the_toolkit(number: int, tmp_path: Path) -> None:
    pytest.importorskip("zstandard")
    export(reference_scene(0, 50), tmp_path / "a.spz", spz_version=4)
    data = bytearray((tmp_path / "a.spz").read_bytes())
    data[40:44] = struct.pack("<I", number)
    (tmp_path / "a.spz").write_bytes(data)
    if 0 < number <= 16 and number not in spz.FRAMES:
        with pytest.raises(SplatError, match=f"declares axes .number {number}"):
            read_spz(tmp_path / "a.spz")
        return
    ours, scene = read_spz(tmp_path / "a.spz"), load(tmp_path / "a.spz")
    turned = {"y_up": [0, 1, 2], "rdf": [0, 1, 2], "z_up": [0, 2, 1]}[ours.frame]
    signs = np.array({"y_up": [1, 1, 1], "rdf": [1, -1, -1], "z_up": [1, 1, -1]}[ours.frame], np.float32)
    np.testing.assert_allclose(ours.position[:, turned] * signs, scene.means[0], atol=1e-6)


def test_values_of_other_programs_are_read_as_the_toolkit_reads_them(tmp_path: Path) -> None:
    export(reference_scene(0, 60), tmp_path / "a.ply")

    def changed(columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        kept = {name: values for name, values in columns.items() if name[:4] != "f_dc" and name != "scale_2"}
        kept["scale_0"][0] = -np.inf
        colours = {name: np.arange(60, dtype=np.uint8) for name in ("red", "green", "blue")}
        return kept | colours | {"filter_3D": np.linspace(0.001, 0.1, 60, dtype=np.float32)}

    rewritten(tmp_path / "a.ply", changed)
    _assert_same(read_ply(tmp_path / "a.ply"), load(tmp_path / "a.ply"), y_up=False)


@pytest.mark.parametrize("suffix", [".ply", ".glb", ".hgs"])
def test_far_coordinates_are_recentred_as_the_toolkit_does_and_keep_their_offset(suffix: str, tmp_path: Path) -> None:
    far_file(tmp_path / "far.ply", reference_scene(0, 60))
    path = tmp_path / f"far{suffix}"
    asset = read_asset(tmp_path / "far.ply")
    if suffix != ".ply":
        export(asset.scene, path, metadata=asset.metadata)
    ours = READERS[suffix](path)
    turn = np.array([1, 1, 1] if ours.frame == "y_up" else [1, -1, -1])
    np.testing.assert_array_equal(offset_of(ours.facts) * turn, asset.metadata.offset)
    _assert_same(ours, asset.scene, ours.frame == "y_up")


@pytest.mark.parametrize("suffix", [".ply", ".glb", ".hgs"])
def test_exports_give_the_offset_back_where_the_format_can_hold_it(suffix: str, tmp_path: Path) -> None:
    far_file(tmp_path / "far.ply", reference_scene(0, 60))
    splats, asset = read_ply(tmp_path / "far.ply"), read_asset(tmp_path / "far.ply")
    if suffix != ".ply":  # Blender's matrices, which turn to the frame of the file, are of single precision
        turn = np.diag(np.array([1, -1, -1, 1], np.float32))
        turn[1, 2], turn[2, 1] = 8.7e-8, -8.7e-8
        splats = replace(moved(splats, turn), frame="y_up")
    write_splats(tmp_path / f"a{suffix}", splats)
    back, ours = read_asset(tmp_path / f"a{suffix}"), READERS[suffix](tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(back.metadata.offset, asset.metadata.offset)
    np.testing.assert_array_equal(offset_of(ours.facts), offset_of(splats.facts))
    np.testing.assert_allclose(back.scene.means, asset.scene.means, atol=1e-5)


def test_the_offset_follows_what_is_done_to_the_object(tmp_path: Path) -> None:
    far_file(tmp_path / "far.ply", reference_scene(0, 60))
    splats = read_ply(tmp_path / "far.ply")
    offset = offset_of(splats.facts)
    quarter = np.array([[0, -2.0, 0, 5], [2, 0, 0, 6], [0, 0, 2, 7], [0, 0, 0, 1]])
    assert offset_of(moved(splats, quarter).facts).tolist() == [-2 * offset[1], 2 * offset[0], 2 * offset[2]]
    assert offset_of(splats.facts).tolist() == offset.tolist()


def test_an_spz_in_a_glb_is_read_and_other_packings_are_named(tmp_path: Path) -> None:
    export(load(_tree(tmp_path)), tmp_path / "t" / "tileset.json")
    tile = next((tmp_path / "t").rglob("*.glb"))
    ours, scene = read_glb(tile), load(tile)
    _assert_same(ours, scene, y_up=True)
    assert ours.level is not None
    np.testing.assert_array_equal(ours.level, scene.level)
    data = tile.read_bytes().replace(b"_compression_spz_2", b"_compression_xyz_2")
    (tmp_path / "a.glb").write_bytes(data)
    with pytest.raises(SplatError, match=r"compression_xyz_2.*export it again without compression"):
        read_glb(tmp_path / "a.glb")


def test_what_is_packed_once_and_used_often_counts_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    export(load(_tree(tmp_path)), tmp_path / "t" / "tileset.json")
    tile = next((tmp_path / "t").rglob("*.glb"))
    once = read_glb(tile).position.nbytes

    def share(document: dict[str, Any]) -> None:
        document["nodes"] += [dict(document["nodes"][0]) for _ in range(99)]
        document["scenes"][0]["nodes"] = list(range(len(document["nodes"])))

    rewrite_glb(tile, share)
    assert read_glb(tile).position.nbytes == 100 * once
    monkeypatch.setattr(unpacking, "most_content", lambda size: 50 * once)
    with pytest.raises(SplatError, match="a trap"):
        read_glb(tile)


def test_rows_of_zeros_are_left_out_counted_and_their_children_are_roots(tmp_path: Path) -> None:
    export(load(_tree(tmp_path)), tmp_path / "a.ply", extras=True)

    def emptied(columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        for name, values in columns.items():
            if name not in ("level", "parent"):
                values[[1, 20]] = 0
        return columns

    rewritten(tmp_path / "a.ply", emptied)
    ours = read_ply(tmp_path / "a.ply")
    assert (len(ours), ours.facts) == (19, {ZERO_ROWS: 2})
    assert ours.level is not None
    assert ours.parent is not None
    assert ours.level.tolist() == [0] + [1] * 3 + [2] * 15
    assert ours.parent.tolist() == [-1, 0, 0, 0] + [-1] * 4 + [1] * 4 + [2] * 4 + [3] * 3


def test_a_file_of_nothing_but_zeros_is_refused(tmp_path: Path) -> None:
    export(reference_scene(0, 5), tmp_path / "a.ply")
    rewritten(tmp_path / "a.ply", lambda columns: {name: 0 * values for name, values in columns.items()})
    with pytest.raises(SplatError, match="all its rows are zeros"):
        read_ply(tmp_path / "a.ply")


def test_a_mesh_is_told_from_splats(tmp_path: Path) -> None:
    import trimesh

    trimesh.creation.box().export(tmp_path / "mesh.glb")
    with pytest.raises(NoSplatsError):
        read_glb(tmp_path / "mesh.glb")


def _damaged(data: bytes, random: np.random.Generator) -> bytes:
    """``data`` cut, overwritten or with a run of bytes doubled."""
    mutant = bytearray(data)
    for _ in range(random.integers(1, 6)):
        at = int(random.integers(len(mutant)))
        kind = random.integers(4)
        if kind == 0:
            del mutant[at : at + int(random.integers(1, 40))]
        elif kind == 1:
            mutant[at : at + 4] = random.integers(0, 256, 4, dtype=np.uint8).tobytes()
        elif kind == 2:
            mutant[at : at + 4] = b"\xff\xff\xff\x7f"
        else:
            mutant[at:at] = mutant[at : at + 9]
        if not mutant:
            break
    return bytes(mutant)


@pytest.mark.parametrize("suffix", READERS)
def test_damaged_files_are_refused_or_read(suffix: str, tmp_path: Path) -> None:
    export(load(_tree(tmp_path)), tmp_path / f"a{suffix}")
    data, random = (tmp_path / f"a{suffix}").read_bytes(), np.random.default_rng(0)
    path = tmp_path / f"b{suffix}"
    refused = 0
    for _ in range(MUTATIONS):
        path.write_bytes(_damaged(data, random))
        try:
            READERS[suffix](path)
        except SplatError:
            refused += 1
    assert refused > MUTATIONS / 10 or suffix == ".splat"


def test_readers_import_nothing_but_numpy() -> None:
    assert not {"bpy", "mathutils"} & set(sys.modules)
