"""What the viewer's controls make of a source, without server or browser."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from hgs_toolkit.asset import Asset, AssetMetadata
from hgs_toolkit.cameras import from_yaw_pitch
from hgs_toolkit.gaussians import BACKGROUND_LEVEL, GaussianHierarchy
from hgs_toolkit.imaging.camera_paths import subject_bounds
from hgs_toolkit.imaging.looks import opaque, painted_by_level
from hgs_toolkit.model.generator import Generator
from hgs_toolkit.rendering import render
from hgs_toolkit.sampling import sample, sample_assets, sample_w
from hgs_toolkit.viewer.choice import (
    BESIDE,
    BETWEEN,
    ONE,
    OTHER,
    Choice,
    FileSource,
    ModelSource,
    chosen_asset,
    shown_scene,
)
from hgs_toolkit.viewer.directions import principal_directions
from hgs_toolkit.viewer.splats import client_cameras, picture_of, splats_of

Factory = Callable[..., GaussianHierarchy]


@pytest.fixture
def model(tiny_model: Generator) -> ModelSource:
    return ModelSource(tiny_model, "tiny")


def test_a_and_b_are_the_seeds_scenes(model: ModelSource) -> None:
    choice = Choice(seeds=(3, 8), psi=0.6)
    for view, seed in ((ONE, 3), (OTHER, 8)):
        asset = chosen_asset(model, replace(choice, view=view))
        assert torch.equal(asset.scene.means, sample(model.model, [seed], psi=0.6).means)
        assert (asset.metadata.seed, asset.metadata.psi, asset.metadata.generator) == (seed, 0.6, "tiny")


def test_between_them_the_style_goes_straight_and_has_no_seed(model: ModelSource) -> None:
    first, second = sample_w(model.model, [3, 8])
    asset = chosen_asset(model, Choice(view=BETWEEN, seeds=(3, 8), blend=0.25))
    assert asset.latent is not None
    torch.testing.assert_close(asset.latent, torch.lerp(first, second, 0.25))
    assert asset.metadata.seed is None


def test_a_and_b_have_the_chosen_classes_and_else_those_of_their_seeds(class_model: Generator) -> None:
    source = ModelSource(class_model)
    assert list(source.classes) == ["chair", "table"]
    chosen = Choice(seeds=(3, 3), classes=("table", "chair"))
    for view, name in ((ONE, "table"), (OTHER, "chair")):
        asset = chosen_asset(source, replace(chosen, view=view))
        assert torch.equal(asset.scene.means, sample(class_model, [3], classes=name).means)
        assert asset.metadata.class_name == name
    left = chosen_asset(source, Choice(seeds=(3, 8)))
    assert torch.equal(left.scene.means, sample(class_model, [3]).means)
    assert left.metadata.class_name == next(sample_assets(class_model, [3])).metadata.class_name
    halfway = chosen_asset(source, replace(chosen, view=BETWEEN, blend=0.5))
    assert halfway.metadata.class_name == ""


def test_sliders_move_along_directions_of_falling_importance(model: ModelSource) -> None:
    lengths = model.directions.norm(dim=-1)
    assert (lengths[1:] <= lengths[:-1]).all()
    unit = model.directions / lengths[:, None]
    torch.testing.assert_close(unit @ unit.T, torch.eye(len(unit)), atol=1e-4, rtol=0)
    plain, moved = (chosen_asset(model, Choice(sliders=sliders)).latent for sliders in ((), (0.0, 2.0)))
    assert plain is not None
    assert moved is not None
    torch.testing.assert_close(moved - plain, 2 * model.directions[1])
    assert torch.equal(principal_directions(model.model, 2), model.directions[:2])


def test_looks_are_those_of_the_looks_module(scene: GaussianHierarchy) -> None:
    source = FileSource(Asset(scene))
    shown = shown_scene(source, Choice(hidden=frozenset({1, BACKGROUND_LEVEL})))
    assert torch.equal(shown.means, scene.levels([0, 2], background=False).means)
    assert torch.equal(shown_scene(source, Choice(opaque=True)).opacity_logits, opaque(scene).opacity_logits)
    assert torch.equal(shown_scene(source, Choice(by_level=True)).sh, painted_by_level(scene).sh)
    smaller = shown_scene(source, Choice(scale=0.25)).log_scales
    torch.testing.assert_close(smaller, scene.log_scales + math.log(0.25))
    assert shown_scene(source, Choice(hidden=frozenset({-1, 0, 1, 2}))).num_gaussians == 0


def test_two_scenes_side_by_side_do_not_overlap_and_share_the_looks(scene_factory: Factory) -> None:
    first, second = scene_factory(seed=1), scene_factory((4, 16), seed=2)
    source = FileSource(Asset(first), Asset(second))
    both = shown_scene(source, Choice(view=BESIDE))
    assert both.num_gaussians == 84 + 20
    shift = both.means[0, :84] - first.means[0]
    assert (shift[:, 0] < 0).all()
    centers = [subject_bounds(part, 0.95)[0] for part in (first, second)]
    expected = -shift[:20] + torch.tensor([float(centers[0][0] - centers[1][0]), 0.0, 0.0])
    torch.testing.assert_close(both.means[0, 84:] - second.means[0], expected, atol=1e-5, rtol=0)
    assert both.means[0, :84, 0].median() < both.means[0, 84:, 0].median()
    assert shown_scene(source, Choice(view=BESIDE, hidden=frozenset({2}))).num_gaussians == 40


@pytest.mark.parametrize("place", [(50.0, 0.0, 0.0), (-1.2, 0.0, 0.0), (0.0, 30.0, -40.0)])
def test_scenes_stand_side_by_side_wherever_they_lie(place: tuple[float, ...], scene_factory: Factory) -> None:
    first = scene_factory(background=0)
    moved = FileSource(Asset(first), Asset(first.replace(means=first.means + torch.tensor(place))))
    expected = shown_scene(FileSource(Asset(first), Asset(first)), Choice(view=BESIDE))
    torch.testing.assert_close(shown_scene(moved, Choice(view=BESIDE)).means, expected.means, atol=1e-4, rtol=0)


def test_a_file_has_no_latents_and_one_file_no_b(scene: GaussianHierarchy) -> None:
    assert FileSource(Asset(scene)).sliders == 0
    assert list(FileSource(Asset(scene)).views) == [ONE]
    assert OTHER in FileSource(Asset(scene), Asset(scene)).views


def test_the_client_gets_activated_symmetric_positive_splats(scene: GaussianHierarchy) -> None:
    splats = splats_of(scene)
    eigenvalues = np.linalg.eigvalsh(splats.covariances.astype(np.float64))
    expected = np.sort(scene.log_scales[0].double().mul(2).exp().numpy(), axis=1)
    np.testing.assert_allclose(eigenvalues, expected, rtol=1e-3)
    assert splats.rgbs.min() >= 0
    assert splats.rgbs.max() <= 1
    assert splats.opacities.shape == (89, 1)
    assert all(value.dtype == np.float32 for value in vars(splats).values())


class Camera:
    """As a client reports it: at yaw 90 degrees, looking at the origin from +x."""

    wxyz = np.array([0.0, math.sqrt(0.5), 0.0, -math.sqrt(0.5)])
    position = np.array([2.7, 0.0, 0.0])
    fov = 2 * math.atan(0.25)
    image_width, image_height = 80, 40


def test_a_saved_picture_is_what_the_clients_camera_sees(scene: GaussianHierarchy) -> None:
    camera: Any = Camera()
    expected = from_yaw_pitch(torch.tensor([math.pi / 2]), torch.tensor([0.0]), 2.7, 2.0)
    torch.testing.assert_close(client_cameras(camera).cam_to_world, expected.cam_to_world, atol=1e-6, rtol=0)
    picture = picture_of(scene, camera)
    assert picture.shape == (40, 80, 3)
    square = render(scene, expected, 40, 40, (1.0, 1.0, 1.0))[0][0, 0].clamp(0, 1)
    torch.testing.assert_close(picture[:, 20:60], square, atol=2e-2, rtol=0)


def test_a_saved_picture_has_bounded_size(scene: GaussianHierarchy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hgs_toolkit.viewer.splats.MOST_PIXELS", 20)
    camera: Any = Camera()
    assert picture_of(scene, camera).shape == (10, 20, 3)


def test_metadata_of_files_stay(scene: GaussianHierarchy) -> None:
    asset = Asset(scene, AssetMetadata(seed=9))
    assert chosen_asset(FileSource(asset), Choice()) is asset
