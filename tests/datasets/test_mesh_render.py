import io
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image

from hgs_toolkit.cameras import Cameras, from_yaw_pitch, yaw_pitch_radius
from hgs_toolkit.datasets.attribution import Credit
from hgs_toolkit.datasets.eg3d import open_dataset
from hgs_toolkit.datasets.images import Pixels
from hgs_toolkit.datasets.meshes import rendering as mesh_render
from hgs_toolkit.datasets.meshes.library import MeshFile, find_meshes
from hgs_toolkit.datasets.meshes.rendering import MeshImages, render_meshes, render_model, usable_meshes
from hgs_toolkit.datasets.meshes.textured_mesh import load_textured_mesh
from hgs_toolkit.datasets.scene_prior import camera_prior
from hgs_toolkit.errors import DataError, MissingExtraError

pytest.importorskip("embreex", reason="rendering meshes needs the extra [meshes]")

QUAD = "v -1 -1 0\nv 1 -1 0\nv 1 1 0\nv -1 1 0\nvt 0 0\nvt 1 0\nvt 1 1\nvt 0 1\n"
QUAD_FACES = "f 1/1 2/2 3/3\nf 1/1 3/3 4/4\n"

CHECKER = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [255, 255, 255]]], dtype=np.uint8)
"""Top left red, top right green, bottom left blue, bottom right white."""


def png(pixels: Pixels) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def write_quad(folder: Path, texture: Pixels | None = None, material: str = "Kd 1 1 1\n", name: str = "quad") -> None:
    """A square in the xy plane that faces +z."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.obj").write_text(f"mtllib {name}.mtl\n{QUAD}usemtl paint\n{QUAD_FACES}")
    (folder / f"{name}.mtl").write_text(
        f"newmtl paint\n{material}" + ("map_Kd tex.png\n" if texture is not None else "")
    )
    if texture is not None:
        (folder / "tex.png").write_bytes(png(texture))


def picture(mesh: MeshFile, yaw: float = 0.0, pitch: float = 0.0, resolution: int = 64, up: str = "y") -> Pixels:
    label = from_yaw_pitch(torch.tensor([yaw]), torch.tensor([pitch])).labels[0].numpy()
    return render_model(load_textured_mesh(mesh, up), label, resolution)


def visible_box(image: Pixels) -> tuple[int, int]:
    """Height and width of what is seen, pixels."""
    return tuple(int(np.ptp(axis)) + 1 for axis in np.nonzero(image[..., 3] > 128))  # type: ignore[return-value]


def hue(image: Pixels, row: float, column: float) -> str:
    color = image[int(row * len(image)), int(column * len(image)), :3].astype(int)
    names = {(True, False, False): "red", (False, True, False): "green", (False, False, True): "blue"}
    return names.get(tuple(bool(value > 0.6 * color.max()) for value in color), "white")  # type: ignore[arg-type]


def test_a_texture_appears_the_right_way_round(tmp_path: Path) -> None:
    write_quad(tmp_path, CHECKER.repeat(32, 0).repeat(32, 1))
    image = picture(find_meshes(tmp_path)[0])
    corners = [hue(image, row, column) for row in (0.3, 0.7) for column in (0.3, 0.7)]
    assert corners == ["red", "green", "blue", "white"]


def test_the_back_of_a_surface_is_seen_mirrored(tmp_path: Path) -> None:
    write_quad(tmp_path, CHECKER.repeat(32, 0).repeat(32, 1))
    image = picture(find_meshes(tmp_path)[0], yaw=np.pi)
    corners = [hue(image, row, column) for row in (0.3, 0.7) for column in (0.3, 0.7)]
    assert corners == ["green", "red", "white", "blue"]


def test_a_sphere_fills_the_frame_and_no_more_wherever_it_was(tmp_path: Path) -> None:
    sphere = trimesh.creation.icosphere(subdivisions=4, radius=1e-3)
    sphere.apply_translation([100, -50, 3])
    sphere.export(tmp_path / "sphere.ply")
    for yaw, pitch in ((0.0, 0.0), (2.0, 0.7)):
        image = picture(find_meshes(tmp_path)[0], yaw, pitch, resolution=100)
        assert visible_box(image) == pytest.approx((97, 97), abs=1.5)
        assert image[[0, -1]].max() == 0
        area = (image[..., 3] / 255).sum()
        assert area == pytest.approx(np.pi * 48.5**2, rel=0.02)


def test_a_z_up_file_stands_upright_when_it_is_said_to_be_one(tmp_path: Path) -> None:
    trimesh.creation.box((0.2, 0.4, 2.0)).export(tmp_path / "tower.ply")
    mesh = find_meshes(tmp_path)[0]
    height, width = visible_box(picture(mesh, up="z"))
    assert height > 4 * width
    height, width = visible_box(picture(mesh, up="y"))
    assert height < 3 * width


@pytest.mark.parametrize("suffix", ["ply", "glb", "obj"])
def test_vertex_colours_are_drawn(tmp_path: Path, suffix: str) -> None:
    mesh = trimesh.creation.icosphere()
    mesh.visual = trimesh.visual.ColorVisuals(mesh, vertex_colors=np.tile([10, 200, 20, 255], (len(mesh.vertices), 1)))
    mesh.export(tmp_path / f"ball.{suffix}")
    image = picture(find_meshes(tmp_path)[0])
    assert hue(image, 0.5, 0.5) == "green"


def test_a_glb_with_a_texture_and_moved_parts_looks_like_the_same_obj(tmp_path: Path) -> None:
    write_quad(tmp_path / "obj", CHECKER.repeat(32, 0).repeat(32, 1))
    quad = trimesh.load(tmp_path / "obj" / "quad.obj", process=False)
    scene = trimesh.Scene()
    move = np.array([[3.0, 0, 0, 5], [0, 3, 0, 6], [0, 0, 3, 7], [0, 0, 0, 1]])
    scene.add_geometry(quad, transform=move)
    (tmp_path / "glb").mkdir()
    (tmp_path / "glb" / "quad.glb").write_bytes(trimesh.exchange.gltf.export_glb(scene))
    images = [picture(find_meshes(tmp_path / kind)[0], 0.3, 0.2).astype(int) for kind in ("obj", "glb")]
    assert np.abs(images[0] - images[1]).max() <= 2


def test_light_comes_from_above(tmp_path: Path) -> None:
    trimesh.creation.icosphere(subdivisions=4).export(tmp_path / "ball.ply")
    image = picture(find_meshes(tmp_path)[0]).astype(int)
    assert image[12, 32, :3].sum() > image[52, 32, :3].sum() + 60


def test_glass_lets_through_what_is_behind_it(tmp_path: Path) -> None:
    write_quad(tmp_path, material="Kd 0 0 1\nd 0.25\n")
    image = picture(find_meshes(tmp_path)[0])
    assert image[32, 32, 3] == pytest.approx(64, abs=1)
    two = QUAD + "v -1 -1 -0.1\nv 1 -1 -0.1\nv 1 1 -0.1\nv -1 1 -0.1\n"
    text = f"mtllib quad.mtl\n{two}usemtl paint\n{QUAD_FACES}f 5/1 6/2 7/3\nf 5/1 7/3 8/4\n"
    (tmp_path / "quad.obj").write_text(text)
    assert picture(find_meshes(tmp_path)[0])[32, 32, 3] == pytest.approx(255 * (1 - 0.75**2), abs=1)


def test_holes_of_a_texture_are_holes_of_the_picture(tmp_path: Path) -> None:
    texture = np.full((64, 64, 4), 255, dtype=np.uint8)
    texture[:, :32, 3] = 0
    write_quad(tmp_path, texture)
    alpha = picture(find_meshes(tmp_path)[0])[..., 3]
    assert alpha[32, 20] == 0
    assert alpha[32, 44] == 255


def test_smooth_surfaces_are_smooth_and_edges_are_edges(tmp_path: Path) -> None:
    ball = load_textured_mesh(_saved(trimesh.creation.icosphere(subdivisions=2), tmp_path / "ball.ply"))
    assert np.allclose(ball.normals, ball.corners, atol=0.02)
    cube = load_textured_mesh(_saved(trimesh.creation.box(), tmp_path / "cube.ply"))
    assert np.allclose(np.abs(cube.normals).max(axis=-1), 1)


def _saved(mesh: trimesh.Trimesh, path: Path) -> MeshFile:
    mesh.export(path)
    return find_meshes(path.parent, path.name)[0]


def write_library(folder: Path, count: int = 3) -> list[MeshFile]:
    for index in range(count):
        write_quad(folder / str(index), material=f"Kd {index / 4} 0.5 0.5\n")
    return find_meshes(folder)


def test_an_image_depends_on_its_seed_and_index_alone_and_rounds_show_every_model(tmp_path: Path) -> None:
    meshes = write_library(tmp_path)
    images = MeshImages(tuple(meshes), 16, seed=4)
    late, early = images(30), images(2)
    assert np.array_equal(early[0], MeshImages(tuple(meshes), 16, seed=4)(2)[0])
    assert np.array_equal(late[1], MeshImages(tuple(meshes), 16, seed=4)(30)[1])
    assert not np.array_equal(early[1], MeshImages(tuple(meshes), 16, seed=5)(2)[1])
    for turn in range(4):
        shown = {images.mesh_of(index).name for index in range(24 * turn, 24 * turn + 24)}
        assert shown == {mesh.name for mesh in meshes}


def test_a_set_of_its_images_is_written(tmp_path: Path) -> None:
    meshes = write_library(tmp_path / "models")
    render_meshes(meshes, tmp_path / "set.zip", 10, 16, seed=9)
    dataset = open_dataset(tmp_path / "set.zip")
    assert (len(dataset), dataset.has_alpha, dataset.resolution) == (10, True, 16)
    image, label = MeshImages(tuple(meshes), 16, seed=9)(8)
    assert np.array_equal(dataset.image(8), image)
    assert np.array_equal(dataset.labels[8], label)


def test_other_processes_make_the_same_images(tmp_path: Path) -> None:
    images = MeshImages(tuple(write_library(tmp_path)), 16)
    image, label = images(11)
    mesh_render._models.clear()
    sent = pickle.loads(pickle.dumps(images))
    assert np.array_equal(sent(11)[0], image)
    assert np.array_equal(sent(11)[1], label)


def test_cameras_keep_to_the_asked_angles(tmp_path: Path) -> None:
    images = MeshImages(tuple(write_library(tmp_path, 1)), 8, poses=camera_prior(0.5, 0.1, 0.3))
    labels = torch.from_numpy(np.stack([images(index)[1] for index in range(100)]))
    yaw, pitch, _ = yaw_pitch_radius(Cameras.from_labels(labels).cam_to_world)
    assert 0.4 < yaw.abs().max() < 0.5 + 1e-5
    assert pitch.min() > 0.1 - 1e-5
    assert pitch.max() < 0.3 + 1e-5


def test_broken_models_are_named_and_never_passed_over(tmp_path: Path) -> None:
    write_quad(tmp_path / "good")
    (tmp_path / "empty.obj").write_text("v 0 0 0\n")
    (tmp_path / "broken.glb").write_bytes(b"glTF garbage")
    (tmp_path / "point.obj").write_text("v 1 1 1\nv 1 1 1\nv 1 1 1\nf 1 2 3\n")
    (tmp_path / "infinite.obj").write_text("v 0 0 0\nv 1 nan 0\nv 0 1 0\nf 1 2 3\n")
    meshes = find_meshes(tmp_path)
    usable, problems = usable_meshes(meshes)
    assert [mesh.name for mesh in usable] == ["good/quad.obj"]
    assert len(problems) == 4
    for name, reason in (
        ("broken.glb", "cannot be read"),
        ("empty.obj", "has no triangles"),
        ("infinite.obj", "not finite"),
        ("point.obj", "no extent"),
    ):
        assert any(name in problem and reason in problem for problem in problems), (name, problems)
    with pytest.raises(DataError, match=r"(broken\.glb|empty\.obj|infinite\.obj|point\.obj) "):
        render_meshes(meshes, tmp_path / "set.zip", 40, 8)
    assert not (tmp_path / "set.zip").exists()


def test_missing_textures_are_reported_and_files_outside_are_never_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "secret.png").write_bytes(png(CHECKER))
    write_quad(tmp_path / "models", material="Kd 1 1 1\nmap_Kd ../secret.png\n")
    model = load_textured_mesh(find_meshes(tmp_path / "models")[0])
    assert model.surfaces[0].texture is None
    assert "quad.obj is drawn without some of its textures" in caplog.text
    assert "has no file ../secret.png" in caplog.text


def test_a_texture_that_unpacks_to_gigabytes_is_not_decoded(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_quad(tmp_path, CHECKER)
    Image.new("L", (8200, 8200)).save(tmp_path / "tex.png")
    assert load_textured_mesh(find_meshes(tmp_path)[0]).surfaces[0].texture is None
    assert "expected at most" in caplog.text


def test_large_textures_are_averaged_down(tmp_path: Path) -> None:
    write_quad(tmp_path, CHECKER.repeat(300, 0).repeat(300, 1))
    texture = load_textured_mesh(find_meshes(tmp_path)[0], texture_size=256).surfaces[0].texture
    assert texture is not None
    assert max(texture.shape) <= 256


def test_without_embree_the_message_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "embreex.rtcore_scene", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'hgs_toolkit\[meshes\]'"):
        render_meshes(write_library(tmp_path, 1), tmp_path / "set.zip", 1, 8)


def test_the_memory_of_read_models_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mesh_render, "CACHE_BYTES", 1)
    usable_meshes(write_library(tmp_path))
    assert len(mesh_render._models) == 1


def write_archive(path: Path, catalog: str, folders: list[str]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("PluginFurnitureCatalog.properties", catalog.encode("iso-8859-1"))
        for folder in folders:
            archive.writestr(f"{folder}/m.obj", f"mtllib m.mtl\n{QUAD}usemtl paint\n{QUAD_FACES}")
            archive.writestr(f"{folder}/m.mtl", "newmtl paint\nKd 1 1 1\nmap_Kd t.png\n")
            archive.writestr(f"{folder}/t.png", png(CHECKER))


CATALOG = """# comment
id#1=chair
name#1=Chair
category#1=Living room
tags#1=Seat, Caf\u00e9
model#1=/set/chair/m.obj
modelRotation#1=0 1 0 -1 0 0 0 0 1
name#2=Lamp
model#2=/set/lamp/m.obj
"""


def test_archives_are_searched_and_models_chosen_by_their_catalogue(tmp_path: Path) -> None:
    write_archive(tmp_path / "furniture.sh3f", CATALOG, ["set/chair", "set/lamp"])
    write_quad(tmp_path / "sub", name="stool")
    found = find_meshes(tmp_path)
    assert [mesh.label.partition("/")[2] for mesh in found] == ["set/chair/m.obj", "set/lamp/m.obj", "sub/stool.obj"]
    assert found[0].title == "furniture.sh3f/set/chair/m.obj | Chair | Living room | Seat, Café"
    assert [mesh.name for mesh in find_meshes(tmp_path, "SEAT|stool")] == ["set/chair/m.obj", "sub/stool.obj"]
    assert [mesh.name for mesh in find_meshes(tmp_path / "furniture.sh3f", "lamp")] == ["set/lamp/m.obj"]


def test_an_empty_entry_of_a_catalogue_does_not_take_the_next_line(tmp_path: Path) -> None:
    catalog = (
        "name=Things\nlicense=CC-BY\ncreator=\n" + CATALOG.replace("tags#1=Seat, Caf\u00e9", "creator#1=Alice\ntags#1=")
        + "license#2=\ncreator#2=Bob \\u00e9\n"
    )  # fmt: skip
    write_archive(tmp_path / "furniture.sh3f", catalog, ["set/chair", "set/lamp"])
    chair, lamp = find_meshes(tmp_path)
    assert chair.rotation is not None
    assert chair.title == "furniture.sh3f/set/chair/m.obj | Chair | Living room"
    assert chair.credit == Credit("Chair", "Alice", "CC-BY", "Things")
    assert lamp.credit == Credit("Lamp", "Bob \u00e9", "CC-BY", "Things")


def test_a_damaged_archive_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_archive(tmp_path / "furniture.sh3f", CATALOG, ["set/chair", "set/lamp"])
    data = (tmp_path / "furniture.sh3f").read_bytes()
    (tmp_path / "furniture.sh3f").write_bytes(data[:-40])
    write_quad(tmp_path / "sub", name="stool")
    assert [mesh.name for mesh in find_meshes(tmp_path)] == ["sub/stool.obj"]
    assert "furniture.sh3f is no zip archive, or a damaged one; its models are left out" in caplog.text


def test_the_catalogue_sets_a_model_upright(tmp_path: Path) -> None:
    write_archive(tmp_path / "furniture.sh3f", CATALOG, ["set/chair", "set/lamp"])
    turned, plain = (load_textured_mesh(mesh) for mesh in find_meshes(tmp_path))
    quarter = np.array([[0, 1, 0], [-1, 0, 0], [0, 0, 1]])
    assert np.allclose(turned.corners, plain.corners @ quarter.T, atol=1e-6)
    assert turned.surfaces[0].texture is not None


@pytest.mark.parametrize(("match", "message"), [("[", "not a regular expression"), ("zebra", "none of the 1 models")])
def test_a_choice_without_models_is_refused(tmp_path: Path, match: str, message: str) -> None:
    write_quad(tmp_path)
    with pytest.raises(DataError, match=message):
        find_meshes(tmp_path, match)
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match="holds no model"):
        find_meshes(tmp_path / "none")
