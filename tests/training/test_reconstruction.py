"""The generator as a decoder: latents of real subjects, alone and beside a discriminator."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from hgs_toolkit.config import Config
from hgs_toolkit.datasets.eg3d import PosedImages
from hgs_toolkit.errors import ConfigError
from hgs_toolkit.model.encoder import LatentDistribution, SceneEncoder
from hgs_toolkit.training import networks
from hgs_toolkit.training.distributed import World
from hgs_toolkit.training.fitting import check_data, fitted
from hgs_toolkit.training.inputs.batches import make_batch
from hgs_toolkit.training.loop import train
from hgs_toolkit.training.reconstruction import pixel_difference
from hgs_toolkit.training.stages.growing import grow
from hgs_toolkit.training.stages.warm_start import read_networks
from hgs_toolkit.training.state import read_state
from hgs_toolkit.training.trainer import Trainer
from tests.frozen_features import TwoScales
from tests.training.test_growing import _changed as changed

ALONE = {"views": 2, "adversarial_weight": 0.0, "reconstruction": {"weight": 2.0}, "generator_lr": 0.01}
PLAIN = {"mirror": 0.5, "color": 0.0, "cutout": 0.0, "adaptive_target": None}


@pytest.fixture
def alone(tiny: Config) -> Config:
    """Reconstruction without a discriminator."""
    return changed(tiny, discriminator={"alpha": True}, training=ALONE | {"augment": PLAIN})


def test_the_views_of_an_encoded_subject_are_its_own_and_so_are_its_targets(alone: Config, pairs: PosedImages) -> None:
    trainer = Trainer(alone)
    batch = make_batch(pairs, alone, 0, World())
    fakes = trainer.generate(batch, batch.latents_g)
    assert fakes.encoded is not None
    assert fakes.scene.means.shape[0] == 2
    assert torch.equal(fakes.encoded.targets, batch.images)
    assert torch.equal(fakes.labels, batch.labels)
    means = fakes.encoded.latents
    assert not torch.equal(means[0], means[1])


def test_reconstruction_alone_comes_nearer_and_leaves_the_discriminator_as_it_was(
    alone: Config, pairs: PosedImages
) -> None:
    trainer = Trainer(alone)
    judge = {name: value.clone() for name, value in trainer.discriminator.state_dict().items()}
    found = [trainer.train_step(pairs) for _ in range(24)]
    assert all("loss_d" not in stats and "loss_g" not in stats for stats in found)
    first, last = (sum(stats["pixels"] for stats in part) for part in (found[:6], found[-6:]))
    assert last < 0.9 * first
    assert all(torch.equal(judge[name], value) for name, value in trainer.discriminator.state_dict().items())


def test_beside_a_discriminator_half_of_the_scenes_are_subjects_and_its_judgement_has_a_weight(
    alone: Config, pairs: PosedImages
) -> None:
    config = changed(alone, training={"adversarial_weight": 0.1, "batch": 8})
    trainer = Trainer(config)
    batch = make_batch(pairs, config, 0, World())
    fakes = trainer.generate(batch, batch.latents_g)
    assert fakes.encoded is not None
    assert torch.equal(fakes.encoded.latents[2:], batch.latents_g[2:4])  # two subjects, two latents as drawn
    assert len(fakes.encoded.targets) == 4
    before = [value.clone() for part in (trainer.generator, trainer.discriminator) for value in part.parameters()]
    stats = trainer.train_step(pairs)
    assert {"loss_d", "loss_g", "pixels", "divergence"} <= stats.keys()
    assert all(math.isfinite(value) for value in stats.values())
    after = [value for part in (trainer.generator, trainer.discriminator) for value in part.parameters()]
    assert sum(not torch.equal(a, b) for a, b in zip(before, after, strict=True)) > len(before) / 2

    def pushed_by(weight: float) -> torch.Tensor:
        trainer = Trainer(changed(config, training={"adversarial_weight": weight}))
        fakes = trainer.generate(batch, batch.latents_g)
        loss = trainer._adversarial_generator_loss(fakes, torch.zeros(8), {})
        return torch.autograd.grad(loss, fakes.images)[0]

    torch.testing.assert_close(pushed_by(0.5), 5 * pushed_by(0.1))


def test_a_pretrained_network_compares_too_and_stays_as_it_is(
    alone: Config, pairs: PosedImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(networks, "make_squeeze_taps", TwoScales)
    trainer = Trainer(changed(alone, training={"reconstruction": {"weight": 2.0, "perceptual": 1.0}}))
    assert trainer.reconstruction is not None
    assert trainer.reconstruction.features is not None
    before = [value.clone() for value in trainer.reconstruction.features.buffers()]
    first = trainer.train_step(pairs)["perceptual"]
    for _ in range(12):
        last = trainer.train_step(pairs)["perceptual"]
    assert last < first
    assert all(torch.equal(a, b) for a, b in zip(before, trainer.reconstruction.features.buffers(), strict=True))


def test_a_resumed_run_equals_an_uninterrupted_one(alone: Config, pairs: PosedImages, tmp_path: Path) -> None:
    config = changed(alone, training={"adversarial_weight": 0.1})
    train(changed(config, training={"kimg": 0.016}), pairs, tmp_path / "parts")
    parts = train(config, pairs, tmp_path / "parts", resume=True)
    whole = train(config, pairs, tmp_path / "whole")
    for network in ("generator", "encoder", "discriminator"):
        first, second = (read_state(run.state_file)[network] for run in (parts, whole))
        assert all(torch.equal(first[name], second[name]) for name in first), network


def test_a_grown_stage_keeps_the_encoder_and_draws_a_discriminator_that_learned_nothing_anew(
    alone: Config, pairs: PosedImages, tmp_path: Path
) -> None:
    small = changed(alone, training={"kimg": 0.008}, generator={"points": 64})
    larger = changed(
        small,
        generator={"resolution": 32, "channels": [32, 16, 8], "level_blocks": ["adain", "adain"]},
        discriminator={"resolution": 32, "channels": [12, 8, 16, 16]},
        training={"seed": 3, "adversarial_weight": 0.1},
    )
    run = train(small, pairs, tmp_path / "small")
    before = read_networks(run.path)
    assert before.encoder is not None
    grown = grow(before, larger)
    trainer = Trainer(larger)
    fresh = {name: value.clone() for name, value in trainer.discriminator.state_dict().items()}
    trainer.load_networks(grown)
    assert trainer.reconstruction is not None
    encoder = trainer.reconstruction.encoder.state_dict()
    assert all(torch.equal(encoder[name], value) for name, value in before.encoder.items())
    assert all(torch.equal(fresh[name], value) for name, value in trainer.discriminator.state_dict().items())


def test_the_encoder_averages_views_and_its_divergence_is_that_of_normal_distributions() -> None:
    encoder, images = SceneEncoder(4, 3), torch.rand(2, 3, 3, 16, 16)
    labels = torch.eye(4).flatten().repeat(2, 3, 1)
    labels = torch.cat([labels, torch.eye(3).flatten().repeat(2, 3, 1)], dim=-1)
    there = encoder(images, labels)
    turned = encoder(images.flip(1), labels.flip(1))
    torch.testing.assert_close(there.mean, turned.mean)
    assert there.sample(torch.zeros(2, 4)).equal(there.mean)
    found = LatentDistribution(torch.tensor([[1.0, -2.0]]), torch.tensor([[0.0, math.log(4.0)]])).divergence()
    normal = torch.distributions.Normal
    expected = torch.distributions.kl_divergence(
        normal(torch.tensor([1.0, -2.0]), torch.tensor([1.0, 2.0])), normal(torch.zeros(2), torch.ones(2))
    ).sum()
    torch.testing.assert_close(found, expected)


def test_edges_count_from_32_pixels_on() -> None:
    flat, edge = torch.zeros(1, 3, 32, 32), torch.zeros(1, 3, 32, 32)
    edge[..., 16:] = 1.0
    assert pixel_difference(edge, flat).item() == pytest.approx(0.5 + 0.5 + 0.5 / 31)
    assert pixel_difference(edge[..., ::2, ::2], flat[..., ::2, ::2]).item() == pytest.approx(1.0)


def test_what_does_not_fit_together_is_refused(alone: Config, images: PosedImages, pairs: PosedImages) -> None:
    with pytest.raises(ConfigError, match="both 0"):
        changed(alone, training={"reconstruction": {"weight": 0.0}})
    with pytest.raises(ConfigError, match="random_pose = 0"):
        changed(alone, training={"random_pose": 0.5})
    with pytest.raises(ConfigError, match="whole groups"):
        changed(alone, training={"scenes": 4})
    with pytest.raises(ConfigError, match=r"training\.views = 3 does not divide training\.batch = 4"):
        changed(alone, training={"views": 3})
    with pytest.raises(ConfigError, match=r"reconstruction\.share"):
        changed(alone, training={"reconstruction": {"weight": 1.0, "share": 0.0}})
    with pytest.raises(ConfigError, match=r"training\.views = 2.*--views 2"):
        check_data(alone, images)
    check_data(alone, pairs)
    assert fitted(alone, images).training.views == 1  # a set that shows each subject once
