"""Generated scenes carry the filter of the training pictures with them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from hgs_toolkit.cameras import frontal
from hgs_toolkit.config import GeneratorConfig
from hgs_toolkit.errors import ConfigError
from hgs_toolkit.footprint import footprint, widen
from hgs_toolkit.gaussians import GaussianHierarchy
from hgs_toolkit.rendering import render

CONFIG = GeneratorConfig(resolution=32)


def _dot(size: float, level: int = 0) -> GaussianHierarchy:
    """One opaque white Gaussian at the origin."""
    return GaussianHierarchy(
        means=torch.zeros(1, 1, 3), log_scales=torch.full((1, 1, 3), size).log(),
        quats=torch.tensor([[[1.0, 0, 0, 0]]]), sh=torch.full((1, 1, 1, 3), 1.7),
        opacity_logits=torch.full((1, 1), 3.0), level=torch.tensor([level]), parent=torch.tensor([-1]),
    )  # fmt: skip


def _picture(scene: GaussianHierarchy, size: int) -> torch.Tensor:
    camera = frontal(CONFIG.poses.focal, CONFIG.poses.radius)
    return render(scene, camera, size, size)[0][0, 0, :, :, 0]


def _halved(picture: torch.Tensor, times: int) -> torch.Tensor:
    return torch.nn.functional.avg_pool2d(picture[None, None], times)[0, 0]


def test_a_dot_below_a_pixel_keeps_its_look_in_larger_pictures() -> None:
    small = _dot(1e-4)
    trained = _picture(small, 32)
    large = _halved(_picture(widen(small, footprint(CONFIG, 256)), 256), 8)
    assert _halved(_picture(small, 256), 8).max() < 0.1 * trained.max()
    assert large.max() == pytest.approx(float(trained.max()), rel=0.2)
    # The size's own filter is finer, and a file's share is the limit of ever larger pictures.
    assert footprint(CONFIG, 64) < footprint(CONFIG, 256) < footprint(CONFIG)
    assert footprint(CONFIG, 10**9) == pytest.approx(footprint(CONFIG))


def test_pictures_of_the_training_size_or_less_are_what_training_saw() -> None:
    assert footprint(CONFIG, 32) == footprint(CONFIG, 16) == 0
    scene = _dot(0.01)
    assert widen(scene, 0.0) is scene


def test_variances_add_up_and_the_rest_stays() -> None:
    scene = _dot(0.3)
    wide = widen(scene, 0.16)
    torch.testing.assert_close(wide.log_scales.exp(), torch.full((1, 1, 3), 0.5))
    for name in ("means", "quats", "sh", "opacity_logits"):
        assert torch.equal(getattr(wide, name), getattr(scene, name))
    torch.testing.assert_close(widen(widen(scene, 0.1), 0.06).log_scales, wide.log_scales)
    background = _dot(0.3, level=-1)
    assert torch.equal(widen(background, 0.16).log_scales, background.log_scales)


def test_an_infinitely_thin_gaussian_gets_the_filter_alone() -> None:
    torch.testing.assert_close(widen(_dot(1e-30), 0.04).log_scales.exp(), torch.full((1, 1, 3), 0.2))


def test_the_configuration_can_refuse_it_and_be_refused() -> None:
    assert footprint(replace(CONFIG, footprint=0.0)) == 0
    with pytest.raises(ConfigError, match="footprint"):
        replace(CONFIG, footprint=-1.0)
