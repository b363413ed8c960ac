"""Classes: texts name vectors, seeds draw them as often as they occur, and a model makes the class it is asked for."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hgs_toolkit.config import ClassPrior, Config
from hgs_toolkit.errors import ConfigError, ShapeError
from hgs_toolkit.model.generator import Generator
from hgs_toolkit.sampling import class_vectors, latents, sample, sample_assets, sample_w
from hgs_toolkit.settings_io import config_from_dict, config_to_dict

ANIMALS = ClassPrior(
    ("round", "floppy", "hat"), ((1, 0, 0), (0, 1, 0), (1, 0, 1), (0, 0, 0)), (0.5, 0.25, 0.125, 0.125)
)


@given(st.lists(st.sampled_from([0.0, 1.0, 0.5, -2.0, 0.125]), min_size=3, max_size=3))
def test_a_vectors_text_names_the_vector_again(vector: list[float]) -> None:
    assert ANIMALS.parse(ANIMALS.describe(vector)).tolist() == vector


def test_texts_are_those_people_would_write() -> None:
    assert ANIMALS.texts == ("round", "floppy", "round+hat", "none")
    assert ClassPrior(("chair", "table")).texts == ("chair", "table")


def test_a_wrong_name_lists_the_right_ones() -> None:
    with pytest.raises(
        ConfigError, match=r"class 'flopy' is unknown \(did you mean 'floppy'\?\); this model has: round,"
    ):
        ANIMALS.parse("flopy+hat")
    with pytest.raises(ConfigError, match="model without classes"):
        ClassPrior().parse("chair")
    with pytest.raises(ConfigError, match="the weight 'much'"):
        ANIMALS.parse("hat=much")


@pytest.mark.parametrize("names", [("a", "a"), ("a+b",), ("a=1",), ("",), ("a,b",)])
def test_names_that_no_text_could_hold_are_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match="holds"):
        ClassPrior(names)


@pytest.mark.parametrize("values", [{"vectors": ((1.0,),)}, {"shares": (1.0,)}, {"shares": (1.0, -1.0)}])
def test_contradictions_are_refused(values: dict[str, tuple[float, ...]]) -> None:
    with pytest.raises(ConfigError, match="expected"):
        ClassPrior(("chair", "table"), **values)  # type: ignore[arg-type]


def test_seeds_draw_classes_as_often_as_they_occur() -> None:
    rows = np.bincount([ANIMALS.row_of_seed(seed) for seed in range(600)], minlength=4) / 600
    np.testing.assert_allclose(rows, ANIMALS.probabilities, atol=0.05)


def test_a_configuration_with_classes_survives_its_plain_values(class_config: Config) -> None:
    assert config_from_dict(config_to_dict(class_config)) == class_config


def test_generator_and_discriminator_must_know_the_same_classes(class_config: Config) -> None:
    values = config_to_dict(class_config)
    values["discriminator"]["classes"] = 3
    with pytest.raises(ConfigError, match=r"2 names but discriminator.classes = 3"):
        config_from_dict(values)


def test_the_class_decides_the_scene_and_the_seed_its_latent(class_model: Generator) -> None:
    chairs, tables = (sample(class_model, [1, 2], classes=name) for name in ("chair", "table"))
    assert not torch.allclose(chairs.means, tables.means)
    drawn = class_vectors(class_model.config, [1, 2])
    assert drawn is not None
    names = [class_model.config.classes.describe(vector) for vector in drawn]
    assert torch.equal(sample(class_model, [1, 2]).means, sample(class_model, [1, 2], classes=names).means)
    assert [asset.metadata.class_name for asset in sample_assets(class_model, [1, 2])] == names


def test_truncation_leads_to_the_average_of_the_class(class_model: Generator) -> None:
    chair, other = sample_w(class_model, [1, 2], psi=0.0, classes="chair")
    assert torch.equal(chair, other)
    z = torch.randn(4000, class_model.config.z_dim, generator=torch.Generator().manual_seed(1))
    vectors = torch.tensor([[1.0, 0.0]]).expand(len(z), -1)
    spread = class_model.map(z, classes=vectors)
    torch.testing.assert_close(chair, spread.mean(0), atol=0.12 * float(spread.std(0).max()), rtol=0)
    assert not torch.allclose(chair, sample_w(class_model, [1], psi=0.0, classes="table")[0])


def test_a_model_with_classes_must_be_told_one(class_model: Generator, tiny_model: Generator) -> None:
    with pytest.raises(ShapeError, match="no class was given"):
        class_model.map(latents([1], class_model.config.z_dim))
    with pytest.raises(ShapeError, match=r"shape \(1, 3\); expected \(1, 2\)"):
        class_model.map(latents([1], class_model.config.z_dim), classes=torch.zeros(1, 3))
    with pytest.raises(ConfigError, match="without classes"):
        sample(tiny_model, [1], classes="chair")
    with pytest.raises(ConfigError, match="1 classes for 2 seeds"):
        sample(class_model, [1, 2], classes=["chair"])


def test_without_classes_no_weight_is_new(tiny_model: Generator) -> None:
    assert not [name for name in tiny_model.state_dict() if "class" in name]
