import io
import json

import numpy as np
import pytest
import torch
from PIL import Image

from hgs_toolkit.cameras import Cameras
from hgs_toolkit.config import Config
from hgs_toolkit.rendering import render
from hgs_toolkit.synthesis.annotation_images import compose, depth_image, expose, level_image, normal_image
from hgs_toolkit.synthesis.background_images import BackgroundImages
from hgs_toolkit.synthesis.camera_entry import describe_camera
from hgs_toolkit.synthesis.drawing import Layers
from hgs_toolkit.synthesis.plan import SynthPlan
from hgs_toolkit.synthesis.views import views_of_scene
from tests.synthesis.blobs import annotated_views, balls, layers_of, plan_of

BALL = balls((0.3, 0.2, 0.0))


def frontal_layers(config: Config, **values: object) -> tuple[SynthPlan, Layers]:
    """The ball from the front, in the middle of the right half, above the middle."""
    plan = plan_of(config, cameras={"path": "frontal"}, size=32, **values)
    (layers,) = layers_of(plan, BALL, views_of_scene(plan.settings, 0))
    return plan, layers


def test_the_box_is_the_masks_and_where_the_ball_is(plain_config: Config) -> None:
    plan = plan_of(plain_config, cameras={"path": "frontal"}, size=64)
    (sample,) = annotated_views(plan, BALL)
    left, top, width, height = sample.box or (0, 0, 0, 0)
    inside = np.zeros_like(sample.mask)
    inside[top : top + height, left : left + width] = True
    assert not (sample.mask & ~inside).any()
    assert sample.mask[top].any() and sample.mask[:, left + width - 1].any()  # noqa: PT018
    focal = plan.settings.cameras.poses.focal
    center = 64 * (0.5 + focal * np.array([0.3, -0.2]) / 2.7)
    np.testing.assert_allclose([left + width / 2, top + height / 2], center, atol=1)


def test_an_empty_view_has_no_box(plain_config: Config) -> None:
    plan = plan_of(plain_config, cameras={"path": "frontal"})
    (sample,) = annotated_views(plan, balls((30.0, 0.0, 0.0)))
    assert sample.box is None
    assert sample.entries["bbox"] is None


def test_depth_is_the_balls_z_and_zero_means_nothing(plain_config: Config) -> None:
    plan, layers = frontal_layers(plain_config)
    depth = depth_image(layers, plan.depth_scale)
    drawn = layers.alpha > 0
    np.testing.assert_allclose(depth[drawn] / plan.depth_scale, 2.7, atol=1e-3)
    assert (depth[~drawn] == 0).all()
    assert (~drawn).any()


def test_levels_are_two_more_than_they_are(plain_config: Config) -> None:
    plan = plan_of(plain_config, cameras={"path": "frontal"}, size=32)
    scene = balls((-0.4, 0, 0), (0.4, 0, 0), (0, 0.5, 0), levels=[0, 3, -1])
    (layers,) = layers_of(plan, scene, views_of_scene(plan.settings, 0))
    picture = level_image(layers)
    assert set(np.unique(picture)) == {0, 1, 2, 5}
    assert set(np.unique(picture[:, :12])) == {0, 2}


def test_normals_have_length_one_and_face_the_camera(plain_config: Config) -> None:
    flat = BALL.replace(log_scales=torch.tensor([[[0.1, 0.1, 0.001]]]).log())
    plan = plan_of(plain_config, cameras={"path": "frontal"}, size=32)
    (layers,) = layers_of(plan, flat, views_of_scene(plan.settings, 0))
    picture = normal_image(layers)
    assert (picture[layers.alpha > 0] == [128, 128, 255]).all()
    assert (picture[layers.alpha == 0] == 128).all()


@pytest.mark.parametrize("background", ["#336699", "random"])
def test_a_colour_stands_behind_as_the_renderer_would_put_it(plain_config: Config, background: str) -> None:
    plan, layers = frontal_layers(plain_config, background=background)
    (view,) = views_of_scene(plan.settings, 0)
    color = view.color if background == "random" else (0.2, 0.4, 0.6)
    camera = Cameras.from_labels(torch.from_numpy(view.label[None]))
    expected = render(BALL, camera, 32, 32, color)[0][0, 0].clamp(0, 1).numpy() * 255
    assert np.abs(compose(plan, view, layers, None) - expected).max() <= 0.501


def test_without_a_background_the_alpha_is_straight(plain_config: Config) -> None:
    plan, layers = frontal_layers(plain_config, background="transparent")
    picture = compose(plan, views_of_scene(plan.settings, 0)[0], layers, None)
    assert picture.shape == (32, 32, 4)
    assert (picture[layers.alpha > 0.1][:, :3] >= 254).all()
    np.testing.assert_allclose(picture[..., 3] / 255, layers.alpha, atol=0.5 / 255 + 1e-6)


def test_pictures_stand_behind_cut_to_a_square(plain_config: Config, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("pictures")
    stripes = np.zeros((40, 100, 3), np.uint8)
    stripes[:, ::2] = 255
    Image.fromarray(stripes).save(folder / "a.png")
    plan, layers = frontal_layers(plain_config, background=str(folder))
    views = [views_of_scene(plan.settings, scene)[0] for scene in range(6)]
    pictures = [compose(plan, view, layers, BackgroundImages(folder)) for view in views]
    assert len({picture.tobytes() for picture in pictures}) > 1
    assert (pictures[0][layers.alpha > 0.999] >= 254).all()
    assert np.array_equal(compose(plan, views[0], layers, BackgroundImages(folder)), pictures[0])


def test_a_stop_doubles_the_light_and_none_changes_nothing() -> None:
    def light(display: np.ndarray) -> np.ndarray:
        return np.where(display <= 0.04045, display / 12.92, ((display + 0.055) / 1.055) ** 2.4)

    color = np.linspace(0, 0.7, 50, dtype=np.float32)
    np.testing.assert_allclose(light(expose(color, 1.0)), 2 * light(color), atol=1e-5)
    np.testing.assert_allclose(light(expose(color, -2.0)), light(color) / 4, atol=1e-5)
    assert np.array_equal(expose(color, 0.0), color)
    assert expose(np.array([0.9, 2.0]), 3.0).max() == pytest.approx(1)


def test_every_convention_of_a_camera_says_the_same(plain_config: Config) -> None:
    plan = plan_of(plain_config, count=5, size=64, cameras={"center": [0.45, 0.6]})
    point = np.array([0.2, -0.1, 0.3, 1.0])
    for scene in range(5):
        (view,) = views_of_scene(plan.settings, scene)
        camera = json.loads(json.dumps(describe_camera(view, 64)))
        x, y, z, _ = np.array(camera["world_to_cam_opencv"]) @ point
        K = np.array(camera["eg3d_label"][16:]).reshape(3, 3)
        pixel = np.array([camera["fx"] * x / z + camera["cx"], camera["fy"] * y / z + camera["cy"]])
        np.testing.assert_allclose(64 * (K @ [x / z, y / z, 1])[:2], pixel, atol=1e-4)
        opengl = np.linalg.inv(np.array(camera["cam_to_world_opengl"])) @ point
        np.testing.assert_allclose(opengl, [x, -y, -z, 1], atol=1e-5)
        identity = np.array(camera["cam_to_world_opencv"]) @ np.array(camera["world_to_cam_opencv"])
        np.testing.assert_allclose(identity, np.eye(4), atol=1e-5)
        assert np.array_equal(np.float32(camera["eg3d_label"]), view.label)


def test_files_open_to_what_they_hold(plain_config: Config) -> None:
    plan = plan_of(plain_config, size=32)
    (sample,) = annotated_views(plan, BALL)
    modes = {
        name: Image.open(io.BytesIO(data)).mode for name, data in sample.files.items() if data.startswith(b"\x89PNG")
    }
    assert modes == {"rgb": "RGB", "alpha": "L", "depth": "I;16", "normal": "RGB", "level": "L", "mask": "L"}
    assert np.load(io.BytesIO(sample.files["latent"])).tolist() == [0, 1, 2, 3]
    mask = np.asarray(Image.open(io.BytesIO(sample.files["mask"])))
    assert np.array_equal(mask == 255, sample.mask)
