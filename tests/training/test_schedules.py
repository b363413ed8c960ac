"""Rates over time, averages to choose from at the end, geometric augmentation, ADA of the relativistic loss."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from hgs_toolkit.checkpoint import load_model
from hgs_toolkit.config import AugmentConfig, Config
from hgs_toolkit.datasets.eg3d import PosedImages
from hgs_toolkit.errors import ConfigError
from hgs_toolkit.model.generator import Generator
from hgs_toolkit.settings_io import config_from_dict, config_to_dict, merge
from hgs_toolkit.training.inputs.augment import Augmentation
from hgs_toolkit.training.inputs.batches import pose_swap_probability
from hgs_toolkit.training.loop import train
from hgs_toolkit.training.losses import gradient_penalty
from hgs_toolkit.training.opening import after_the_opening
from hgs_toolkit.training.optimizers import discriminator_adam
from hgs_toolkit.training.schedules import rate_factor
from hgs_toolkit.training.state import RunFolder, read_state
from hgs_toolkit.training.ticks import TickMetric
from hgs_toolkit.training.trainer import Trainer


def changed(config: Config, **sections: dict[str, Any]) -> Config:
    return config_from_dict(merge(config_to_dict(config), sections))


def test_rates_move_geometrically_after_the_warm_up(tiny: Config, images: PosedImages) -> None:
    schedule = {"rate_final": 0.25, "rate_start_kimg": 0.004, "rate_kimg": 0.008, "warmup_steps": 0}
    trainer = Trainer(changed(tiny, training=schedule))
    rates = []
    for _ in range(4):
        trainer.train_step(images)
        rates.append(trainer.generator_optimizer.param_groups[0]["lr"] / tiny.training.generator_lr)
    assert rates == pytest.approx([1.0, 1.0, 0.5, 0.25])


def test_rates_that_move_reach_their_goal_at_the_end_of_the_run(tiny: Config) -> None:
    training = replace(tiny.training, kimg=1.0, batch=4, rate_final=0.25, rate_start_kimg=0.5, warmup_steps=0)
    factors = [rate_factor(training, step) for step in (0, 125, 250 * 3 // 4, 250, 500)]
    assert factors == pytest.approx([1.0, 1.0, 0.5, 0.25, 0.25], rel=0.01)


def test_a_rate_of_nothing_is_refused(tiny: Config) -> None:
    with pytest.raises(ConfigError, match=r"training\.rate_final is 0\.0; expected more than 0"):
        changed(tiny, training={"rate_final": 0.0})


def test_geometry_is_refused_where_the_discriminator_knows_the_camera(tiny: Config) -> None:
    with pytest.raises(ConfigError, match=r"geometry needs discriminator\.pose = none, here it is projection"):
        changed(tiny, training={"augment": {"geometry": 0.5}})
    assert changed(tiny, discriminator={"pose": "none"}, training={"augment": {"geometry": 0.5}})


def test_geometric_changes_move_what_is_chosen_and_have_second_derivatives() -> None:
    augmentation = Augmentation(AugmentConfig(geometry=0.5))
    numbers = augmentation.draw(64, torch.Generator().manual_seed(0))
    images = torch.randn(64, 4, 16, 16, generator=torch.Generator().manual_seed(1), requires_grad=True)
    moved = augmentation.apply(images, numbers)
    still = numbers[:, 7] >= 0.5
    assert 10 < int(still.sum()) < 54
    assert torch.equal(moved[still], images[still])
    assert all(bool((moved[i] != images[i]).any()) for i in torch.nonzero(~still).flatten())
    penalty = gradient_penalty((moved.square().sum(dim=(1, 2, 3))), images)
    (second,) = torch.autograd.grad(penalty, images)
    assert bool(second.isfinite().all())
    assert float(second.abs().max()) > 0
    middle = torch.full((1, 12), 0.5)
    middle[0, 7] = 0.0  # chosen, but turned, scaled and moved by nothing
    assert torch.allclose(augmentation.apply(images[:1], middle), images[:1], atol=1e-5)


def test_ada_of_the_relativistic_loss_does_not_depend_on_the_zero_of_the_logits(
    tiny: Config, images: PosedImages
) -> None:
    strengths = []
    for offset in (-50.0, 0.0, 50.0):
        trainer = Trainer(changed(tiny, training={"augment": {"adaptive_target": 0.0}}))
        output = trainer.discriminator.out
        assert isinstance(output, torch.nn.Module)
        output.register_forward_hook(lambda _module, _inputs, logits, offset=offset: logits + offset)
        trainer.augmentation.strength = 0.5
        trainer.train_step(images)
        strengths.append(trainer.augmentation.strength)
    assert strengths[0] == strengths[1] == strengths[2]


class FakeMetric(TickMetric):
    """The average with the least norm of its first weights has the lowest KID."""

    def __init__(self, config: Config, data: PosedImages) -> None:
        self.config, self.data, self.seconds = config, data, 0.0

    def estimate(self, *_: object) -> float:
        return 0.0

    def measure(self, model: Generator, *_: object) -> dict[str, Any]:
        value = float(next(model.parameters()).double().norm())
        return {"kid_fake": value, "measurements": [{"name": "kid_fake", "value": value}]}


def test_the_best_of_several_averages_becomes_the_model_and_all_resume_exactly(
    tiny: Config, images: PosedImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TickMetric, "for_run", lambda config, data, _device: FakeMetric(config, data))
    config = changed(tiny, training={"ema_choices": [0.001, 5.0], "kimg": 0.016, "workers": 0, "ema_rampup": None})
    whole = train(config, images, tmp_path / "whole")
    steps = iter([False, True])
    train(config, images, tmp_path / "torn", should_stop=lambda: next(steps, True))
    torn = train(config, images, tmp_path / "torn", resume=True)
    first, second = (read_state(run.state_file) for run in (whole, torn))
    assert len(first["averages"]) == 2
    for one, other in zip([first["ema"], *first["averages"]], [second["ema"], *second["averages"]], strict=True):
        assert all(torch.equal(one[key], other[key]) for key in one)
    line = whole.read_log()[-1]
    norms = {"usual": line["kid_fake"], **line["averages"]}
    assert len(set(norms.values())) == 3
    best = min(norms, key=lambda name: norms[name])
    weights = {"usual": first["ema"], "0.001": first["averages"][0], "5": first["averages"][1]}[best]
    model = load_model(whole.path, "cpu").state_dict()
    assert all(torch.equal(model[key], weights[key]) for key in model)
    assert RunFolder(torn.path).model_file.read_bytes() == whole.model_file.read_bytes()


def test_a_run_without_choices_keeps_its_state_as_it_was(tiny: Config) -> None:
    trainer = Trainer(tiny)
    state = trainer.state()
    del state["averages"]
    trainer.load_state(state)  # of a version before
    with pytest.raises(ValueError, match="shorter"):
        Trainer(replace(tiny, training=replace(tiny.training, ema_choices=(1.0,)))).load_state(state)


def test_what_has_no_length_is_over_at_once(tiny: Config) -> None:
    done = changed(tiny, training={"blur_kimg": 0.0, "blur_sigma": 10.0, "pose_swap": 0.25, "pose_swap_kimg": 0.0})
    assert Trainer(done).blur_sigma == 0
    assert pose_swap_probability(done, 0) == 0.25


def test_all_gammas_stay_where_they_ended(tiny: Config) -> None:
    training = replace(tiny.training, r1_gamma=1.0, r2_gamma=2.0, feature_gamma=0.5, gamma_final=0.1)
    later = after_the_opening(training)
    assert (later.r1_gamma, later.r2_gamma, later.feature_gamma) == pytest.approx((0.1, 0.2, 0.05))


def test_adam_is_corrected_only_for_steps_that_are_made(tiny: Config) -> None:
    training = replace(
        tiny.training, loss="logistic", penalty_step="separate", penalty_interval=1, discriminator_lr=0.002
    )
    for gamma, share in ((0.0, 1.0), (1.0, 0.5)):
        one = replace(training, r1_gamma=gamma, r2_gamma=0.0)
        rate = discriminator_adam(torch.nn.Linear(1, 1), one).param_groups[0]["lr"]
        assert rate == pytest.approx(share * training.discriminator_lr)


@pytest.mark.parametrize("share", [True, False])
def test_the_mean_latent_moves_once_a_step(share: bool, tiny: Config, images: PosedImages) -> None:
    trainer = Trainer(changed(tiny, training={"share_fakes": share}))
    mean = trainer.generator.mapping.w_avg
    mean.fill_(1000.0)
    trainer.train_step(images)
    assert mean.mean() == pytest.approx(998.0, abs=0.1)
