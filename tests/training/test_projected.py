"""Training against features of a pretrained network: penalties, exact resuming, growing."""

from __future__ import annotations

import logging
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from hgs_toolkit.cameras import orbit
from hgs_toolkit.config import Config
from hgs_toolkit.datasets.eg3d import PosedImages
from hgs_toolkit.model.projected_discriminator import of_pixels
from hgs_toolkit.training import losses, networks
from hgs_toolkit.training.loop import train
from hgs_toolkit.training.networks import Networks, new_networks
from hgs_toolkit.training.stages.growing import grow, grown_config
from hgs_toolkit.training.stages.packing import pack_run
from hgs_toolkit.training.stages.warm_start import read_networks, starting_config
from hgs_toolkit.training.state import read_state
from hgs_toolkit.training.trainer import Trainer
from tests.frozen_features import TwoScales
from tests.training.test_growing import _changed as changed

HEADS = {"kind": "projected", "feature_size": 32, "feature_channels": 8, "head_channels": 8}


@pytest.fixture
def projected(tiny: Config, monkeypatch: pytest.MonkeyPatch) -> Config:
    """The r3 recipe on 16 pixels with heads on the features of a pretend network."""
    monkeypatch.setattr(networks, "make_squeeze_taps", TwoScales)
    return changed(tiny, generator={"points": 64}, discriminator=HEADS)


def test_a_step_moves_the_heads_and_leaves_the_mixing_alone(projected: Config, images: PosedImages) -> None:
    trainer = Trainer(projected)
    before = {name: value.clone() for name, value in trainer.discriminator.state_dict().items()}
    for _ in range(3):
        assert all(math.isfinite(value) for value in trainer.train_step(images).values())
    after = trainer.discriminator.state_dict()
    still = {name for name in before if torch.equal(before[name], after[name])}
    fixed = {"across_0", "across_1", "down_1"}
    # What is added to the logits of a real image and of its paired fake alike cancels in the relativistic loss.
    cancels = {name for name in before if name.endswith(("out.bias", "project.bias"))}
    assert fixed <= still <= fixed | cancels


def test_features_weigh_in_the_gradient_penalty() -> None:
    images, features = torch.ones(2, 3, 4, 4, requires_grad=True), torch.ones(4, 5, requires_grad=True)
    logits = torch.stack([images.sum(dim=(1, 2, 3)), features.unflatten(0, (2, 2)).sum(dim=(1, 2))], dim=1)
    assert losses.gradient_penalty(logits, images, [features], 0.5).item() == pytest.approx(48 + 0.5 * 10)


def test_a_resumed_run_equals_an_uninterrupted_one(projected: Config, images: PosedImages, tmp_path: Path) -> None:
    short = changed(projected, training={"kimg": 0.016})
    train(short, images, tmp_path / "parts")
    parts = train(projected, images, tmp_path / "parts", resume=True)
    whole = train(projected, images, tmp_path / "whole")
    first, second = (read_state(run.state_file)["discriminator"] for run in (parts, whole))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def larger_than(projected: Config) -> Config:
    """The next stage of ``projected``, of twice the pixels."""
    return changed(
        projected,
        generator={"resolution": 32, "channels": [32, 16, 8], "level_blocks": ["adain", "adain"]},
        discriminator={"resolution": 32, "channels": [12, 8, 16, 16]},
        training={"seed": 5},
    )


def pixel_logits_before_and_after(before: Config, larger: Config) -> tuple[Networks, Networks, Tensor, Tensor]:
    """The networks of ``before``, what they grow into, and the judgement of pixels by both of the same images."""
    generator, judge = new_networks(before)
    start = Networks(before, generator.state_dict(), generator.state_dict(), judge.state_dict())
    grown = grow(start, grown_config(before, larger))
    after = new_networks(grown.config)[1]
    after.load_state_dict(grown.discriminator or {})
    images, labels = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(2)) * 2 - 1, orbit(3).labels
    halved = torch.nn.functional.avg_pool2d(images, 2)
    return start, grown, of_pixels(judge)(halved, labels).logits, of_pixels(after)(images, labels).logits


def test_a_grown_discriminator_takes_its_heads_along_and_judges_pixels_as_before(projected: Config) -> None:
    start, grown, before, after = pixel_logits_before_and_after(projected, larger_than(projected))
    assert start.discriminator is not None
    assert grown.discriminator is not None
    for name, value in start.discriminator.items():
        assert name.startswith("pixels.") or torch.equal(value, grown.discriminator[name]), name
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-5)


def test_heads_join_where_a_run_grows_and_pixels_are_judged_as_before(projected: Config) -> None:
    alone = replace(projected, discriminator=projected.discriminator.without_heads)
    larger = larger_than(projected)
    _, grown, before, after = pixel_logits_before_and_after(alone, larger)
    assert grown.config.discriminator == larger.discriminator
    assert grown.discriminator is not None
    drawn = new_networks(grown.config)[1].state_dict()
    heads = [name for name in drawn if not name.startswith("pixels.")]
    assert heads
    assert all(torch.equal(grown.discriminator[name], drawn[name]) for name in heads)
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-5)


def test_heads_start_anew_where_their_features_have_another_size(
    projected: Config, caplog: pytest.LogCaptureFixture
) -> None:
    larger = larger_than(projected)
    larger = replace(larger, discriminator=replace(larger.discriminator, feature_size=128))
    with caplog.at_level(logging.INFO):
        _, grown, before, after = pixel_logits_before_and_after(projected, larger)
    assert grown.discriminator is not None
    for name, value in new_networks(grown.config)[1].state_dict().items():
        assert name.startswith("pixels.") or torch.equal(grown.discriminator[name], value), name
    assert "heads start anew" in caplog.text
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-5)


def test_heads_stay_where_a_run_grows_into_a_recipe_without(projected: Config) -> None:
    larger = larger_than(projected)
    without = replace(larger, discriminator=replace(larger.discriminator.without_heads, features="lite0"))
    assert grown_config(projected, without).discriminator == larger.discriminator


def test_heads_join_a_discriminator_of_the_pixels_that_has_learned(projected: Config, images: PosedImages) -> None:
    alone = replace(projected, discriminator=projected.discriminator.without_heads)
    trained = Trainer(alone)
    trained.train_step(images)
    parts = (trained.generator, trained.ema, trained.discriminator)
    generator, average, judge = (part.state_dict() for part in parts)
    start = Networks(alone, generator, average, judge)
    config = starting_config(start, projected)
    assert config.discriminator == projected.discriminator
    joined, fresh = Trainer(config), Trainer(config)
    joined.load_networks(start)
    after, drawn = joined.discriminator.state_dict(), fresh.discriminator.state_dict()
    for name, value in trained.discriminator.state_dict().items():
        assert torch.equal(after[f"pixels.{name}"], value), name
    heads = [name for name in after if not name.startswith("pixels.")]
    assert heads
    assert all(torch.equal(after[name], drawn[name]) for name in heads)


def test_heads_join_whatever_widths_a_discriminator_of_the_pixels_has(projected: Config) -> None:
    wider = replace(projected.discriminator.without_heads, channels=(16, 16, 16))
    joined = starting_config(Networks(replace(projected, discriminator=wider), {}, {}, {}), projected).discriminator
    assert (joined.kind, joined.head_channels) == ("projected", HEADS["head_channels"])
    assert joined.without_heads == wider


def test_a_run_packed_without_its_heads_goes_on_with_new_ones(
    projected: Config, images: PosedImages, tmp_path: Path
) -> None:
    train(changed(projected, training={"kimg": 0.016}), images, tmp_path / "run")
    pack_run(tmp_path / "run", tmp_path / "packed.safetensors", average_only=True, heads=False)
    packed, whole = read_networks(tmp_path / "packed.safetensors"), read_networks(tmp_path / "run")
    assert packed.config.discriminator == projected.discriminator.without_heads
    assert packed.discriminator is not None
    assert whole.discriminator is not None
    of_pixels_alone = {name for name in whole.discriminator if name.startswith("pixels.")}
    assert {f"pixels.{name}" for name in packed.discriminator} == of_pixels_alone != set(whole.discriminator)
    for name, value in packed.discriminator.items():
        torch.testing.assert_close(value, whole.discriminator[f"pixels.{name}"], rtol=1e-3, atol=1e-6)
    config = starting_config(packed, projected)
    assert config.discriminator == projected.discriminator
    Trainer(config).load_networks(packed)
