"""The training step of both recipes, exact resume, and what a run leaves on disk."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from hgs_toolkit.checkpoint import load_model
from hgs_toolkit.config import Config, TrainingConfig
from hgs_toolkit.datasets.eg3d import PosedImages
from hgs_toolkit.errors import CheckpointError, ConfigError, HgsError
from hgs_toolkit.settings_io import config_from_dict, config_to_dict, merge
from hgs_toolkit.training.continuing import refuse_other_config
from hgs_toolkit.training.loop import RunProgress, train
from hgs_toolkit.training.state import RunFolder
from hgs_toolkit.training.trainer import Trainer


def _changed(config: Config, **sections: dict[str, Any]) -> Config:
    values = config_to_dict(config)
    for name, changes in sections.items():
        values[name] |= changes
    return config_from_dict(values)


def _weights(trainer: Trainer) -> dict[str, torch.Tensor]:
    networks = {"g": trainer.generator, "d": trainer.discriminator, "ema": trainer.ema}
    return {f"{name}.{key}": value.clone() for name, net in networks.items() for key, value in net.state_dict().items()}


def _equal(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize("recipe", ["tiny", "tiny_gsgan"])
def test_a_step_moves_both_networks_and_reports_finite_numbers(
    recipe: str, images: PosedImages, request: pytest.FixtureRequest
) -> None:
    trainer = Trainer(request.getfixturevalue(recipe))
    before = _weights(trainer)
    for _ in range(5):
        stats = trainer.train_step(images)
        assert all(math.isfinite(value) for value in stats.values())
        assert not any(name.startswith("bad_") for name in stats)
    after = _weights(trainer)
    still = [key for key in before if torch.equal(before[key], after[key]) and not key.startswith("ema")]
    # Constants of the networks stay; every other tensor must have moved.
    assert [key for key in still if key in dict(trainer.generator.named_parameters(prefix="g"))] == []
    # What is added to the logits of a real image and of its paired fake alike cancels in the relativistic loss.
    cancels = ["d.out.bias", "d.project.bias"] if recipe == "tiny" else []
    assert [key for key in still if key in dict(trainer.discriminator.named_parameters(prefix="d"))] == cancels


def test_the_seed_decides_the_whole_run(tiny: Config, images: PosedImages) -> None:
    def run(seed: int) -> dict[str, torch.Tensor]:
        trainer = Trainer(_changed(tiny, training={"seed": seed}))
        for _ in range(3):
            trainer.train_step(images)
        return _weights(trainer)

    assert _equal(run(1), run(1))
    assert not _equal(run(1), run(2))


@pytest.mark.parametrize("recipe", ["tiny", "tiny_gsgan"])
def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(
    recipe: str, images: PosedImages, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    config = request.getfixturevalue(recipe)
    whole = Trainer(config)
    for _ in range(10):
        whole.train_step(images)
    first = Trainer(config)
    for _ in range(5):
        first.train_step(images)
    run = RunFolder(tmp_path / "run")
    run.start(config, resume=False)
    run.save(first)
    second = Trainer(config)
    run.restore(second)
    torch.manual_seed(123)  # a resumed process has another global random state
    for _ in range(5):
        second.train_step(images)
    assert _equal(_weights(whole), _weights(second))


def test_several_views_of_a_scene_share_its_gaussians_and_see_the_cameras_of_their_neighbours(
    tiny: Config, images: PosedImages
) -> None:
    trainer = Trainer(_changed(tiny, training={"views": 3}))
    assert trainer._view_index(4)[1].tolist() == [1, 2, 3]
    assert trainer._view_index(4)[3].tolist() == [3, 0, 1]
    stats = trainer.train_step(images)
    assert math.isfinite(stats["loss_g"])


def test_the_naive_baseline_and_the_half_ways_train_too(tiny: Config, images: PosedImages) -> None:
    for hierarchy in ("none", "position", "scale"):
        trainer = Trainer(_changed(tiny, generator={"hierarchy": hierarchy}))
        assert all(math.isfinite(value) for value in trainer.train_step(images).values())


def test_a_color_weight_draws_the_colours_of_a_family_together(tiny: Config, images: PosedImages) -> None:
    def last(weight: float) -> float:
        trainer = Trainer(_changed(tiny, training={"color_weight": weight}))
        spread = [trainer.train_step(images)["color"] for _ in range(12)]
        return spread[-1] / spread[0]

    assert "color" not in Trainer(tiny).train_step(images)
    assert last(1e3) < 0.5 * last(1e-6)


def test_a_step_of_its_own_for_penalties_of_no_weight_changes_nothing(tiny_gsgan: Config, images: PosedImages) -> None:
    config = _changed(tiny_gsgan, training={"r1_gamma": 0.0, "penalty_interval": 1})
    assert math.isfinite(Trainer(config).train_step(images)["loss_d"])


@pytest.mark.parametrize(
    "changes", [{"gamma_kimg": 0.0}, {"gamma_final": 0.0}, {"r1_gamma": -1.0}, {"augment": {"adaptive_kimg": 0.0}}]
)
def test_schedules_without_a_length_are_refused(changes: dict[str, Any], tiny: Config) -> None:
    with pytest.raises(ConfigError, match="; expected "):
        config_from_dict(merge(config_to_dict(tiny), {"training": changes}))


def test_non_finite_gradients_are_zeroed_counted_and_do_no_harm(tiny: Config, images: PosedImages) -> None:
    trainer = Trainer(tiny)
    parameter = next(iter(trainer.discriminator.parameters()))

    def poison(gradient: torch.Tensor) -> torch.Tensor:
        poisoned = gradient.clone()
        poisoned[(0,) * poisoned.ndim] = float("nan")
        return poisoned

    handle = parameter.register_hook(poison)
    stats = trainer.train_step(images)
    handle.remove()
    assert stats["bad_d"] == 1
    assert all(bool(value.isfinite().all()) for value in _weights(trainer).values())


def test_schedules_start_and_end_where_the_settings_say(tiny: Config, images: PosedImages) -> None:
    trainer = Trainer(_changed(tiny, training={"gamma_final": 0.1, "gamma_kimg": 0.02}))
    assert (trainer.blur_sigma, trainer.gamma_factor) == (2.0, 1.0)
    for _ in range(5):
        trainer.train_step(images)
    assert trainer.kimg == pytest.approx(0.02)
    assert trainer.blur_sigma == 0
    assert trainer.gamma_factor == pytest.approx(0.1)
    assert trainer.generator_optimizer.param_groups[0]["lr"] == tiny.training.generator_lr


def test_a_run_leaves_model_state_log_and_pictures(tiny: Config, images: PosedImages, tmp_path: Path) -> None:
    seen: list[RunProgress] = []
    run = train(tiny, images, tmp_path / "run", report=seen.append)
    assert len(seen) == 10
    assert [progress.step for progress in seen if progress.tick] == [2, 4, 6, 8, 10]
    log = run.read_log()
    assert [line["step"] for line in log] == [2, 4, 6, 8, 10]
    assert all({"kimg", "loss_d", "loss_g", "images_per_second"} <= line.keys() for line in log)
    assert len(list(run.samples.glob("kimg-*.png"))) == 5
    assert (run.samples / "real.png").is_file()
    model = load_model(run.path)
    assert model.config == tiny.generator
    trained = torch.load(run.state_file, weights_only=True)["ema"]
    assert all(torch.equal(value, trained[key]) for key, value in model.state_dict().items())


def test_asking_to_stop_saves_and_resuming_finishes_as_if_never_stopped(
    tiny: Config, images: PosedImages, tmp_path: Path
) -> None:
    whole = train(tiny, images, tmp_path / "whole")
    steps: list[int] = []
    train(
        tiny, images, tmp_path / "run",
        report=lambda progress: steps.append(progress.step), should_stop=lambda: len(steps) >= 4,
    )  # fmt: skip
    assert steps[-1] == 5
    resumed = train(tiny, images, tmp_path / "run", resume=True)
    assert whole.model_file.read_bytes() == resumed.model_file.read_bytes()
    assert [line["step"] for line in resumed.read_log()] == [2, 4, 5, 6, 8, 10]


def test_the_time_limit_ends_a_run_with_its_state_saved(tiny: Config, images: PosedImages, tmp_path: Path) -> None:
    run = train(tiny, images, tmp_path / "run", minutes=1e-9)
    assert [line["step"] for line in run.read_log()] == [1]
    assert run.state_file.is_file()


def test_log_lines_after_the_saved_state_are_made_again_not_doubled(
    tiny: Config, images: PosedImages, tmp_path: Path
) -> None:
    run = train(tiny, images, tmp_path / "run")
    run.append_log({"step": 99})
    with open(run.log_file, "a") as file:
        file.write('{"step": 100, "lo')  # torn by a kill
    trainer = Trainer(tiny)
    run.restore(trainer)
    assert [line["step"] for line in run.read_log()] == [2, 4, 6, 8, 10]


def test_a_folder_that_holds_a_run_is_not_overwritten(tiny: Config, images: PosedImages, tmp_path: Path) -> None:
    run = train(tiny, images, tmp_path / "run", minutes=1e-9)
    before = run.state_file.read_bytes()
    with pytest.raises(HgsError, match="--resume"):
        train(tiny, images, tmp_path / "run")
    assert run.state_file.read_bytes() == before


def test_another_configuration_is_refused_with_the_settings_that_differ(
    tiny: Config, images: PosedImages, tmp_path: Path
) -> None:
    train(tiny, images, tmp_path / "run", minutes=1e-9)
    other = _changed(tiny, training={"seed": 7, "generator_lr": 0.5})
    with pytest.raises(CheckpointError, match=r"training\.seed was 0, now 7\)"):
        train(other, images, tmp_path / "run", resume=True)
    longer = _changed(tiny, training={"kimg": 0.05})
    assert train(longer, images, tmp_path / "run", resume=True, minutes=1e-9).read_log()[-1]["step"] == 2


def test_a_run_of_an_earlier_version_lacks_settings_and_is_resumed_with_their_defaults(tiny: Config) -> None:
    saved = config_to_dict(tiny)
    del saved["training"]["warmup_steps"], saved["generator"]["footprint"]
    default = _changed(tiny, training={"warmup_steps": TrainingConfig().warmup_steps})
    refuse_other_config(saved, default, Path("run"))
    with pytest.raises(CheckpointError, match=r"training\.warmup_steps was"):
        refuse_other_config(saved, _changed(tiny, training={"warmup_steps": 12345}), Path("run"))
    with pytest.raises(CheckpointError, match=r"run is a run of another version of the toolkit: .*'sparkle'"):
        refuse_other_config(saved | {"sparkle": 1}, tiny, Path("run"))


def test_resuming_where_there_is_no_run_is_refused(tiny: Config, images: PosedImages, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no run to resume"):
        train(tiny, images, tmp_path / "none", resume=True)


@pytest.mark.parametrize("damage", ["truncated", "text", "empty", "pickle"])
def test_a_broken_state_is_refused_and_nothing_in_it_is_executed(
    damage: str, tiny: Config, images: PosedImages, tmp_path: Path
) -> None:
    run = train(tiny, images, tmp_path / "run", minutes=1e-9)
    data = run.state_file.read_bytes()
    witness = tmp_path / "executed"
    evil = f"cos\nsystem\n(S'touch {witness}'\ntR.".encode()
    contents = {"truncated": data[: len(data) // 2], "text": b"hello", "empty": b"", "pickle": evil}
    run.state_file.write_bytes(contents[damage])
    with pytest.raises(CheckpointError, match="state"):
        train(tiny, images, tmp_path / "run", resume=True)
    assert not witness.exists()


def test_data_that_does_not_fit_the_settings_is_refused(tiny: Config, images: PosedImages, tmp_path: Path) -> None:
    cases = [
        (_changed(tiny, training={"batch": 100}), "24 images"),
        (_changed(tiny, generator={"resolution": 8}, discriminator={"resolution": 8, "channels": [8, 8]}), "16 pixels"),
    ]
    for config, message in cases:
        with pytest.raises(ConfigError, match=message):
            train(config, images, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_configuration_of_a_run_is_readable(tiny: Config, images: PosedImages, tmp_path: Path) -> None:
    run = train(tiny, images, tmp_path / "run", minutes=1e-9)
    saved = json.loads(torch.load(run.state_file, weights_only=True)["config"])
    assert config_from_dict(saved) == tiny
