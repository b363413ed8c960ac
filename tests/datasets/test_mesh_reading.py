"""Mesh files as other programs write them: all of it is read, or one sentence says what is not."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

from hgs_toolkit.datasets.meshes.library import find_meshes
from hgs_toolkit.datasets.meshes.obj_text import GRAY
from hgs_toolkit.datasets.meshes.polygons import triangles
from hgs_toolkit.datasets.meshes.textured_mesh import TexturedMesh, load_textured_mesh
from hgs_toolkit.errors import DataError, MissingExtraError

SQUARE = "v -1 -1 0\nv 1 -1 0\nv 1 1 0\nv -1 1 0\n"
COORDINATES = "vt 0 0\nvt 1 0\nvt 1 1\nvt 0 1\n"
FACES = "f 1/1 2/2 3/3\nf 1/1 3/3 4/4\n"
BOX = [(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]
BOX_FACES = ["-8 -7 -5 -6", "-4 -2 -1 -3", "-8 -4 -3 -7", "-6 -5 -1 -2", "-8 -6 -2 -4", "-7 -3 -1 -5"]


def read(folder: Path, text: str | bytes, name: str = "m.obj") -> TexturedMesh:
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_textured_mesh(find_meshes(folder, name)[0])


def area(mesh: TexturedMesh) -> float:
    a, b, c = mesh.corners.transpose(1, 0, 2)
    return float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2)


def test_relative_indices_between_the_vertices_lose_no_object(tmp_path: Path) -> None:
    text = ""
    for number, shift in enumerate((-3, 3)):
        text += f"o part{number}\n" + "".join(f"v {x + shift} {y} {z}\n" for x, y, z in BOX)
        text += "".join(f"f {face}\n" for face in BOX_FACES)
    mesh = read(tmp_path, text)
    assert len(mesh.corners) == 24
    x = mesh.corners[..., 0]
    assert ((x < 0).all(axis=1).sum(), (x > 0).all(axis=1).sum()) == (12, 12)


def test_relative_and_absolute_indices_are_the_same_mesh(tmp_path: Path) -> None:
    library = "mtllib m.mtl\nusemtl p\n"
    (tmp_path / "m.mtl").write_text("newmtl p\nmap_Kd t.png\n")
    Image.new("RGB", (4, 4), (200, 100, 50)).save(tmp_path / "t.png")
    plain = read(tmp_path, library + SQUARE + COORDINATES + FACES)
    text = library + SQUARE + COORDINATES + "f -4/-4 -3/-3 -2/-2\nf -4/-4 -2/-2 -1/-1\n"
    relative = read(tmp_path, text, "n.obj")
    for key in ("corners", "uvs", "normals"):
        np.testing.assert_array_equal(getattr(plain, key), getattr(relative, key))


@pytest.mark.parametrize(
    "text",
    [
        "  " + (SQUARE + "f 1 2 3\nf 1 3 4\n").replace("\n", "\n\t "),
        (SQUARE + "f 1 2 3\nf 1 3 4\n").replace("\n", "\r"),
        SQUARE + "f 1 2 3 # one\nf 1 3 4 # two\n",
        SQUARE + "f 1 2 \\\n3\nf 1 3 4\n",
        SQUARE + "f 1 2 3 4\n",
        "# mtllib is not used here\n" + SQUARE + COORDINATES + "f 1/1 2/2 3/3\nf 1 3 4\n",
    ],
    ids=["indented", "old line ends", "comments", "continued lines", "quad", "mixed corners"],
)
def test_other_spellings_are_the_same_square_in_the_default_gray(text: str, tmp_path: Path) -> None:
    mesh = read(tmp_path, text)
    assert len(mesh.corners) == 2
    assert area(mesh) == pytest.approx(2)
    color = mesh.colors.reshape(-1, 4) * mesh.surfaces[0].color
    np.testing.assert_allclose(color, [[0.7, 0.7, 0.7, 1]] * 6, atol=1e-6)
    assert mesh.surfaces[0].texture is None


def test_texture_coordinates_without_a_material_keep_the_colours_of_the_vertices(tmp_path: Path) -> None:
    painted = SQUARE.replace(" 0\n", " 0 0.2 0.4 0.6\n")
    mesh = read(tmp_path, painted + COORDINATES + FACES)
    np.testing.assert_allclose(
        mesh.colors[..., :3] * mesh.surfaces[0].color[:3], [[[0.2, 0.4, 0.6]] * 3] * 2, atol=5e-3
    )


def test_a_concave_polygon_does_not_spill_over_its_outline(tmp_path: Path) -> None:
    mesh = read(tmp_path, "v 0 0 0\nv 2 0 0\nv 2 2 0\nv 1 0.2 0\nv 0 2 0\nf 1 2 3 4 5\n")
    assert len(mesh.corners) == 3
    assert area(mesh) == pytest.approx(2.2 / 2)  # scaled into the unit sphere, by the square root of 2


def test_polygons_become_triangles_of_the_same_area() -> None:
    rng = np.random.default_rng(0)
    angles = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    for _ in range(50):
        star = rng.uniform(0.2, 1, 12)[:, None] * np.stack([np.cos(angles), np.sin(angles)], -1)
        found = star[np.array(triangles([(x, y, 0.0) for x, y in star]))]  # (10, 3, 2)
        a, b, c = found.transpose(1, 0, 2)
        signed = ((b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]) / 2
        following = np.roll(star, -1, axis=0)
        whole = (star[:, 0] * following[:, 1] - star[:, 1] * following[:, 0]).sum() / 2
        assert signed.min() >= 0
        assert signed.sum() == pytest.approx(whole)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (SQUARE + "f 0 1 2\n", "line 5 has the index 0, before the first 'v'; OBJ counts from 1"),
        (SQUARE + "f -5 1 2\n", "line 5 has the index -5"),
        (SQUARE + "f 1 2 9\n", "uses the 9th 'v', but the file has 4"),
        (SQUARE + COORDINATES + "f 1/1 2/2 3/7\n", "uses the 7th 'vt', but the file has 4"),
        (SQUARE + "f 1 2 x\n", "line 5 has the index 'x'; expected a whole number"),
    ],
)
def test_faces_that_point_nowhere_are_refused(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        read(tmp_path, text)


def test_several_libraries_options_and_paths_of_another_computer(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "materials").mkdir()
    (tmp_path / "materials" / "a.mtl").write_text("newmtl red\nmap_Kd -s 2 2 2 -clamp on red one.png\n")
    (tmp_path / "b.mtl").write_text("newmtl green\nmap_Kd C:\\Users\\me\\GREEN.png\nnewmtl plain\n")
    Image.new("RGB", (4, 4), (255, 0, 0)).save(tmp_path / "materials" / "red one.png")
    Image.new("RGB", (4, 4), (0, 255, 0)).save(tmp_path / "green.png")
    text = f"mtllib materials/a.mtl b.mtl\n{SQUARE}{COORDINATES}"
    for name in ("red", "green", "plain"):
        text += f"usemtl {name}\n{FACES}"
    mesh = read(tmp_path, text)
    found = {
        "gray" if surface.texture is None else str(surface.texture[0, 0].tolist()): surface.color.round(2).tolist()
        for surface in mesh.surfaces
    }
    assert found == {
        "[255, 0, 0, 255]": [1, 1, 1, 1], "[0, 255, 0, 255]": [1, 1, 1, 1],
        "gray": pytest.approx([0.7, 0.7, 0.7, 1], abs=0.01),
    }  # fmt: skip
    assert caplog.text == ""


def test_a_material_that_no_library_defines_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "m.mtl").write_text("newmtl p\nKd 1 0 0\n")
    read(tmp_path, "mtllib m.mtl\nusemtl q\n" + SQUARE + COORDINATES + FACES)
    assert "m.mtl defines no material q" in caplog.text


def test_a_texture_without_coordinates_is_said_and_drawn_in_its_mean(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "m.mtl").write_text("newmtl p\nmap_Kd t.png\n")
    Image.fromarray(np.array([[[0, 0, 0], [200, 100, 50]]], np.uint8)).save(tmp_path / "t.png")
    mesh = read(tmp_path, "mtllib m.mtl\nusemtl p\n" + SQUARE + "f 1 2 3\nf 1 3 4\n")
    assert "has a texture but no texture coordinates" in caplog.text
    np.testing.assert_allclose(mesh.surfaces[0].color * 255, [100, 50, 25, 255], atol=1)


@pytest.mark.parametrize("suffix", ["stl", "off", "dae"])
def test_further_formats_are_read(suffix: str, tmp_path: Path) -> None:
    if suffix == "dae":
        pytest.importorskip("collada")
    box = trimesh.creation.box((1.0, 2.0, 3.0))
    data = box.export(file_type=suffix)
    mesh = read(tmp_path, data, f"m.{suffix}")
    assert len(mesh.corners) == 12
    np.testing.assert_allclose(np.ptp(mesh.corners.reshape(-1, 3), axis=0) * np.sqrt(14) / 2, [1, 2, 3], rtol=1e-5)
    if suffix != "dae":
        np.testing.assert_allclose(mesh.colors[..., :3], 0.7, atol=0.01)


@pytest.mark.parametrize(("axis", "extents"), [("Y_UP", [1, 2, 3]), ("Z_UP", [1, 3, 2]), ("X_UP", [2, 1, 3])])
def test_a_collada_file_stands_as_it_says(axis: str, extents: list[float], tmp_path: Path) -> None:
    pytest.importorskip("collada")
    data = trimesh.creation.box((1.0, 2.0, 3.0)).export(file_type="dae")
    data = data.encode() if isinstance(data, str) else data

    data = re.sub(rb"<up_axis>.*?</up_axis>", b"", data).replace(
        b"</asset>", f"<up_axis>{axis}</up_axis></asset>".encode()
    )
    mesh = read(tmp_path, data, "m.dae")
    np.testing.assert_allclose(np.ptp(mesh.corners.reshape(-1, 3), axis=0) * np.sqrt(14) / 2, extents, rtol=1e-5)


def test_without_pycollada_the_message_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hgs_toolkit.datasets.meshes.reading.importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'hgs_toolkit\[meshes\]'"):
        read(tmp_path, b"<COLLADA/>", "m.dae")


def test_files_of_other_formats_are_counted_and_never_passed_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("a.fbx", "b.FBX", "c.ac"):
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(DataError, match=r"holds no model; expected .*\.dae; files that are not read: 1 \.ac, 2 \.fbx"):
        find_meshes(tmp_path)
    read(tmp_path, SQUARE + "f 1 2 3 4\n")
    assert "files that are not read: 1 .ac, 2 .fbx; save them as .glb" in caplog.text


@pytest.mark.parametrize("number", [4, 2**31, -1])
def test_a_face_with_a_vertex_that_does_not_exist_is_refused(number: int, tmp_path: Path) -> None:
    header = "ply\nformat ascii 1.0\nelement vertex 4\nproperty float x\nproperty float y\nproperty float z\n"
    header += "element face 2\nproperty list uchar int64 vertex_indices\nend_header\n"
    data = header.replace("int64", "uint" if number > 0 else "int") + "0 0 0\n1 0 0\n0 1 0\n0 0 1\n"
    with pytest.raises(DataError, match=rf"m\.ply has a face with vertex {number}, but 4 vertices from 0 on"):
        read(tmp_path, f"{data}3 0 1 2\n3 0 1 {number}\n", "m.ply")


def test_vertices_of_two_coordinates_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"m\.obj has vertices without three coordinates|m\.obj cannot be read"):
        read(tmp_path, "v 0 0\nv 1 0\nv 0 1\nf 1 2 3\n")


PLY = """ply
format ascii 1.0
comment {comment}
element vertex 3
property float x
property float y
property float z
property float s
property float t
{colors}element face 1
property list uchar int vertex_indices
end_header
"""


def ply(comment: str, *, colored: bool) -> str:
    colors = "".join(f"property uchar {name}\n" for name in ("red", "green", "blue"))
    corners = ("0 0 0 0 0", "1 0 0 1 0", "0 1 0 0 1")
    rows = [corner + (" 255 0 0" if colored else "") for corner in corners]
    return PLY.format(comment=comment, colors=colors if colored else "") + "\n".join(rows) + "\n3 0 1 2\n"


def test_a_ply_has_the_colours_of_its_texture_or_else_of_its_vertices(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8), (200, 100, 50)).save(tmp_path / "t.png")
    textured = read(tmp_path, ply("TextureFile t.png", colored=False), "textured.ply")
    assert textured.surfaces[0].texture is not None
    np.testing.assert_allclose(textured.surfaces[0].color, 1)
    painted = read(tmp_path, ply("nothing", colored=True), "painted.ply")
    np.testing.assert_allclose(painted.colors[0, 0] * painted.surfaces[0].color, [1, 0, 0, 1])


@pytest.mark.parametrize("text", ["", "mtllib gone.mtl\nusemtl red\n", "mtllib m.mtl\n", "mtllib m.mtl\nusemtl blue\n"])
def test_a_surface_without_a_known_material_is_gray(text: str, tmp_path: Path) -> None:
    (tmp_path / "m.mtl").write_text("newmtl red\nKd 1 0 0\n")
    head, tail = (text.split("usemtl")[0], "usemtl" + text.split("usemtl")[1]) if "usemtl" in text else (text, "")
    mesh = read(tmp_path, head + SQUARE + COORDINATES + tail + FACES)
    assert mesh.surfaces[0].texture is None
    np.testing.assert_allclose(mesh.surfaces[0].color * mesh.colors[0, 0], [*GRAY, 1], atol=1e-6)
