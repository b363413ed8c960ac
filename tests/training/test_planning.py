"""Plans for sets that nobody tuned for: settings by what the set is like, lengths by what an image takes."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from hgs_toolkit.config import ClassPrior, Config
from hgs_toolkit.datasets.eg3d import PosedImages
from hgs_toolkit.errors import ConfigError, DataError
from hgs_toolkit.pose_prior import PosePrior
from hgs_toolkit.settings_io import config_to_dict, load_stages
from hgs_toolkit.training.planning.choices import gamma_of, possible_sizes, propose
from hgs_toolkit.training.planning.facts import Machine, SetFacts
from hgs_toolkit.training.planning.lengths import least_minutes, sizes_within, time_shares, with_lengths
from hgs_toolkit.training.planning.pace import measure_paces
from hgs_toolkit.training.stages.growing import TASK
from hgs_toolkit.training.stages.plan import PlanFolder, train_plan
from hgs_toolkit.training.stages.plan_file import Choice, is_plan, read_plan, write_plan
from hgs_toolkit.training.stages.warm_start import read_networks

CPU = Machine("cpu", 8 << 30)
CARD = Machine("cuda", 70 << 30)
SET = SetFacts("set.zip", 30_000, 64, True, PosePrior())


def stages_of(facts: SetFacts, sizes: tuple[int, ...] = (16, 32), machine: Machine = CPU) -> tuple[Config, ...]:
    return propose(facts, machine, sizes).stages


def test_stages_double_up_to_what_the_images_and_the_machine_have() -> None:
    assert possible_sizes(replace(SET, resolution=512), CPU) == [16, 32, 64]
    assert possible_sizes(replace(SET, resolution=512), CARD) == [16, 32, 64, 128, 256]
    assert possible_sizes(replace(SET, resolution=32), CARD) == [16, 32]
    assert possible_sizes(replace(SET, resolution=96), CPU) == [16, 32]
    assert possible_sizes(replace(SET, resolution=256), CPU, 128) == [16, 32, 64, 128]
    with pytest.raises(ConfigError, match=r"--resolution 48; expected one of 16, 32, 64 for set\.zip"):
        possible_sizes(SET, CPU, 48)
    with pytest.raises(DataError, match=r"set\.zip has images of 100 pixels; expected 16 times"):
        possible_sizes(replace(SET, resolution=100), CPU)


@pytest.mark.parametrize("facts", [SET, replace(SET, has_alpha=False), replace(SET, assumed="made up", images=300)])
def test_every_stage_has_the_settings_that_define_the_task_and_can_be_trained(facts: SetFacts) -> None:
    stages = stages_of(facts, (16, 32, 64, 128, 256))
    assert [stage.generator.resolution for stage in stages] == [16, 32, 64, 128, 256, 256]
    assert [stage.generator.levels for stage in stages] == [2, 3, 4, 5, 6, 6]
    values = [config_to_dict(stage) for stage in stages]
    for key in TASK:
        section, _, name = key.partition(".")
        assert all(value[section][name] == values[0][section][name] for value in values), key


def test_alpha_decides_the_background() -> None:
    with_alpha, without = stages_of(SET)[0], stages_of(replace(SET, has_alpha=False))[0]
    assert (with_alpha.generator.background, with_alpha.training.background) == ("none", "random")
    assert (without.generator.background, without.training.background) == ("generator", "black")
    assert without.training.background_kimg == 0


def test_the_discriminator_sees_what_the_set_and_the_machine_have() -> None:
    def seen(facts: SetFacts, machine: Machine = CPU) -> tuple[str, bool, int]:
        chosen = stages_of(facts, machine=machine)[0].discriminator
        return chosen.kind, chosen.alpha, chosen.views

    assert seen(SET) == ("residual", True, 1)
    assert seen(replace(SET, has_alpha=False)) == ("residual", False, 1)


def test_heads_join_at_32_pixels_where_their_network_is_installed() -> None:
    *stages, polish = stages_of(SET, (16, 32, 64), replace(CPU, pretrained=True))
    assert [stage.discriminator.kind for stage in stages] == ["residual", "projected", "projected"]
    assert polish.discriminator == stages[-1].discriminator
    assert polish.discriminator.features == "lite0"


@pytest.mark.parametrize("size", [64, 128])
def test_gammas_of_a_polish_with_heads_are_the_presets(size: int) -> None:
    sizes = tuple(pixels for pixels in (16, 32, 64, 128) if pixels <= size)
    planned = stages_of(replace(SET, resolution=size), sizes, replace(CPU, pretrained=True))[-1].training
    measured = load_stages(f"critters{size}", [])[-1].training
    assert planned.r1_gamma * planned.batch == pytest.approx(measured.r1_gamma * measured.batch)
    assert planned.rate_final == measured.rate_final


def test_heads_see_the_whole_image_from_128_pixels_on() -> None:
    stages = stages_of(replace(SET, resolution=256), (16, 32, 64, 128, 256), replace(CPU, pretrained=True))
    assert [stage.discriminator.feature_size for stage in stages[-3:]] == [128, 256, 256]


def test_a_machine_without_their_network_plans_longer_stages_of_the_pixels_alone() -> None:
    alone, joined = stages_of(SET, (16, 32, 64)), stages_of(SET, (16, 32, 64), replace(CPU, pretrained=True))
    assert {stage.discriminator.kind for stage in alone} == {"residual"}
    for one, other in zip(alone[:-1], joined[:-1], strict=True):
        assert one.discriminator == other.discriminator.without_heads
        assert one.training.kimg > other.training.kimg
    assert alone[-1].training.r1_gamma == alone[-2].training.r1_gamma
    assert [stage.training.real_blur for stage in alone] == [0.0, 0.0, 0.5, 0.5]


def test_heads_are_left_out_by_hand_and_where_the_plan_ends_before_they_join() -> None:
    machine = replace(CPU, pretrained=True)
    by_hand = propose(SET, machine, (16, 32), ["discriminator.kind=residual"])
    without = propose(SET, CPU, (16, 32), ["discriminator.kind=residual"])
    assert by_hand.stages == without.stages
    small = propose(SET, machine, (16,))
    assert small.stages == propose(SET, CPU, (16,)).stages
    for proposal, reason in ((by_hand, "by hand"), (small, "join at 32 px")):
        heads = next(choice for choice in proposal.choices if choice.what == "heads on pretrained features")
        assert (heads.value, reason in heads.why) == ("none", True)
    said = {choice.what: choice for choice in propose(SET, CPU, (16,)).choices}
    assert "pip install" in said["heads on pretrained features"].why


def test_made_up_poses_are_not_shown_to_the_discriminator() -> None:
    stage = stages_of(replace(SET, assumed="drawn at random"))[0]
    assert stage.discriminator.pose == "none"
    assert stage.training.random_pose == 1.0
    assert stages_of(SET)[0].discriminator.pose == "projection"


def test_the_plan_lists_the_classes_of_the_set_and_says_where_they_are_left_out() -> None:
    def said(*settings: str, facts: SetFacts = SET) -> list[str]:
        return [choice.value for choice in propose(facts, CPU, (16,), settings).choices if choice.what == "classes"]

    labelled = replace(SET, classes=ClassPrior(("chair", "table"), shares=(0.75, 0.25)))
    assert said(facts=labelled) == ["chair 75%, table 25%"]
    assert said("training.classes=false", facts=labelled) == ["left out"]
    assert said() == []


def test_few_photographs_are_mirrored_and_augmented_and_drawings_are_not() -> None:
    def augment(facts: SetFacts) -> tuple[float, float | None]:
        chosen = stages_of(facts)[0].training.augment
        return chosen.mirror, chosen.adaptive_target

    assert augment(SET) == (0.0, None)
    assert augment(replace(SET, images=10_000)) == (0.5, None)
    assert augment(replace(SET, images=1000)) == (0.5, 0.6)
    assert augment(replace(SET, images=1000, rendered=True)) == (0.0, None)
    assert augment(replace(SET, images=1000, poses=PosePrior(yaw_mean=0.6)))[0] == 0.0


def test_gammas_are_the_measured_ones_and_follow_pixels_and_batch() -> None:
    assert [gamma_of(size, 16) for size in (16, 32, 64, 128)] == [0.01, 0.1, 0.3, 2.4]
    assert [gamma_of(size, 16, heads=False) for size in (16, 32, 64)] == [0.01, 0.03, 0.04]
    assert gamma_of(256, 16) == pytest.approx(9.6)
    assert gamma_of(64, 32) == pytest.approx(0.15)
    assert gamma_of(128, 32) == load_stages("critters128")[3].training.r1_gamma
    assert gamma_of(128, 32, heads=False) == pytest.approx(0.08)
    assert propose(SET, CPU, [16], ["training.batch=8"]).stages[0].training.r1_gamma == pytest.approx(0.02)


def test_a_batch_fits_the_memory_and_the_set() -> None:
    def batch(machine: Machine, images: int = 30_000, size: int = 64) -> int:
        return propose(replace(SET, images=images, resolution=size), machine, [size]).stages[0].training.batch

    assert batch(CPU) == 16
    assert batch(CARD) == 32
    assert batch(replace(CPU, memory=1 << 30)) < 16
    assert batch(CPU, images=10) == 8
    with pytest.raises(DataError, match="3 images; expected at least 4"):
        batch(CPU, images=3)


def test_minutes_decide_lengths_and_how_far_the_stages_go() -> None:
    paces = [1 / 60, 1 / 43, 1 / 25]
    assert sizes_within([16, 32, 64], paces, None) == [16, 32, 64]
    assert sizes_within([16, 32, 64], paces, 120) == [16, 32]
    assert least_minutes([16, 32, 64], paces) == pytest.approx(129, abs=1)
    assert least_minutes([16, 32, 64], paces, heads=True) == pytest.approx(129 / 5, abs=1)
    assert sizes_within([16, 32, 64], paces, 130) == [16, 32, 64]
    with_130, _ = with_lengths(
        stages_of(SET, (16, 32, 64)), [*paces, paces[-1]], minutes=least_minutes([16, 32, 64], paces)
    )
    assert with_130[2].training.kimg == pytest.approx(80, abs=0.1)
    assert sizes_within([16, 32, 64], [pace * 3 for pace in paces], 20) == [16]
    assert sizes_within([16, 32, 64], [pace * 1.5 for pace in paces], 20) == [16, 32]
    assert sum(time_shares(3)) == pytest.approx(1)
    stages, lengths = with_lengths(stages_of(SET, (16, 32, 64)), [*paces, paces[-1]], minutes=120)
    assert sum(length.seconds for length in lengths) == pytest.approx(120 * 60 * 0.85, rel=0.01)
    assert [stage.training.kimg for stage in stages] == [length.kimg for length in lengths]
    assert 30 < lengths[0].kimg < 60
    assert 60 < lengths[2].kimg < 90
    shorter, _ = with_lengths(stages, [*paces, paces[-1]], kimg=1.0)
    assert sum(stage.training.kimg for stage in shorter) == pytest.approx(1, abs=0.03)
    assert all(stage.training.blur_kimg <= stage.training.kimg for stage in shorter)


def test_a_plan_reads_as_it_was_written_and_says_what_is_wrong_with_it(tmp_path: Path) -> None:
    stages = list(stages_of(SET, (16, 32, 64)))
    text = write_plan(stages, [Choice("batch", "16", "so: it is measured")])
    assert read_plan(text) == stages
    assert "batch: '16 (so: it is measured)'" in text
    assert text.count("r1_gamma") == len(stages)
    assert text.count("z_dim") == 1
    assert read_plan(write_plan(stages[:1])) == stages[:1]
    (tmp_path / "plan.yaml").write_text(text.replace("r1_gamma", "r1_gama"))
    assert is_plan(tmp_path / "plan.yaml")
    with pytest.raises(ConfigError, match="did you mean 'r1_gamma'"):
        read_plan((tmp_path / "plan.yaml").read_text())
    wrongs = {
        "why: {}": "no list of stages", "stages: [1]": "mappings", "a: [": "no valid YAML",
        "stages: [{}]\nstage: 3": "unknown key 'stage'", "stages: [{}, {}]": "one name",
    }  # fmt: skip
    for wrong, message in wrongs.items():
        with pytest.raises(ConfigError, match=message):
            read_plan(wrong)


def test_presets_of_stages_are_plans_as_well() -> None:
    stages = load_stages("critters128")
    assert read_plan(write_plan(stages)) == stages


def test_a_pace_is_measured_and_the_next_stages_are_estimated_by_their_cost(
    tiny: Config, images: PosedImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hgs_toolkit.training.planning.pace.LONGEST_SECONDS", 1e-9)
    asked: list[int] = []

    def opened(resolution: int) -> PosedImages:
        asked.append(resolution)
        return images

    larger = replace(tiny, generator=replace(tiny.generator, points=64))
    paces = measure_paces([tiny, tiny, larger], opened)
    assert asked == [16]
    assert paces[0] == paces[1] > 0
    assert paces[2] > paces[0]


def test_poses_and_augmentation_that_a_plan_states_are_trained_with(
    tiny: Config, images: PosedImages, tmp_path: Path
) -> None:
    one_step = replace(tiny, training=replace(tiny.training, kimg=0.004, workers=0))
    stated = replace(one_step, generator=replace(one_step.generator, poses=PosePrior(yaw_spread=math.pi / 2)))
    polish = replace(
        stated, name="polish", training=replace(stated.training, augment=replace(tiny.training.augment, color=0.25))
    )
    folder = PlanFolder(tmp_path / "run")
    folder.start([stated, polish])
    train_plan(folder.read(), lambda _: images, folder.path, resume=True)
    trained = read_networks(folder.path).config
    assert trained.generator.poses == stated.generator.poses
    assert trained.training.augment.color == 0.25
