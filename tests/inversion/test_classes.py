"""Inversion with a model of classes: the search begins in the class of the subject, told or found."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from hgs_toolkit.cameras import from_yaw_pitch
from hgs_toolkit.config import ClassPrior
from hgs_toolkit.errors import ConfigError
from hgs_toolkit.inversion.latent import LatentSettings, choose_class, fit_latent
from hgs_toolkit.inversion.objective import Objective
from hgs_toolkit.inversion.target import Target
from hgs_toolkit.model.generator import Generator
from hgs_toolkit.rendering import render
from hgs_toolkit.sampling import sample
from tests.inversion.conftest import CONFIG

SETTINGS = LatentSettings(steps=2, candidates=16)


@pytest.fixture(scope="module")
def model_with_classes() -> Generator:
    """Chairs and tables, far from each other."""
    torch.manual_seed(0)
    generator = Generator(replace(CONFIG, classes=ClassPrior(("chair", "table"))))
    with torch.no_grad():
        for name, parameter in generator.named_parameters():
            if name.endswith("style.weight"):
                parameter.add_(0.3 * torch.randn_like(parameter))
        assert generator.mapping.embed_class is not None
        generator.mapping.embed_class.weight.mul_(4)
    return generator.eval().requires_grad_(False)


def target_of(model: Generator, name: str) -> Target:
    """A scene of the class, as a photograph with coverage."""
    cameras = from_yaw_pitch(torch.tensor([0.3]), torch.tensor([0.1]))
    images, alphas = render(sample(model, [5], psi=1.0, classes=name), cameras, 16, 16)
    return Target(images[0].clamp(0, 1), alphas[0], cameras)


@pytest.mark.parametrize("name", ["chair", "table"])
def test_the_class_whose_scenes_come_closest_is_searched_in(name: str, model_with_classes: Generator) -> None:
    fit = fit_latent(model_with_classes, target_of(model_with_classes, name), Objective(), SETTINGS)
    assert fit.class_name == name


def test_a_class_that_is_told_is_searched_in_whatever_comes_closest(model_with_classes: Generator) -> None:
    target = target_of(model_with_classes, "chair")
    told = choose_class(model_with_classes, target, Objective(), replace(SETTINGS, class_name="table"))
    found = choose_class(model_with_classes, target, Objective(), SETTINGS)
    assert (told[0], found[0]) == ("table", "chair")
    center = sample_center(model_with_classes, "table")
    assert (told[1].mean - center).norm() < (found[1].mean - center).norm()


def test_a_class_that_the_model_lacks_is_refused_by_name(model_with_classes: Generator, model: Generator) -> None:
    target, wrong = target_of(model_with_classes, "chair"), replace(SETTINGS, class_name="sofa")
    with pytest.raises(ConfigError, match="class 'sofa' is unknown; this model has: chair, table"):
        fit_latent(model_with_classes, target, Objective(), wrong)
    with pytest.raises(ConfigError, match="class 'sofa' for a model without classes"):
        fit_latent(model, target, Objective(), wrong)


def sample_center(model: Generator, name: str) -> torch.Tensor:
    """Mean style vector (W,) of a class."""
    z = torch.randn(500, model.config.z_dim, generator=torch.Generator().manual_seed(3))
    vectors = torch.from_numpy(model.config.classes.parse(name)).expand(500, -1)
    return model.map(z, classes=vectors).mean(0)
