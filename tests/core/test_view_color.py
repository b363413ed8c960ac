"""Harmonics fitted to a view-dependent colour head: laws of the fit, and pictures against synthesis for each view."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from hgs_toolkit.cameras import Cameras
from hgs_toolkit.config import Config, Hierarchy
from hgs_toolkit.encoding import SH_C0, sh_bases
from hgs_toolkit.errors import ConfigError
from hgs_toolkit.gaussians import GaussianHierarchy
from hgs_toolkit.model.generator import Generator
from hgs_toolkit.model.heads import VIEW_CHANNELS, Heads
from hgs_toolkit.rendering import render
from hgs_toolkit.rendering.harmonics import sh_basis, sh_to_rgb
from hgs_toolkit.view_color import FitCameras, fit_view_color, sphere_cameras, weighted_least_squares


class HarmonicEmbedding(nn.Module):
    """In place of the directions' embedding: the harmonics themselves."""

    def forward(self, directions: Tensor) -> Tensor:  # (B, 3) -> (B, 32)
        return nn.functional.pad(sh_basis(directions, 3), (0, VIEW_CHANNELS - 16))


@pytest.fixture
def model(tiny_config: Config) -> Generator:
    config = replace(tiny_config.generator, view_dependent_color=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return Generator(config).eval().requires_grad_(False)


def scene_of(model: Generator, direction: Tensor | None = None) -> GaussianHierarchy:
    w = torch.randn(1, model.config.w_dim, generator=torch.Generator().manual_seed(1))
    return model.synthesize(w, direction)


def heads_of(model: Generator) -> list[Heads]:
    return [head for head in model.heads if isinstance(head, Heads)]


def everywhere(radius: float, count: int = 128) -> FitCameras:
    return FitCameras(sphere_cameras(count, radius), torch.ones(count))


def test_least_squares_finds_what_the_values_were_made_of() -> None:
    generator = torch.Generator().manual_seed(0)
    basis, coefficients = torch.randn(5, 40, 9, generator=generator), torch.randn(5, 9, 3, generator=generator)
    found = weighted_least_squares(basis, basis @ coefficients, torch.rand(40, generator=generator))
    torch.testing.assert_close(found, coefficients, atol=1e-4, rtol=0)


def test_cameras_without_weight_do_not_count() -> None:
    generator = torch.Generator().manual_seed(0)
    basis, wanted = torch.randn(2, 30, 4, generator=generator), torch.randn(2, 30, 3, generator=generator)
    weights = torch.cat([torch.ones(20), torch.zeros(10)])
    found = weighted_least_squares(basis, wanted, weights)
    torch.testing.assert_close(found, weighted_least_squares(basis[:, :20], wanted[:, :20], torch.ones(20)))


@pytest.mark.parametrize("degree", [1, 2, 3])
def test_a_head_that_is_a_harmonic_of_the_degree_is_reproduced(model: Generator, degree: int) -> None:
    model.view_embedding = HarmonicEmbedding()  # type: ignore[assignment]
    for head in heads_of(model):
        assert head.view_weight is not None
        head.view_weight[:, sh_bases(degree) :] = 0.0
    scene = scene_of(model)
    # From afar the camera's direction is the direction to every Gaussian.
    fitted, fit = fit_view_color(model, scene, degree, everywhere(1e5))
    assert fit.rms < 1e-5
    assert fit.worst < 1e-4
    assert fit.frozen_rms > 0.01
    for level, head in enumerate(heads_of(model)):
        assert head.view_weight is not None
        expected = SH_C0 * (head.view_weight * head.view_gain).mT[1 : sh_bases(degree)]
        found = fitted.sh[0, scene.level == level, 1:]
        torch.testing.assert_close(found, expected.expand_as(found), atol=1e-4, rtol=0)


def test_the_error_falls_with_the_degree(model: Generator) -> None:
    scene = scene_of(model)
    fits = [fit_view_color(model, scene, degree)[1] for degree in range(4)]
    assert fits[0].rms == pytest.approx(fits[0].frozen_rms, rel=1e-5)
    assert fits[0].rms > fits[1].rms > fits[2].rms > fits[3].rms


def test_degree_zero_keeps_the_frontal_colours(model: Generator) -> None:
    scene = scene_of(model)
    assert torch.equal(fit_view_color(model, scene, 0)[0].sh, scene.sh)


def test_only_the_foregrounds_colours_change(model: Generator) -> None:
    scene = scene_of(model)
    fitted, _ = fit_view_color(model, scene, 2)
    background = scene.level < 0
    assert torch.equal(fitted.sh[0, background, :1], scene.sh[0, background])
    assert not fitted.sh[0, background, 1:].any()
    for name in ("means", "log_scales", "quats", "opacity_logits"):
        assert torch.equal(getattr(fitted, name), getattr(scene, name))


@pytest.mark.parametrize("hierarchy", ["full", "none"])
@pytest.mark.parametrize("soft_clamp", [None, 1.5])
@pytest.mark.parametrize("bounded", [False, True])
def test_what_is_fitted_are_the_colours_of_synthesis(
    tiny_config: Config, hierarchy: Hierarchy, soft_clamp: float | None, bounded: bool
) -> None:
    config = replace(
        tiny_config.generator, view_dependent_color=True, soft_clamp=soft_clamp, hierarchy=hierarchy,
        bounded_color=bounded,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model = Generator(config).eval().requires_grad_(False)
    camera = config.poses.sample(1, torch.Generator().manual_seed(2))
    fitted, fit = fit_view_color(model, scene_of(model), 1, FitCameras(camera, torch.ones(1)))
    assert fit.frozen_rms > 1e-3
    wanted = scene_of(model, camera.forward)
    seen = sh_to_rgb(fitted.sh, fitted.means, camera.viewmats[None], 1)[:, 0]
    torch.testing.assert_close(seen, (0.5 + SH_C0 * wanted.sh[:, :, 0]).clamp_min(0), atol=1e-4, rtol=0)


def psnr_to_synthesis(model: Generator, scene: GaussianHierarchy, cameras: Cameras) -> float:
    squares = []
    for camera in cameras:
        one = camera.reshape(1, 1)
        wanted, _ = render(scene_of(model, camera.forward[None]), one, 48, 48)
        found, _ = render(scene, one, 48, 48)
        squares.append((found.clamp(0, 1) - wanted.clamp(0, 1)).square().mean())
    return float(-10 * torch.stack(squares).mean().log10())


def test_pictures_are_those_of_synthesis_for_each_view(model: Generator) -> None:
    cameras = model.config.poses.sample(6, torch.Generator().manual_seed(7))
    scene = scene_of(model)
    found = [psnr_to_synthesis(model, fit_view_color(model, scene, degree)[0], cameras) for degree in (0, 1, 3)]
    assert found[0] < found[1] < found[2]
    assert found[2] > 50


def test_cameras_at_the_models_own_distance_fit_better_than_far_ones(model: Generator) -> None:
    radius = model.config.poses.radius
    near, far = (fit_view_color(model, scene_of(model), 3, everywhere(r))[0] for r in (radius, 1e5))
    cameras = sphere_cameras(7, radius)
    assert psnr_to_synthesis(model, near, cameras) > psnr_to_synthesis(model, far, cameras)


def test_a_model_that_does_not_see_the_view_is_refused(tiny_model: Generator, scene: GaussianHierarchy) -> None:
    with pytest.raises(ConfigError, match="does not depend on the view"):
        fit_view_color(tiny_model, scene, 1)
