"""Mesh files: what trimesh reads in them, units and axes, colours in linear light, levels of detail, and refusals."""

from __future__ import annotations

import itertools
import json
import struct
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import manifold3d
import numpy as np
import pytest
import torch
import trimesh
from trimesh.visual import TextureVisuals

from hgs_toolkit.errors import ConfigError, FormatError, HgsError, ShapeError
from hgs_toolkit.exporters.meshes.color import texture, vertex_colors
from hgs_toolkit.exporters.meshes.meshing import mesh, mesh_levels
from hgs_toolkit.exporters.meshes.placement import MeshPlacement
from hgs_toolkit.exporters.meshes.report import describe_mesh, describe_meshes
from hgs_toolkit.exporters.meshes.settings import MeshSettings
from hgs_toolkit.exporters.meshes.table import MESH_FORMATS, mesh_format_of, write_mesh
from hgs_toolkit.gaussians import GaussianHierarchy, concatenate
from hgs_toolkit.imaging.srgb import srgb_to_linear
from tests.conftest import make_scene
from tests.exporters.meshes import shapes
from tests.exporters.meshes.shapes import cover, paint


@cache
def mug() -> trimesh.Trimesh:
    return mesh(cover(shapes.MUG, 20_000), resolution=80, faces=6000)


@cache
def textured() -> trimesh.Trimesh:
    pytest.importorskip("xatlas")
    return mesh(cover(shapes.BLOB, 6000), resolution=64, faces=2000, color="texture")


def glb_json(path: Path) -> dict[str, Any]:
    data = path.read_bytes()
    length, kind = struct.unpack_from("<2I", data, 12)
    assert kind == 0x4E4F534A
    document = json.loads(data[20 : 20 + length])
    assert isinstance(document, dict)
    return document


@pytest.mark.parametrize("suffix", [known.suffix for known in MESH_FORMATS if known.suffix != ".vox"])
def test_trimesh_reads_the_same_solid(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    assert write_mesh(path, mug()) == [path]
    loaded = trimesh.load_mesh(path)  # merges the corners of .stl triangles
    scale = 1000.0 if suffix == ".stl" else 1.0
    assert loaded.is_watertight
    assert loaded.euler_number == 0
    assert loaded.volume == pytest.approx(mug().volume * scale**3, rel=1e-3)
    assert len(loaded.faces) == len(mug().faces)
    if suffix != ".stl":
        np.testing.assert_allclose(loaded.extents, mug().extents, rtol=1e-5)


@pytest.mark.parametrize("suffix", [".ply", ".obj"])
def test_colours_stay_srgb_in_text_and_point_formats(suffix: str, tmp_path: Path) -> None:
    write_mesh(tmp_path / f"a{suffix}", mug())
    loaded = trimesh.load_mesh(tmp_path / f"a{suffix}", process=False)
    found, painted = vertex_colors(loaded), vertex_colors(mug())
    assert found is not None
    assert painted is not None
    np.testing.assert_allclose(found.astype(int), painted, atol=1)


def test_colours_of_a_glb_are_linear_light(tmp_path: Path) -> None:
    write_mesh(tmp_path / "a.glb", mug())
    document = glb_json(tmp_path / "a.glb")
    accessor = document["accessors"][document["meshes"][0]["primitives"][0]["attributes"]["COLOR_0"]]
    assert (accessor["componentType"], accessor["normalized"]) == (5123, True)
    view = document["bufferViews"][accessor["bufferView"]]
    data = (tmp_path / "a.glb").read_bytes()
    start = 28 + struct.unpack_from("<I", data, 12)[0] + view["byteOffset"]
    colors = np.frombuffer(data, "<u2", accessor["count"] * 4, start).reshape(-1, 4) / 65535
    painted = vertex_colors(mug())
    assert painted is not None
    np.testing.assert_allclose(colors[:, :3], srgb_to_linear(painted / 255), atol=1e-4)
    assert np.all(colors[:, 3] == 1)


def test_linear_light_of_known_values() -> None:
    np.testing.assert_allclose(srgb_to_linear(np.array([0.0, 0.5, 1.0])), [0.0, 0.21404, 1.0], atol=1e-5)


def test_an_stl_is_in_millimetres_z_up_and_stands_on_the_floor(tmp_path: Path) -> None:
    write_mesh(tmp_path / "a.stl", mug())
    loaded = trimesh.load_mesh(tmp_path / "a.stl")
    assert loaded.bounds[0, 2] == pytest.approx(0, abs=1e-3)
    x, y, z = mug().extents
    np.testing.assert_allclose(loaded.extents, [1000 * x, 1000 * z, 1000 * y], rtol=1e-5)
    # What looks towards +z in the scene looks towards -y: the front of a slicer and of Blender.
    np.testing.assert_allclose(loaded.bounds[:, 1], -1000 * mug().bounds[::-1, 2], rtol=1e-4)


@pytest.mark.parametrize("suffix", [".glb", ".stl"])
def test_size_is_the_longest_side_in_the_files_unit(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    write_mesh(path, mug(), mesh_format_of(path).placement(up="z", size=80))
    loaded = trimesh.load_mesh(path)
    assert loaded.extents.max() == pytest.approx(80, rel=1e-5)
    assert loaded.extents[1] / loaded.extents[2] == pytest.approx(mug().extents[2] / mug().extents[1], rel=1e-4)


def test_normals_in_a_glb_have_unit_length(tmp_path: Path) -> None:
    write_mesh(tmp_path / "a.glb", mug())
    loaded = trimesh.load_mesh(tmp_path / "a.glb", process=False)
    np.testing.assert_allclose(np.linalg.norm(loaded.vertex_normals, axis=1), 1, atol=1e-5)


def test_levels_of_detail_are_nodes_of_which_the_default_scene_shows_the_finest(tmp_path: Path) -> None:
    parts = [cover(shapes.BLOB, n, seed=n) for n in (500, 2000, 6000)]
    flat = concatenate(parts)
    level = torch.cat([torch.full((p.num_gaussians,), i) for i, p in enumerate(parts)])
    scene = flat.replace(level=level)
    levels = mesh_levels(scene, MeshSettings(resolution=48, faces=4000))
    assert list(levels) == ["levels 0-2", "levels 0-1", "level 0"]
    counts = [len(made.faces) for made in levels.values()]
    assert all(2 * coarser <= finer for finer, coarser in itertools.pairwise(counts))
    assert all(made.is_watertight for made in levels.values())
    write_mesh(tmp_path / "a.glb", levels)
    document = glb_json(tmp_path / "a.glb")
    assert [node["name"] for node in document["nodes"]] == list(levels)
    assert document["scenes"][document["scene"]]["nodes"] == [0]
    assert document["nodes"][0]["extensions"]["MSFT_lod"]["ids"] == [1, 2]
    with pytest.raises(ConfigError, match=r"levels of detail need \.glb"):
        write_mesh(tmp_path / "a.ply", levels)


@pytest.mark.parametrize("suffix", [".glb", ".obj"])
def test_a_texture_shows_the_colours_of_the_surface(suffix: str, tmp_path: Path) -> None:
    picture = texture(textured())
    assert picture is not None
    image = np.asarray(picture.image)[::-1] / 255.0  # row 0 at v = 0
    corners = textured().faces
    middle_uv = picture.uvs[corners].mean(axis=1)
    middle = np.asarray(textured().vertices)[corners].mean(axis=1)
    column, row = np.floor(middle_uv * np.array(image.shape[1::-1])).astype(int).T
    mse = np.mean((image[row, column] - paint(middle)) ** 2)
    assert -10 * np.log10(mse) >= 33
    files = write_mesh(tmp_path / f"a{suffix}", textured())
    assert sorted(files) == sorted(tmp_path.iterdir())
    loaded = trimesh.load_mesh(tmp_path / f"a{suffix}", process=False)
    assert isinstance(loaded.visual, TextureVisuals)
    assert loaded.visual.uv is not None
    np.testing.assert_allclose(loaded.visual.uv[loaded.faces], picture.uvs[textured().faces], atol=1e-4)


@pytest.mark.parametrize("up", ["y", "z"])
def test_the_two_sides_of_a_seam_have_one_normal(up: str, tmp_path: Path) -> None:
    write_mesh(tmp_path / "a.glb", textured(), MeshPlacement(up=up, size=3.0))
    (loaded,) = trimesh.load_scene(tmp_path / "a.glb", process=False).geometry.values()
    _, place, count = np.unique(loaded.vertices.round(5), axis=0, return_inverse=True, return_counts=True)
    sums = np.zeros((len(count), 3))
    np.add.at(sums, place.ravel(), loaded.vertex_normals)
    assert (count > 1).any()
    assert np.linalg.norm(sums, axis=1)[count > 1] == pytest.approx(count[count > 1], rel=1e-5)


def test_a_report_of_levels_says_what_lies_in_the_file(tmp_path: Path) -> None:
    levels = {"fine": trimesh.creation.box((2, 1, 1)), "coarse": trimesh.creation.box((1, 1, 1))}
    levels["coarse"].metadata["hgs"] = {"voxel": 0.1}
    placement = MeshPlacement(size=4.0)
    facts = describe_meshes(levels, placement)
    write_mesh(tmp_path / "a.glb", levels, placement)
    loaded = trimesh.load_scene(tmp_path / "a.glb", process=False).geometry
    for name, made in loaded.items():
        assert facts[name]["size"] == pytest.approx(made.extents, abs=1e-5)
    assert facts["coarse"]["size"] == pytest.approx([2, 2, 2])
    assert facts["coarse"]["voxel"] == pytest.approx(0.2)


def test_seams_of_a_texture_do_not_open_the_solid() -> None:
    facts = describe_mesh(textured(), MeshPlacement())
    assert facts["solid"]
    assert facts["euler_number"] == 2


def test_manifold3d_takes_the_mesh_as_a_solid() -> None:
    made = mug()
    vertices, faces = np.asarray(made.vertices, np.float32), np.asarray(made.faces, np.uint32)
    solid = manifold3d.Manifold(manifold3d.Mesh(vert_properties=vertices, tri_verts=faces))
    assert solid.status() == manifold3d.Error.NoError
    assert solid.genus() == 1
    assert solid.volume() == pytest.approx(made.volume, rel=1e-4)


def test_a_report_states_what_trimesh_measures() -> None:
    facts = describe_mesh(mug(), MeshPlacement(unit="millimetre", up="z", floor=True))
    assert json.loads(json.dumps(facts)) == facts
    assert facts["volume"] == pytest.approx(mug().volume * 1e9, rel=1e-6)
    assert facts["area"] == pytest.approx(mug().area * 1e6, rel=1e-6)
    assert (facts["euler_number"], facts["parts"], facts["watertight"], facts["solid"]) == (0, 1, True, True)
    assert (facts["unit"], facts["up"], facts["faces"]) == ("millimetre", "z", len(mug().faces))


def scene_with(**changes: Any) -> GaussianHierarchy:
    scene = make_scene((8, 32))
    return scene.replace(**changes, check_finite=False) if changes else scene


NOBODY = torch.full((40,), -1)

BAD: dict[str, tuple[Callable[[], GaussianHierarchy], type[Exception], str]] = {
    "empty": (lambda: scene_with().select(NOBODY == 0), FormatError, "0 of 0 Gaussians can form a surface"),
    "one": (lambda: scene_with().select(torch.arange(40) == 3), FormatError, "1 of 1 Gaussians can form a surface"),
    "nan": (lambda: scene_with(means=torch.full((1, 40, 3), torch.nan)), ShapeError, "120 in means"),
    "faint": (lambda: scene_with(opacity_logits=torch.full((1, 40), -9.0)), FormatError, "40 are nearly transparent"),
    "background": (lambda: scene_with(level=NOBODY, parent=NOBODY), FormatError, "40 belong to the background"),
    "endless": (lambda: scene_with(log_scales=torch.full((1, 40, 3), 100.0)), ShapeError, "40 Gaussians are larger"),
    "batch": (lambda: make_scene(batch=2), ShapeError, "a batch of 2 scenes"),
}


@pytest.mark.parametrize("name", BAD)
def test_scenes_without_a_surface_are_named(name: str) -> None:
    scene, error, message = BAD[name]
    with pytest.raises(error, match=message):
        mesh(scene(), resolution=32)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "poisson"}, "method 'poisson' is unknown; expected one of: surface, shell"),
        ({"color": "paint"}, "color 'paint' is unknown"),
        ({"keep": "some"}, "keep 'some' is unknown"),
        ({"faces": 10}, "10 faces; expected at least 100"),
        ({"faces": -3}, "-3 faces; expected at least 100"),
        ({"resolution": 3}, "resolution 3; expected 16 to 2048"),
        ({"level": 1.0}, "finds its own"),
        ({"method": "shell", "level": 1e6, "resolution": 32}, "level 1e.06 lies outside the densities"),
        ({"color": "texture", "faces": 50_000}, "50000 triangles would take minutes to unwrap"),
        ({"color": "texture", "faces": 0}, "a mesh that is not reduced would take minutes"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        mesh(make_scene(), **arguments)


def test_a_grid_too_large_for_memory_is_refused_before_it_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hgs_toolkit.exporters.meshes.grid.available_memory", lambda: 10_000_000)
    with pytest.raises(ConfigError, match=r"resolution 256 makes .* voxels, which need about .* GB; 0\.0 GB are free"):
        mesh(make_scene())


@pytest.mark.parametrize("name", ["a.fbx", "a"])
def test_an_unknown_suffix_lists_the_known_ones(name: str, tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"expected one of: \.glb, \.ply, \.obj, \.stl"):
        write_mesh(tmp_path / name, mug())
    assert not list(tmp_path.iterdir())


def test_files_in_the_way_are_kept_without_force(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"mine")
    with pytest.raises(HgsError, match=r"a\.png exists already"):
        write_mesh(tmp_path / "a.obj", textured())
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    with pytest.raises(ConfigError, match=r"\.ply files hold no texture"):
        write_mesh(tmp_path / "a.ply", textured())


@pytest.mark.parametrize("placement", [{"up": "x"}, {"size": 0.0}, {"size": float("nan")}])
def test_placements_that_cannot_be_meant_are_refused(placement: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="expected"):
        MeshPlacement(**placement)


def test_levels_of_a_scene_of_background_alone_are_refused() -> None:
    scene = make_scene((8,), background=5).levels([])
    with pytest.raises(FormatError, match="no Gaussians outside its background"):
        mesh_levels(scene, MeshSettings(resolution=32))
