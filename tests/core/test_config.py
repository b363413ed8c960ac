"""Settings: presets load, round trip through YAML, and wrong keys or values are refused by name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from hgs_toolkit.config import Config, GeneratorConfig
from hgs_toolkit.errors import ConfigError
from hgs_toolkit.settings_io import (
    config_from_dict,
    config_to_dict,
    config_to_yaml,
    load_config,
    load_preset,
    preset_names,
)


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_loads_and_survives_a_round_trip_through_yaml(name: str) -> None:
    config = load_preset(name)
    assert config.name == name
    assert config.description
    assert config_from_dict(yaml.safe_load(config_to_yaml(config))) == config


def test_the_presets_of_the_task_exist_in_both_flavours() -> None:
    for name in ("critters32", "critters64", "furniture64", "ffhq256", "ffhq512", "afhq256", "afhq512"):
        assert load_preset(name).training.loss == "relativistic"
        assert load_preset(f"{name}-gsgan").training.loss == "logistic"


def test_presets_that_were_never_trained_say_so() -> None:
    for name in preset_names():
        if name.startswith(("ffhq", "afhq")):
            assert "not trained here" in load_preset(name).description


def test_the_defaults_are_the_reference_model() -> None:
    assert sum(GeneratorConfig().level_counts) == 87_296
    assert sum(load_preset("ffhq512-gsgan").generator.level_counts) == 349_440


def test_an_override_changes_one_value_and_keeps_its_type() -> None:
    config = load_preset("critters32", ["training.batch=8", "training.betas=[0, 0.9]", "generator.soft_clamp=null"])
    assert config.training.batch == 8
    assert config.training.betas == (0.0, 0.9)
    assert all(isinstance(beta, float) for beta in config.training.betas)
    assert config.generator.soft_clamp is None
    assert config.training.loss == "relativistic"


def test_a_file_may_extend_a_preset(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("extends: critters64\nname: mine\ntraining: {batch: 4}\n")
    config = load_config(path)
    assert (config.name, config.training.batch, config.generator.resolution) == ("mine", 4, 64)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.bach=8", "training.bach.*did you mean 'batch'"),
        ("generater.points=8", "generater.*did you mean 'generator'"),
        ("training.batch=eight", "training.batch is 'eight'; expected a value of type int"),
        ("training.batch=0", "at least 1"),
        ("training.kimg=.nan", "finite"),
        ("training.loss=hinge", "one of 'logistic', 'relativistic'"),
        ("generator.channels=8", "expected a list"),
        ("generator.head_init=[1, 2]", "expected 5 values"),
        ("generator.level_blocks=[adain]", "expected 3"),
        ("discriminator.resolution=48", "the same|power of two"),
        ("training=8", "expected a mapping"),
        ("batch", "expected key=value"),
    ],
)
def test_a_wrong_setting_is_refused_by_name(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_preset("critters32", [override])


@pytest.mark.parametrize(
    "override",
    [
        "training.seed=-1", "training.betas=[0.0,1.0]", "training.generator_lr=-0.1", "training.generator_clip=-1",
        "training.knn_neighbors=-3", "training.augment.mirror=7", "training.random_pose=3", "training.blur_sigma=-4",
        "training.ema_kimg=-1", "training.pose_temperature=0", "generator.heads=0", "generator.mapping_lr=0",
        "generator.mapping_layers=0", "generator.neighbors=0", "generator.soft_clamp=0", "generator.channels=[192,0]",
        "discriminator.channels=[64,128,0]", "discriminator.pose_dim=0", "discriminator.mbstd_group=-1",
        "discriminator.channel_base=8", "generator.background_channels=0",
    ],
)  # fmt: skip
def test_values_that_cannot_be_trained_with_are_refused_before_anything_is_built(override: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(override.partition("=")[0])):
        load_preset("critters64-at16", [override])


def test_an_unknown_preset_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'critters64'"):
        load_preset("criters64")


@pytest.mark.parametrize("text", ["a: [1", "- 1\n- 2\n", "", "\x00"])
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"bad\.yaml"):
        load_config(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read"):
        load_config(tmp_path / "none.yaml")


def test_yaml_cannot_construct_objects(tmp_path: Path) -> None:
    path = tmp_path / "evil.yaml"
    path.write_text("name: !!python/object/apply:os.system ['true']\n")
    with pytest.raises(ConfigError, match="not valid YAML"):
        load_config(path)


def test_plain_values_rebuild_the_default_configuration() -> None:
    assert config_from_dict(config_to_dict(Config())) == Config()
