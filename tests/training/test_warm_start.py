"""A new run may start from the weights of an import, of another run, or of a model alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from hgs_toolkit.checkpoint import save_model, save_weights
from hgs_toolkit.config import Config
from hgs_toolkit.datasets.eg3d import PosedImages
from hgs_toolkit.errors import CheckpointError
from hgs_toolkit.model.generator import Generator
from hgs_toolkit.model_files import NETWORKS_KEY, read_header
from hgs_toolkit.settings_io import build, config_to_dict, load_preset, merge
from hgs_toolkit.training import networks as networks_module
from hgs_toolkit.training.loop import train
from hgs_toolkit.training.networks import load_into, save_networks
from hgs_toolkit.training.opening import after_the_opening
from hgs_toolkit.training.stages.packing import pack_run
from hgs_toolkit.training.stages.warm_start import read_networks, starting_config
from hgs_toolkit.training.state import RunFolder
from hgs_toolkit.training.trainer import Trainer


@pytest.fixture
def finished(tiny: Config, images: PosedImages, tmp_path: Path) -> RunFolder:
    return train(replace(tiny, training=replace(tiny.training, kimg=0.008)), images, tmp_path / "finished")


def equal(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> bool:
    return found.keys() == expected.keys() and all(torch.equal(found[name], expected[name]) for name in found)


def test_a_runs_networks_are_those_of_its_state(tiny: Config, finished: RunFolder) -> None:
    networks = read_networks(finished.path)
    trainer = Trainer(replace(tiny, training=replace(tiny.training, kimg=0.008)))
    finished.restore(trainer)
    for name in ("generator", "ema", "discriminator"):
        assert equal(getattr(networks, name), getattr(trainer, name).state_dict())


def test_a_model_alone_stands_for_both_generators_and_brings_no_discriminator(finished: RunFolder) -> None:
    networks = read_networks(finished.model_file)
    assert networks.discriminator is None
    assert equal(networks.generator, networks.ema)
    finished.state_file.unlink()
    assert equal(read_networks(finished.path).ema, networks.ema)


def test_networks_survive_their_file(finished: RunFolder, tmp_path: Path) -> None:
    networks = read_networks(finished.path)
    save_networks(tmp_path / "a.training.safetensors", networks, {})
    found = read_networks(tmp_path / "a.training.safetensors")
    assert found.config == networks.config
    assert found.discriminator is not None
    assert networks.discriminator is not None
    pairs = [(found.generator, networks.generator), (found.ema, networks.ema)]
    assert all(equal(*pair) for pair in [*pairs, (found.discriminator, networks.discriminator)])


@pytest.mark.parametrize("dtype", [torch.float16, torch.int8])
@pytest.mark.parametrize("average_only", [False, True])
def test_a_packed_run_is_trained_on(
    finished: RunFolder, images: PosedImages, tmp_path: Path, average_only: bool, dtype: torch.dtype,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(networks_module, "LEAST_WEIGHTS", 64)  # the network here is tiny
    packed = tmp_path / "packed.safetensors"
    whole = read_networks(finished.path)
    pack_run(finished.path, packed, average_only=average_only, dtype=dtype)
    found = read_networks(packed)
    assert found.config == whole.config
    begins = whole.ema if average_only else whole.generator
    assert found.discriminator is not None
    assert whole.discriminator is not None
    for half, full in ((found.generator, begins), (found.ema, whole.ema), (found.discriminator, whole.discriminator)):
        assert half.keys() == full.keys()
        for name, value in full.items():
            step = value.abs().max().item() / 127 if dtype == torch.int8 else 0.0  # at most half of it is lost
            torch.testing.assert_close(half[name], value, rtol=1e-3, atol=1e-6 + 0.5 * step)
    config = starting_config(found, None)
    short = replace(config, training=replace(config.training, kimg=0.004))
    assert train(short, images, tmp_path / "on", start=found).model_file.is_file()


def test_a_run_is_packed_with_another_generator(finished: RunFolder, tmp_path: Path) -> None:
    networks = read_networks(finished.path)
    trainer = Trainer(networks.config)
    trainer.load_networks(networks)
    for value in trainer.ema.parameters():
        value.data += 0.25
    save_model(tmp_path / "mean.safetensors", trainer.ema, trainer.config, {})
    pack_run(finished.path, tmp_path / "packed.safetensors", generator=tmp_path / "mean.safetensors")
    found = read_networks(tmp_path / "packed.safetensors")
    for name, value in trainer.ema.state_dict().items():
        torch.testing.assert_close(found.generator[name], value, rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(found.ema[name], value, rtol=1e-3, atol=1e-3)
    assert networks.discriminator is not None
    assert (found.discriminator or {}).keys() == networks.discriminator.keys()


def test_a_generator_of_another_architecture_is_not_packed(finished: RunFolder, tmp_path: Path) -> None:
    other = build(Config, merge(config_to_dict(read_networks(finished.path).config), {"generator": {"w_dim": 8}}), "")
    save_model(tmp_path / "other.safetensors", Generator(other.generator), other, {})
    with pytest.raises(CheckpointError, match=r"other\.safetensors has .* for '.*', the run has .*; expected a model"):
        pack_run(finished.path, tmp_path / "packed.safetensors", generator=tmp_path / "other.safetensors")
    assert not (tmp_path / "packed.safetensors").exists()


def test_a_packed_run_keeps_what_its_model_says_of_its_data(finished: RunFolder, tmp_path: Path) -> None:
    trainer = Trainer(read_networks(finished.path).config)
    save_model(finished.model_file, trainer.ema, trainer.config, {"attribution": "[]"})
    pack_run(finished.path, tmp_path / "packed.safetensors")
    assert read_header(tmp_path / "packed.safetensors", NETWORKS_KEY).facts == {"attribution": "[]"}


def test_a_run_without_a_state_is_not_packed(finished: RunFolder, tmp_path: Path) -> None:
    finished.state_file.unlink()
    with pytest.raises(CheckpointError, match=r"holds no state\.pt; expected the run folder"):
        pack_run(finished.path, tmp_path / "packed.safetensors")
    assert not (tmp_path / "packed.safetensors").exists()


def test_a_new_run_begins_with_the_weights_and_fresh_optimisers(finished: RunFolder) -> None:
    networks = read_networks(finished.path)
    trainer = Trainer(starting_config(networks, None))
    trainer.load_networks(networks)
    assert equal(trainer.generator.state_dict(), networks.generator)
    assert equal(trainer.ema.state_dict(), networks.ema)
    assert trainer.step == 0
    assert not trainer.generator_optimizer.state


def test_the_average_survives_the_first_step(finished: RunFolder, images: PosedImages, tmp_path: Path) -> None:
    """In a run from scratch the first step makes the average equal to the model; here it barely moves."""
    networks = read_networks(finished.path)
    shifted = replace(networks, ema={name: value + 1.0 for name, value in networks.ema.items()})
    config = starting_config(shifted, None)
    run = train(replace(config, training=replace(config.training, kimg=0.004)), images, tmp_path / "new", start=shifted)
    after = read_networks(run.path).ema
    for name in (name for name in after if "w_avg" not in name):
        assert (after[name] - shifted.ema[name]).abs().max() < 0.1


def test_resuming_a_started_run_does_not_start_it_again(
    finished: RunFolder, images: PosedImages, tmp_path: Path
) -> None:
    networks = read_networks(finished.path)
    config = starting_config(networks, None)
    whole = replace(config, training=replace(config.training, kimg=0.016))
    half = replace(config, training=replace(config.training, kimg=0.008))
    undisturbed = train(whole, images, tmp_path / "whole", start=networks)
    train(half, images, tmp_path / "halves", start=networks)
    resumed = train(whole, images, tmp_path / "halves", resume=True)
    assert equal(read_networks(resumed.path).generator, read_networks(undisturbed.path).generator)


def test_the_opening_schedules_are_not_repeated(tiny: Config) -> None:
    training = replace(tiny.training, gamma_final=0.5, r1_gamma=0.2, r2_gamma=0.4)
    after = after_the_opening(training)
    assert (after.blur_sigma, after.pose_swap_kimg, after.background_kimg, after.ema_rampup) == (0.0, 0.0, 0.0, None)
    assert (after.r1_gamma, after.r2_gamma, after.gamma_final) == (0.1, 0.2, None)
    assert after.batch == training.batch


def test_a_recipe_gives_the_training_and_the_file_the_networks(finished: RunFolder) -> None:
    networks, recipe = read_networks(finished.path), load_preset("critters32")
    config = starting_config(networks, recipe)
    assert config.generator == networks.config.generator
    assert config.discriminator == networks.config.discriminator
    assert config.training == after_the_opening(recipe.training)
    assert config.name == "critters32"


def test_a_generator_whose_weights_mean_something_else_is_not_packed(finished: RunFolder, tmp_path: Path) -> None:
    config = read_networks(finished.path).config
    other = replace(config, generator=replace(config.generator, bounded_color=not config.generator.bounded_color))
    save_model(tmp_path / "other.safetensors", Generator(other.generator), other, {})
    with pytest.raises(CheckpointError, match=r"bounded_color is \w+ in .*other\.safetensors and \w+ in the run"):
        pack_run(finished.path, tmp_path / "packed.safetensors", generator=tmp_path / "other.safetensors")


def test_a_recipe_adds_its_bound_of_elongation_and_takes_none_away(finished: RunFolder) -> None:
    networks, recipe = read_networks(finished.path), load_preset("critters32")
    bounding = replace(recipe, generator=replace(recipe.generator, max_elongation=3.0))
    config = starting_config(networks, bounding)
    assert config.generator == replace(networks.config.generator, max_elongation=3.0)
    assert starting_config(replace(networks, config=config), recipe).generator.max_elongation == 3.0


def test_networks_of_other_settings_are_refused_by_name(tiny: Config, finished: RunFolder) -> None:
    networks = read_networks(finished.path)
    other = replace(tiny, generator=replace(tiny.generator, w_dim=24))
    with pytest.raises(CheckpointError, match=r"the generator to start from does not fit.*mapping"):
        Trainer(other).load_networks(networks)
    with pytest.raises(CheckpointError, match="the ema to start from"):
        load_into(Trainer(tiny).ema, {}, "ema")


def test_a_name_stands_for_the_model_that_ships() -> None:
    networks = read_networks("critters64")
    assert networks.discriminator is None
    assert networks.config.name == "critters64"


def test_what_holds_no_networks_is_refused(finished: RunFolder, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.safetensors").write_text("text")
    config = read_networks(finished.path).config
    save_weights(tmp_path / "stray.safetensors", {"b.a": torch.ones(1)}, config, key=NETWORKS_KEY)
    for name, message in (
        ("empty", r"holds neither state\.pt nor model\.safetensors"),
        ("text.safetensors", "truncated or no safetensors file"),
        ("missing", "does not exist"),
        ("stray.safetensors", "holds 'b.a'"),
    ):
        with pytest.raises(CheckpointError, match=message):
            read_networks(tmp_path / name)
    finished.state_file.write_bytes(b"broken")
    with pytest.raises(CheckpointError, match="cannot be read as a training state"):
        read_networks(finished.path)
