from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh

from hgs_toolkit.cameras import from_yaw_pitch
from hgs_toolkit.datasets.attribution import ATTRIBUTION, UNKNOWN, Credit, read_credits, summarise
from hgs_toolkit.datasets.eg3d import read_label_file
from hgs_toolkit.datasets.meshes.library import find_meshes
from hgs_toolkit.datasets.meshes.rendering import MeshImages, render_meshes, render_model
from hgs_toolkit.datasets.meshes.textured_mesh import load_textured_mesh
from hgs_toolkit.datasets.meshes.variation import Drawing, Variation
from hgs_toolkit.datasets.scene_prior import camera_prior
from hgs_toolkit.datasets.storage import open_store
from hgs_toolkit.errors import DataError
from tests.datasets.test_mesh_render import CATALOG, visible_box, write_archive, write_library, write_quad

pytest.importorskip("embreex", reason="rendering meshes needs the extra [meshes]")


def test_the_licence_of_the_catalogue_goes_into_the_set(tmp_path: Path) -> None:
    catalog = "name=Nice things\nlicense=CC-BY 4.0\ndescription=By Everyone\ncreator#1=Ann\n" + CATALOG
    write_quad(tmp_path / "models/own", name="stool")
    write_archive(tmp_path / "models/furniture.sh3f", catalog, ["set/chair", "set/lamp"])
    (tmp_path / "models/LICENSE.txt").write_text("\nCC0 1.0\nmore text\n")
    meshes = find_meshes(tmp_path / "models")
    render_meshes(meshes, tmp_path / "set.zip", 4, 8)
    _, facts = read_label_file(open_store(tmp_path / "set.zip"))
    given = read_credits(facts[ATTRIBUTION])
    assert given == [
        Credit("Chair", "Ann", "CC-BY 4.0", "Nice things"),
        Credit("Lamp", "By Everyone", "CC-BY 4.0", "Nice things"),
        Credit("own/stool.obj", UNKNOWN, "CC0 1.0", "models/LICENSE.txt"),
    ]
    assert summarise(given) == "3 works (2 CC-BY 4.0; 1 CC0 1.0) by Ann, By Everyone, unknown"


def test_a_model_without_a_licence_is_said_to_have_none(tmp_path: Path) -> None:
    assert find_meshes(write_library(tmp_path, 1)[0].store.path)[0].credit is None
    images = MeshImages(tuple(write_library(tmp_path, 1)), 8)
    assert [credit.licence for credit in read_credits(images.facts[ATTRIBUTION])] == [UNKNOWN]


def test_nothing_varies_unless_it_is_asked_for(tmp_path: Path) -> None:
    images = MeshImages(tuple(write_library(tmp_path)), 16, seed=4)
    plain, label = images(3)
    assert np.array_equal(plain, render_model(load_textured_mesh(images.mesh_of(3)), label, 16))


def test_hue_and_value_change_the_colours_and_nothing_else(tmp_path: Path) -> None:
    write_quad(tmp_path, material="Kd 0.8 0.3 0.3\n")
    mesh, label = find_meshes(tmp_path)[0], from_yaw_pitch(torch.zeros(1), torch.zeros(1)).labels[0].numpy()
    model = load_textured_mesh(mesh)
    plain = render_model(model, label, 32).astype(float)
    turned = render_model(model, label, 32, drawing=Variation(hue=2.0).draw(np.random.default_rng(0))).astype(float)
    darker = render_model(model, label, 32, drawing=Variation(value=0.5).draw(np.random.default_rng(3))).astype(float)
    assert np.array_equal(plain[..., 3], turned[..., 3])
    middle = (16, 16, slice(0, 3))
    assert np.abs(plain[middle] - turned[middle]).max() > 20
    assert plain[middle].mean() == pytest.approx(turned[middle].mean(), abs=3)
    ratio = darker[middle] / plain[middle]
    assert ratio == pytest.approx(np.full(3, ratio[0]), abs=0.03)
    assert abs(ratio[0] - 1) > 0.05


def test_a_stretched_model_keeps_inside_the_frame_and_has_other_proportions(tmp_path: Path) -> None:
    trimesh.creation.icosphere(subdivisions=4).export(tmp_path / "ball.ply")
    model = load_textured_mesh(find_meshes(tmp_path)[0])
    label = from_yaw_pitch(torch.zeros(1), torch.zeros(1)).labels[0].numpy()
    drawing = Drawing(scale=np.array([1.0, 0.5, 1.0], dtype=np.float32))
    height, width = visible_box(render_model(model, label, 100, drawing=drawing))
    assert height == pytest.approx(49, abs=2)
    assert width == pytest.approx(97, abs=2)
    for seed in range(20):
        scale = Variation(scale=0.3).draw(np.random.default_rng(seed)).scale
        assert scale.max() == 1
        assert scale.min() > 0.7 / 1.3 - 1e-6


def test_the_normals_of_a_stretched_model_are_those_of_its_surface(tmp_path: Path) -> None:
    trimesh.creation.icosphere(subdivisions=4).export(tmp_path / "ball.ply")
    flat = trimesh.creation.icosphere(subdivisions=4)
    flat.apply_scale([1, 0.5, 1])
    (tmp_path / "flat").mkdir()
    flat.export(tmp_path / "flat/ball.ply")
    label = from_yaw_pitch(torch.tensor([0.4]), torch.tensor([0.5])).labels[0].numpy()
    round_mesh, flat_mesh = find_meshes(tmp_path, r"^ball")[0], find_meshes(tmp_path, "flat")[0]
    drawing = Drawing(scale=np.array([1.0, 0.5, 1.0], dtype=np.float32))
    stretched = render_model(load_textured_mesh(round_mesh), label, 48, drawing=drawing).astype(int)
    assert np.abs(stretched - render_model(load_textured_mesh(flat_mesh), label, 48)).mean() < 1


def test_the_light_moves_around_the_model(tmp_path: Path) -> None:
    trimesh.creation.icosphere(subdivisions=4).export(tmp_path / "ball.ply")
    model = load_textured_mesh(find_meshes(tmp_path)[0])
    label = from_yaw_pitch(torch.zeros(1), torch.zeros(1)).labels[0].numpy()
    sides = []
    for seed in range(8):
        light = Variation(light=np.pi).draw(np.random.default_rng(seed))
        assert np.linalg.norm(light.light) == pytest.approx(1, abs=1e-5)
        image = render_model(model, label, 32, drawing=light).astype(int)
        sides.append(image[:, 4:12, :3].sum() - image[:, 20:28, :3].sum())
    assert min(sides) < 0 < max(sides)


def test_a_group_of_views_shows_one_drawing_of_one_model(tmp_path: Path) -> None:
    meshes = tuple(write_library(tmp_path))
    images = MeshImages(meshes, 16, seed=4, views=3, variation=Variation(hue=1.0, value=0.3, light=1.0, scale=0.2))
    assert all(images.mesh_of(3 * group) == images.mesh_of(3 * group + 2) for group in range(30))
    shown = {images.mesh_of(index).name for index in range(9 * len(meshes))}
    assert shown == {mesh.name for mesh in meshes}
    law_of_one_view = MeshImages(
        meshes, 16, seed=4, poses=camera_prior(0.0, 0.0, 0.0), views=3, variation=images.variation
    )
    first, second, other = (law_of_one_view(index)[0].astype(int) for index in (0, 2, 3))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("wrong", [{"value": 1.0}, {"scale": -0.1}, {"hue": 4.0}])
def test_a_variation_that_makes_no_sense_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(DataError, match="expected 0"):
        Variation(**wrong)
