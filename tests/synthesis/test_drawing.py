"""The one pass agrees with the toolkit's renderer, layer by layer."""

from typing import Any

import numpy as np
import pytest
import torch

from hgs_toolkit.cameras import Cameras, orbit
from hgs_toolkit.gaussians import GaussianHierarchy
from hgs_toolkit.rendering import render, render_depth, render_level_map, render_normals
from hgs_toolkit.synthesis import drawing
from hgs_toolkit.synthesis.annotation_images import level_image
from hgs_toolkit.synthesis.drawing import VIEWS_AT_ONCE, draw_layers
from tests.conftest import SceneFactory

ALL = ("depth", "normal", "level")
SIZE = 24


@pytest.mark.parametrize("degree", [0, 2])
def test_every_layer_is_what_the_renderer_draws(scene_factory: SceneFactory, degree: int) -> None:
    scene, cameras = scene_factory(background=5, degree=degree), orbit(3)
    layers = list(draw_layers(scene, cameras, SIZE, ALL))
    images, alphas = render(scene, cameras, SIZE, SIZE)
    depths = render_depth(scene, cameras, SIZE, SIZE)
    normals, _ = render_normals(scene, cameras, SIZE, SIZE)
    levels = render_level_map(scene, cameras, SIZE, SIZE)
    for view, layer in enumerate(layers):
        assert layer.depth is not None
        assert layer.normal is not None
        np.testing.assert_allclose(layer.color, images[0, view], atol=1e-6)
        np.testing.assert_allclose(layer.alpha, alphas[0, view, ..., 0], atol=1e-6)
        np.testing.assert_allclose(layer.depth, depths[0, view, ..., 0], atol=1e-5)
        np.testing.assert_allclose(layer.normal, normals[0, view], atol=1e-6)
        assert np.array_equal(level_image(layer), levels[0, view].numpy() + 2)


def test_the_subject_is_what_the_background_leaves_of_it(scene: GaussianHierarchy) -> None:
    (layer,) = draw_layers(scene, orbit(1), SIZE, ("level",))
    assert layer.level is not None
    np.testing.assert_allclose(layer.subject, layer.level[..., 1:].sum(-1), atol=1e-6)
    assert (layer.subject < layer.alpha - 1e-3).any()


def test_layers_do_not_depend_on_which_others_are_wanted(scene_factory: SceneFactory) -> None:
    scene = scene_factory()
    (everything,), (little,) = draw_layers(scene, orbit(1), SIZE, ALL), draw_layers(scene, orbit(1), SIZE, ())
    assert np.array_equal(everything.color, little.color)
    assert np.array_equal(everything.subject, little.subject)
    assert little.depth is little.normal is little.level is None


def test_many_views_are_each_the_same_as_alone(scene: GaussianHierarchy) -> None:
    cameras = orbit(2 * VIEWS_AT_ONCE + 1)
    layers = list(draw_layers(scene, cameras, SIZE, ALL))
    assert len(layers) == len(cameras)
    for index in (0, VIEWS_AT_ONCE, len(cameras) - 1):
        (alone,) = draw_layers(scene, cameras[index : index + 1], SIZE, ALL)
        assert np.array_equal(alone.color, layers[index].color)


@pytest.mark.parametrize(("room", "calls"), [(8, [5]), (2, [2, 2, 1]), (0, [1] * 5)])
def test_large_views_are_drawn_few_at_a_time_and_are_the_same(
    scene: GaussianHierarchy, monkeypatch: pytest.MonkeyPatch, room: int, calls: list[int]
) -> None:
    together, drawn = list(draw_layers(scene, orbit(5), SIZE, ALL)), list[int]()

    def counted(scene: GaussianHierarchy, cameras: Cameras, *sizes: Any, **options: Any) -> Any:
        drawn.append(cameras.intrinsics.shape[1])
        return render(scene, cameras, *sizes, **options)

    monkeypatch.setattr(drawing, "render", counted)
    monkeypatch.setattr(drawing, "BYTES_AT_ONCE", room * SIZE * SIZE * drawing.PIXEL_BYTES)
    apart = list(draw_layers(scene, orbit(5), SIZE, ALL))
    assert drawn == calls
    for name in ("color", "alpha", "depth", "normal", "level"):
        assert all(np.array_equal(getattr(a, name), getattr(b, name)) for a, b in zip(together, apart, strict=True))


def test_nothing_needs_a_gradient(scene: GaussianHierarchy) -> None:
    with torch.no_grad():
        (layer,) = draw_layers(scene.replace(means=scene.means.clone().requires_grad_()), orbit(1), SIZE, ALL)
    assert layer.color.dtype == np.float32
