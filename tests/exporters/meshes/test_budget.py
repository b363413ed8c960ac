"""Meshes within a number of bytes, voxels, and collision hulls."""

from __future__ import annotations

import struct
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from scipy.ndimage import label

from hgs_toolkit.errors import ConfigError, FormatError, MissingExtraError
from hgs_toolkit.exporters.meshes.budget import mesh_within
from hgs_toolkit.exporters.meshes.collision import collision_hulls, collision_path, write_collision
from hgs_toolkit.exporters.meshes.color import texture
from hgs_toolkit.exporters.meshes.files.vox import surface_voxels
from hgs_toolkit.exporters.meshes.meshing import Reconstruction, mesh, reconstruct
from hgs_toolkit.exporters.meshes.placement import MeshPlacement
from hgs_toolkit.exporters.meshes.report import describe_mesh
from hgs_toolkit.exporters.meshes.settings import Color, MeshSettings
from hgs_toolkit.exporters.meshes.table import encode_mesh, mesh_format_of, write_mesh
from tests.exporters.meshes import shapes
from tests.exporters.meshes.shapes import cover, paint


@cache
def surface(color: Color) -> Reconstruction:
    faces = 3_000 if color == "texture" else 20_000
    return reconstruct(cover(shapes.MUG, 12_000), MeshSettings(resolution=80, faces=faces, color=color))


def size(made: trimesh.Trimesh) -> int:
    return sum(map(len, encode_mesh(Path("a.glb"), {"a": made}).values()))


@pytest.mark.parametrize("budget", [60_000, 150_000])
def test_a_mesh_fits_its_budget_and_uses_it(budget: int) -> None:
    made = mesh_within(surface("vertex"), budget, size)
    assert 0.8 * budget <= size(made) <= budget
    assert made.is_watertight
    assert made.euler_number == 0


def test_triangles_and_texture_shrink_together() -> None:
    pytest.importorskip("xatlas")
    whole = surface("texture").finished(3_000)
    made = mesh_within(surface("texture"), size(whole) // 4, size)
    assert size(made) <= size(whole) // 4
    before, after = texture(whole), texture(made)
    assert before is not None
    assert after is not None
    assert len(made.faces) < len(whole.faces)
    assert 16 <= after.image.width < before.image.width


def test_a_budget_above_the_whole_mesh_changes_nothing() -> None:
    made = mesh_within(surface("vertex"), 10**9, size)
    assert len(made.faces) == len(surface("vertex").finished(20_000).faces)


def test_a_budget_that_nothing_fits_names_the_smallest_mesh() -> None:
    with pytest.raises(ConfigError, match=r"takes 300 bytes or less; the smallest found takes \d+"):
        mesh_within(surface("vertex"), 300, size)


def read_vox(data: bytes) -> tuple[Any, Any, Any]:
    """Sizes (3,), voxels (M, 4) and palette (256, 4) by the format's description."""
    assert data[:8] == b"VOX \x96\x00\x00\x00"
    chunks, at = {}, 20
    assert data[8:12] == b"MAIN"
    assert struct.unpack("<2I", data[12:20]) == (0, len(data) - 20)
    while at < len(data):
        content, children = struct.unpack_from("<2I", data, at + 4)
        assert children == 0
        chunks[data[at : at + 4]] = data[at + 12 : at + 12 + content]
        at += 12 + content
    (count,) = struct.unpack_from("<I", chunks[b"XYZI"])
    voxels = np.frombuffer(chunks[b"XYZI"], np.uint8, offset=4).reshape(count, 4)
    return struct.unpack("<3I", chunks[b"SIZE"]), voxels, np.frombuffer(chunks[b"RGBA"], np.uint8).reshape(256, 4)


def test_voxels_cover_the_surface_in_its_colours(tmp_path: Path) -> None:
    made = mesh(cover(shapes.BLOB, 12_000), resolution=64, faces=0)
    write_mesh(tmp_path / "a.vox", made)
    sides, voxels, palette = read_vox((tmp_path / "a.vox").read_bytes())
    assert max(sides) == 64
    assert len(np.unique(voxels[:, :3], axis=0)) == len(voxels)
    assert (voxels[:, :3] < np.array(sides)).all()
    assert voxels[:, 3].min() >= 1
    pitch = made.extents.max() / 64
    z_up = (voxels[:, :3] + 0.5) * pitch + np.array([made.bounds[0][0], -made.bounds[1][2], made.bounds[0][1]])
    points = z_up[:, [0, 2, 1]] * [1, 1, -1]  # the file is z up
    assert np.abs(shapes.BLOB.distance(points)).max() < pitch
    colors = palette[voxels[:, 3] - 1, :3] / 255
    assert np.abs(colors - paint(points)).mean() < 0.05
    filled = np.zeros(np.array(sides) + 2, bool)
    filled[tuple((voxels[:, :3] + 1).T)] = True

    assert label(~filled)[1] == 2  # inside and outside: the shell has no hole


def test_voxels_without_colours_are_grey_and_a_side_has_at_most_256() -> None:
    box = trimesh.creation.box((1.0, 0.5, 2.0))
    box.metadata["hgs"] = {"resolution": 1000}
    path = Path("a.vox")
    sides, voxels, palette = read_vox(encode_mesh(path, {"box": box})[path])
    assert sides == (128, 256, 64)  # z up
    assert {tuple(palette[index - 1]) for index in voxels[:, 3]} == {(178, 178, 178, 255)}
    places, _ = surface_voxels(box, 8)
    assert len(places) == 4 * 2 * 8  # two thick: all of them lie on the surface


def test_a_convex_hull_holds_the_mesh() -> None:
    made = mesh(cover(shapes.MUG, 12_000), resolution=64, faces=4000, color="none")
    (hull,) = collision_hulls(made, "convex")
    assert len(hull.vertices) <= 128
    assert hull.is_convex
    assert hull.volume == pytest.approx(made.convex_hull.volume, rel=0.03)


def test_a_decomposition_follows_the_hollow() -> None:
    pytest.importorskip("coacd")
    made = mesh(cover(shapes.FRAME, 12_000), resolution=64, faces=1000, color="none")
    hulls = collision_hulls(made, "decomposed")
    assert len(hulls) >= 4
    assert all(hull.is_convex for hull in hulls)
    assert not any(hull.contains([[0.0, 0.0, 0.0]])[0] for hull in hulls)  # the hole stays open
    assert sum(hull.volume for hull in hulls) == pytest.approx(made.volume, rel=0.2)


def test_hulls_are_objects_of_an_obj_in_the_files_own_frame(tmp_path: Path) -> None:
    box = trimesh.creation.box((1.0, 2.0, 3.0))
    hulls = [trimesh.creation.box((1.0, 2.0, 3.0)), trimesh.creation.box((0.5, 0.5, 0.5))]
    placement = MeshPlacement("z", "millimetre", None, floor=True)
    path = write_collision(tmp_path / "a.stl", box, hulls, placement)
    assert path == collision_path(tmp_path / "a.stl") == tmp_path / "a.collision.obj"
    loaded = trimesh.load_scene(path, split_objects=True, group_material=False)
    extents = {name: part.extents.round(3).tolist() for name, part in loaded.geometry.items()}
    assert extents == {"hull_0": [1000, 3000, 2000], "hull_1": [500, 500, 500]}
    assert loaded.bounds[0][2] == pytest.approx(0)


def test_a_flat_mesh_has_no_hull() -> None:
    flat = trimesh.Trimesh([[0, 0, 0], [1, 0, 0], [0, 1, 0]], [[0, 1, 2]], process=False)
    with pytest.raises(FormatError, match="is flat and has no collision hull"):
        collision_hulls(flat, "convex")


def test_without_coacd_the_message_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hgs_toolkit.exporters.meshes.collision.importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'hgs_toolkit\[collision\]'"):
        collision_hulls(trimesh.creation.box(), "decomposed")


def test_voxels_are_the_unit_of_the_size_the_report_and_the_hull(tmp_path: Path) -> None:
    box = trimesh.creation.box((1.0, 0.5, 2.0))
    placement = mesh_format_of(tmp_path / "a.vox").placement(size=40)
    write_mesh(tmp_path / "a.vox", box, placement)
    sides, _, _ = read_vox((tmp_path / "a.vox").read_bytes())
    assert sides == (20, 40, 10)  # z up
    facts = describe_mesh(box, placement)
    assert (facts["unit"], facts["bounds"]) == ("voxel", [[0, 0, 0], pytest.approx([20, 40, 10])])
    write_collision(tmp_path / "a.vox", box, [box], placement)
    np.testing.assert_allclose(trimesh.load_mesh(tmp_path / "a.collision.obj").bounds, facts["bounds"], atol=1e-6)


@pytest.mark.parametrize("size", [2.5, 257])
def test_voxels_are_whole_and_at_most_256_along_a_side(size: float) -> None:
    with pytest.raises(ConfigError, match=f"size {size:g}; expected a whole number of voxels from 1 to 256"):
        mesh_format_of(Path("a.vox")).placement(size=size)


def test_a_placement_in_other_units_is_no_place_on_a_grid_of_voxels(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"in metres was given for .*a\.vox, which is in voxels"):
        write_mesh(tmp_path / "a.vox", trimesh.creation.box(), MeshPlacement())
