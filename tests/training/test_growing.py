"""Growing a run into one of more levels and pixels."""

from __future__ import annotations

import logging
import math
from dataclasses import replace
from typing import Any

import pytest
import torch

from hgs_toolkit.cameras import orbit
from hgs_toolkit.config import Config
from hgs_toolkit.datasets.eg3d import PosedImages
from hgs_toolkit.errors import CheckpointError
from hgs_toolkit.gaussians import GaussianHierarchy
from hgs_toolkit.rendering import render
from hgs_toolkit.settings_io import config_from_dict, config_to_dict
from hgs_toolkit.training.networks import Networks, new_networks
from hgs_toolkit.training.stages.growing import grow, grown_config
from hgs_toolkit.training.trainer import Trainer


def _changed(config: Config, **sections: dict[str, Any]) -> Config:
    values = config_to_dict(config)
    for name, changes in sections.items():
        values[name] |= changes
    return config_from_dict(values)


@pytest.fixture
def small(tiny: Config) -> Config:
    """64 points: like ``larger``, it halves the scale from level to level."""
    return _changed(tiny, generator={"points": 64})


@pytest.fixture
def larger(small: Config) -> Config:
    """``small`` with a level and a doubling more, drawn from another seed."""
    return _changed(
        small,
        generator={"resolution": 32, "channels": [32, 16, 8], "level_blocks": ["adain", "adain"]},
        discriminator={"resolution": 32, "channels": [12, 8, 16, 16]},
        training={"seed": 5},
    )


def _networks(config: Config) -> Networks:
    generator, discriminator = new_networks(config)
    average = {name: value * 0.5 for name, value in generator.state_dict().items()}
    return Networks(config, generator.state_dict(), average, discriminator.state_dict())


def _moved(networks: Networks) -> Networks:
    """The same with every weight moved off its start, where scales of residual blocks are zero."""
    torch.manual_seed(1)
    return Networks(
        networks.config,
        {name: value + 0.1 * torch.randn_like(value) for name, value in networks.generator.items()},
        networks.ema,
        networks.discriminator,
    )


def _with_opacity(scene: GaussianHierarchy, level: int, logit: float) -> GaussianHierarchy:
    logits = torch.where(scene.level == level, logit, scene.opacity_logits)
    return replace(scene, opacity_logits=logits)


def test_the_coarse_levels_of_a_grown_generator_are_those_of_the_smaller_one(small: Config, larger: Config) -> None:
    smaller = _moved(_networks(small))
    grown = grow(smaller, larger)
    before, _ = new_networks(small)
    after, _ = new_networks(larger)
    before.load_state_dict(smaller.generator)
    after.load_state_dict(grown.generator)
    z = torch.randn(2, 8, generator=torch.Generator().manual_seed(0))
    scene, same = before(z), after(z).levels(range(2))
    for name in ("means", "quats", "sh", "opacity_logits"):
        torch.testing.assert_close(getattr(same, name), getattr(scene, name))
    # A parent above the smaller image's pixel shrinks its children in both; one below it only in the larger.
    parents = scene.anchors.log_scales[:, scene.parent.clamp_min(0)].amax(-1) if scene.anchors is not None else None
    assert parents is not None
    kept = (scene.level == 0) | (parents > -math.log(16))
    assert 0.1 < kept.float().mean() < 1
    torch.testing.assert_close(same.log_scales[kept], scene.log_scales[kept])


def test_new_anchors_stand_where_the_gaussians_of_the_last_level_stood(small: Config, larger: Config) -> None:
    grown = grow(_moved(_networks(small)), larger)
    generator, _ = new_networks(larger)
    generator.load_state_dict(grown.generator)
    scene = generator(torch.randn(2, 8, generator=torch.Generator().manual_seed(0)))
    assert scene.anchors is not None
    finest_anchors = scene.anchors.means[:, scene.anchors.level == 1].clamp(-1, 1)
    torch.testing.assert_close(finest_anchors, scene.means[:, scene.level == 1])


def test_a_new_level_is_nearly_transparent_before_a_picture_that_stays(small: Config, larger: Config) -> None:
    smaller = _moved(_networks(small))
    for weights in (smaller.generator, smaller.ema):
        for name, value in weights.items():
            if name.startswith("heads.") and name.endswith("bias"):
                value[13::14] += 5.0  # opaque subjects: every level adds as much to the opacity logits
    grown = grow(smaller, larger)
    before, after = new_networks(small)[0], new_networks(larger)[0]
    z = torch.randn(4, 8, generator=torch.Generator().manual_seed(0))
    before.load_state_dict(smaller.generator)
    for weights in (grown.generator, grown.ema):
        after.load_state_dict(weights)
        scene = after(z)
        new = scene.opacity_logits[:, scene.level == 2]
        assert abs(new.mean().item() - larger.generator.initial_opacity_logit) < 0.5
    after.load_state_dict(grown.generator)
    old, _ = render(before(z), orbit(4), 32, 32)
    now, _ = render(after(z), orbit(4), 32, 32)
    opaque, _ = render(_with_opacity(after(z), level=2, logit=10.0), orbit(4), 32, 32)
    assert (now - old).abs().mean() < 0.3 * (opaque - old).abs().mean()


def test_a_generator_with_classes_grows(small: Config, larger: Config) -> None:
    named = {"classes": {"names": ["chair", "sofa"], "shares": [0.3, 0.7]}}
    networks = _moved(_networks(_changed(small, generator=named, discriminator={"classes": 2})))
    networks.generator["heads.1.bias"][13::14] += 9.0
    grown, _ = new_networks(told := _changed(larger, generator=named, discriminator={"classes": 2}))
    grown.load_state_dict(grow(networks, told).generator)
    z = torch.randn(20, 8, generator=torch.Generator().manual_seed(0))
    scene = grown(z, classes=torch.eye(2)[[0] * 6 + [1] * 14])
    assert abs(scene.opacity_logits[:, scene.level == 2].mean() - told.generator.initial_opacity_logit) < 0.5


def test_a_new_level_of_faint_parents_is_left_as_it_is(small: Config, larger: Config) -> None:
    smaller = _networks(small)
    for name, value in smaller.generator.items():
        if name.startswith("heads.") and name.endswith("bias"):
            value[13::14] -= 5.0
    fresh, grown = new_networks(larger)[0].state_dict(), grow(smaller, larger).generator
    assert torch.equal(grown["heads.2.bias"], fresh["heads.2.bias"])


def test_a_grown_discriminator_keeps_its_low_resolutions_and_starts_the_new_one(small: Config, larger: Config) -> None:
    smaller = _networks(small)
    grown = grow(smaller, larger).discriminator
    fresh = new_networks(larger)[1].state_dict()
    assert grown is not None
    assert smaller.discriminator is not None
    for old, new in (("blocks.0.conv0.weight", "blocks.1.conv0.weight"), ("fc.weight", "fc.weight")):
        assert torch.equal(grown[new], smaller.discriminator[old])
        assert not torch.equal(grown[new], fresh[new])
    carrying = 6  # channels for the picture; the others start at random
    for layer in ("fromrgb", "blocks.0.conv0"):
        assert torch.equal(grown[f"{layer}.weight"][carrying:], fresh[f"{layer}.weight"][carrying:])


def test_a_grown_discriminator_judges_as_the_smaller_one_judged_at_half_the_size(small: Config, larger: Config) -> None:
    smaller = _networks(small)
    assert smaller.discriminator is not None
    smaller.discriminator["fromrgb.bias"] += 0.3
    grown = grow(smaller, larger)
    assert grown.discriminator is not None
    before, after = new_networks(small)[1], new_networks(larger)[1]
    before.load_state_dict(smaller.discriminator)
    after.load_state_dict(grown.discriminator)
    images = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(2)) * 2 - 1
    labels = orbit(3).labels
    halved = torch.nn.functional.avg_pool2d(images, 2)
    torch.testing.assert_close(after(images, labels).logits, before(halved, labels).logits, rtol=1e-4, atol=1e-5)


def test_a_new_block_too_narrow_for_a_picture_is_refused(small: Config, larger: Config) -> None:
    narrow = _changed(larger, discriminator={"channels": [4, 8, 16, 16]})
    with pytest.raises(CheckpointError, match="at least 6"):
        grow(_networks(small), narrow)


def test_the_new_block_learns_from_its_first_step(small: Config, larger: Config) -> None:
    discriminator = new_networks(larger)[1]
    grown = grow(_networks(small), larger).discriminator
    assert grown is not None
    discriminator.load_state_dict(grown)
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(2), requires_grad=True)
    labels = orbit(2).labels
    discriminator(images, labels).logits.sum().backward()
    for name, weight in discriminator.named_parameters():
        if not name.startswith("blocks.0."):
            continue
        assert weight.grad is not None, name
        assert weight.grad.abs().max() > 0, name


def test_the_average_grows_from_the_average(small: Config, larger: Config) -> None:
    smaller = _networks(small)
    grown = grow(smaller, larger)
    name = "levels.0.mlp_block.mlp.expand.weight"
    assert torch.equal(grown.ema[name], smaller.ema[name])
    assert not torch.equal(grown.ema[name], grown.generator[name])


def test_a_grown_run_trains(small: Config, larger: Config, images: PosedImages) -> None:
    back = _changed(larger, generator={"resolution": 16}, discriminator={"resolution": 16, "channels": [8, 16, 16]})
    trainer = Trainer(back)
    trainer.load_networks(grow(_networks(small), back))
    stats = trainer.train_step(images)
    assert all(math.isfinite(value) for value in stats.values())


def test_the_generator_waits_while_the_discriminator_learns_alone(tiny: Config, images: PosedImages) -> None:
    trainer = Trainer(_changed(tiny, training={"generator_delay_kimg": 0.008}))  # two steps of four images
    start = {name: value.clone() for name, value in trainer.generator.named_parameters()}
    critic = {name: value.clone() for name, value in trainer.discriminator.named_parameters()}
    for _ in range(2):
        assert "loss_g" not in trainer.train_step(images)
    assert all(torch.equal(start[name], value) for name, value in trainer.generator.named_parameters())
    assert not all(torch.equal(critic[name], value) for name, value in trainer.discriminator.named_parameters())
    assert "loss_g" in trainer.train_step(images)


def test_other_widths_and_a_model_without_discriminator_do_not_grow(small: Config, larger: Config) -> None:
    smaller = _networks(small)
    with pytest.raises(CheckpointError, match="a discriminator"):
        grow(Networks(small, smaller.generator, smaller.ema, None), larger)
    other = _changed(
        larger, generator={"z_dim": 4, "w_dim": 6, "points": 8, "channels": [28, 12, 6]},
        discriminator={"channels": [3, 5, 7, 9], "pose_dim": 7},
    )  # fmt: skip
    with pytest.raises(CheckpointError, match="at least the same widths"):
        grow(smaller, other)


def test_a_grown_stage_takes_over_what_defines_the_task_and_says_so(
    small: Config, larger: Config, caplog: pytest.LogCaptureFixture
) -> None:
    task = _changed(
        small, generator={"bounded_color": True, "poses": {"focal": 3.0, "yaw_law": "uniform"}},
        training={"augment": {"mirror": 0.25}},
    )  # fmt: skip
    with caplog.at_level(logging.INFO):
        grown = grown_config(task, larger)
    assert grown.generator.bounded_color
    assert grown.generator.poses == task.generator.poses
    assert grown.training.augment == task.training.augment
    assert "generator.bounded_color = True is taken over from 'tiny'" in caplog.text
    assert (grown.generator.resolution, grown.generator.channels) == (32, (32, 16, 8))
    assert grown.training.seed == larger.training.seed
    assert grown_config(small, larger) == larger


def test_a_bound_of_elongation_is_added_or_kept(small: Config, larger: Config) -> None:
    bounded, wider = (_changed(larger, generator={"max_elongation": ratio}) for ratio in (3.0, 5.0))
    before = _changed(small, generator={"max_elongation": 3.0})
    assert grown_config(small, bounded).generator.max_elongation == 3.0
    assert grown_config(before, larger).generator.max_elongation == 3.0
    assert grown_config(before, wider).generator.max_elongation == 5.0
    assert grown_config(before, larger, {"generator.max_elongation"}).generator.max_elongation is None


def test_a_setting_by_hand_that_contradicts_the_weights_is_refused_by_name(small: Config, larger: Config) -> None:
    bounded = _changed(larger, generator={"bounded_color": True})
    with pytest.raises(CheckpointError, match=r"generator\.bounded_color is False in 'tiny' and was set to True"):
        grown_config(small, bounded, {"generator.bounded_color"})
    mirrored = _changed(larger, training={"augment": {"mirror": 1.0}})
    assert grown_config(small, mirrored, {"training.augment.mirror"}).training.augment.mirror == 1.0


def test_two_doublings_at_once_are_refused(small: Config, larger: Config) -> None:
    twice = _changed(
        larger, generator={"resolution": 64}, discriminator={"resolution": 64, "channels": [8, 12, 8, 16, 16]}
    )
    with pytest.raises(CheckpointError, match="expected 16 or 32: grow by one doubling at a time"):
        grown_config(small, twice)


def test_a_background_generator_that_is_trained_is_on_from_the_start_of_the_next_stage(
    tiny_gsgan: Config,
) -> None:
    assert tiny_gsgan.training.background_kimg > 0
    assert grown_config(tiny_gsgan, tiny_gsgan).training.background_kimg == 0
    assert grown_config(tiny_gsgan, tiny_gsgan, {"training.background_kimg"}) == tiny_gsgan
