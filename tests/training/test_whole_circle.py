"""What helps a generator that is seen from all sides: several views, alpha, views judged together, rebalancing."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from hgs_toolkit.cameras import Cameras, from_yaw_pitch, yaw_pitch_radius
from hgs_toolkit.config import AugmentConfig, Config
from hgs_toolkit.datasets.eg3d import VIEWS, PosedImages, open_dataset
from hgs_toolkit.datasets.eg3d_writer import open_writer
from hgs_toolkit.errors import CheckpointError, ConfigError
from hgs_toolkit.settings_io import config_from_dict, config_to_dict
from hgs_toolkit.training.distributed import World
from hgs_toolkit.training.fitting import check_data
from hgs_toolkit.training.inputs.augment import Augmentation, blur, compose
from hgs_toolkit.training.inputs.balance import MAX_REPEATS, in_window, yaw_weights
from hgs_toolkit.training.inputs.batches import batch_indices, make_batch
from hgs_toolkit.training.networks import Networks, new_networks
from hgs_toolkit.training.randomness import dataset_indices
from hgs_toolkit.training.stages.growing import grow
from hgs_toolkit.training.trainer import Trainer


def changed(config: Config, **sections: dict[str, Any]) -> Config:
    values = config_to_dict(config)
    for name, changes in sections.items():
        values[name] |= changes
    return config_from_dict(values)


def test_views_of_a_scene_have_backgrounds_of_their_own_and_cost_no_more_images(
    tiny: Config, images: PosedImages
) -> None:
    config = changed(tiny, training={"views": 2, "scenes": 2})
    trainer = Trainer(config)
    assert trainer._view_index(4).tolist() == [[0, 1], [2, 3]]
    batch = make_batch(images, config, 0, World())
    fakes = trainer.generate(batch, batch.latents_g)
    assert fakes.scene.means.shape[0] == 2
    assert fakes.images.shape == (4, 3, 16, 16)
    assert torch.equal(fakes.labels, batch.fake_labels)
    corners = fakes.images[:, :, 0, 0] / 2 + 0.5
    empty = 1 - torch.linalg.vector_norm(corners - batch.backgrounds, dim=1)
    assert empty.min() > 0.9  # each view stands before its own row's colour
    assert len(torch.unique(batch.backgrounds, dim=0)) == 4
    assert all(math.isfinite(value) for value in trainer.train_step(images).values())


def test_alpha_of_data_and_rendering_reaches_the_discriminator(tiny: Config, images: PosedImages) -> None:
    config = changed(tiny, discriminator={"alpha": True})
    trainer = Trainer(config)
    batch = make_batch(images, config, 0, World())
    assert batch.images.shape == (4, 4, 16, 16)
    fakes = trainer.generate(batch, batch.latents_g)
    assert fakes.images.shape == (4, 4, 16, 16)
    alpha = fakes.images[:, 3]
    assert alpha.min() >= -1 - 1e-5
    assert alpha.max() > alpha.min()
    fakes.images[:, 3].sum().backward()
    assert any(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in trainer.generator.parameters())
    assert trainer.discriminator.state_dict()["fromrgb.weight"].shape[1] == 4
    for _ in range(3):
        assert all(math.isfinite(value) for value in trainer.train_step(images).values())


def test_the_discriminator_sees_alpha_blurred_and_colours_as_they_are(
    tiny: Config, images: PosedImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged: list[Tensor] = []
    plain = {"augment": asdict(AugmentConfig()), "blur_sigma": 0.0}
    config = changed(tiny, discriminator={"alpha": True}, training={"alpha_blur": 1.5} | plain)
    trainer = Trainer(config)
    judge = trainer.discriminator.forward

    def note(seen: Tensor, *rest: Any) -> Any:
        judged.append(seen.detach())
        return judge(seen, *rest)

    monkeypatch.setattr(trainer.discriminator, "forward", note)
    batch = make_batch(images, config, 0, World())
    trainer.train_step(images)
    real, fake = judged[:2]
    torch.testing.assert_close(real[:, :3], batch.images[:, :3])
    torch.testing.assert_close(real[:, 3:], blur(batch.images[:, 3:], 1.5))
    assert steepest(real) < 0.5 * steepest(batch.images)
    assert steepest(fake) <= 0.3


def test_real_images_alone_are_blurred_as_the_renderer_blurs_splats(tiny: Config, images: PosedImages) -> None:
    config = changed(tiny, discriminator={"alpha": True})
    soft = changed(config, training={"real_blur": 0.8})
    sharp_batch, soft_batch = (make_batch(images, some, 0, World()) for some in (config, soft))
    torch.testing.assert_close(soft_batch.images, blur(sharp_batch.images, 0.8))
    assert steepest(soft_batch.images) < 0.8 * steepest(sharp_batch.images)
    drawn = [Trainer(some).generate(sharp_batch, sharp_batch.latents_g).images for some in (config, soft)]
    assert torch.equal(*drawn)


def steepest(images: Tensor) -> float:
    """Largest step of alpha between neighbouring pixels, relative to its range."""
    return float(images[:, 3].diff(dim=-1).abs().max() / 2)


def test_alpha_is_composed_beside_the_colours_and_keeps_its_value_when_they_change() -> None:
    pixels = torch.zeros(2, 4, 4, 4, dtype=torch.uint8)
    pixels[:, 1:3, 1:3] = torch.tensor([255, 0, 0, 255], dtype=torch.uint8)
    pixels[:, 0, 0] = torch.tensor([0, 255, 0, 51], dtype=torch.uint8)
    background = torch.full((2, 3), 0.5)
    with_alpha = compose(pixels, background, with_alpha=True)
    assert torch.equal(with_alpha[:, :3], compose(pixels, background))
    assert with_alpha[0, 3, 1, 1] == 1
    assert with_alpha[0, 3, 0, 0].item() == pytest.approx(51 / 255 * 2 - 1)
    augmentation = Augmentation(AugmentConfig(color=1.0))
    changed_images = augmentation.apply(with_alpha, augmentation.draw(2, torch.Generator().manual_seed(0)))
    assert torch.equal(changed_images[:, 3], with_alpha[:, 3])
    assert not torch.equal(changed_images[:, :3], with_alpha[:, :3])


def test_views_judged_together_show_the_same_subject_and_keep_their_cameras(tiny: Config, pairs: PosedImages) -> None:
    config = changed(tiny, discriminator={"views": 2}, training={"views": 2})
    check_data(config, pairs)
    assert config.scenes == 2
    indices = batch_indices(config, 3, pairs, World())[0]
    assert np.array_equal(indices[1::2], indices[::2] + 1)
    assert (indices[::2] % 2 == 0).all()
    seen = np.concatenate([batch_indices(config, step, pairs, World())[0] for step in range(6)])
    assert sorted(seen.tolist()) == list(range(24))  # one epoch shows every image once
    trainer = Trainer(config)
    batch = make_batch(pairs, config, 0, World())
    fakes = trainer.generate(batch, batch.latents_g)
    assert fakes.scene.means.shape[0] == 2
    for _ in range(3):
        assert all(math.isfinite(value) for value in trainer.train_step(pairs).values())


def test_a_pair_is_judged_by_both_images_and_both_cameras(tiny: Config) -> None:
    config = changed(tiny, discriminator={"views": 2, "alpha": True}, training={"views": 2})
    _, discriminator = new_networks(config)
    for parameter in discriminator.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0))
    images = torch.rand(3, 8, 16, 16, generator=torch.Generator().manual_seed(1), requires_grad=True)
    labels = from_yaw_pitch(torch.rand(6), torch.rand(6)).labels.unflatten(0, (3, 2)).flatten(1).requires_grad_(True)
    discriminator(images, labels).logits.sum().backward()
    assert images.grad is not None
    assert labels.grad is not None
    assert (images.grad.abs().sum(dim=(0, 2, 3)) > 0).all()
    assert (labels.grad.unflatten(1, (2, 25)).abs().sum(dim=(0, 2)) > 0).all()


def test_two_processes_keep_pairs_together(tiny: Config, pairs: PosedImages) -> None:
    config = changed(tiny, discriminator={"views": 2}, training={"views": 2})
    whole = make_batch(pairs, config, 0, World())
    parts = [make_batch(pairs, config, 0, World(rank=rank, size=2)) for rank in (0, 1)]
    for rank, part in enumerate(parts):
        assert torch.equal(part.images, whole.images[2 * rank : 2 * rank + 2])
        assert torch.equal(part.fake_labels, whole.fake_labels[2 * rank : 2 * rank + 2])


def test_a_grown_discriminator_of_pairs_with_alpha_judges_as_before(tiny: Config) -> None:
    small = changed(
        tiny, generator={"points": 64}, discriminator={"views": 2, "alpha": True}, training={"views": 2, "seed": 1}
    )
    large = changed(
        small,
        generator={"resolution": 32, "channels": [32, 16, 8], "level_blocks": ["adain", "adain"]},
        discriminator={"resolution": 32, "channels": [16, 8, 16, 16]},
    )
    generator, discriminator = new_networks(small)
    networks = Networks(small, generator.state_dict(), generator.state_dict(), discriminator.state_dict())
    grown = grow(networks, large).discriminator
    assert grown is not None
    after = new_networks(large)[1]
    after.load_state_dict(grown)
    images = torch.rand(3, 8, 32, 32, generator=torch.Generator().manual_seed(2)) * 2 - 1
    labels = from_yaw_pitch(torch.rand(6), torch.rand(6)).labels.unflatten(0, (3, 2)).flatten(1)
    halved = torch.nn.functional.avg_pool2d(images, 2)
    torch.testing.assert_close(after(images, labels).logits, discriminator(halved, labels).logits, rtol=1e-4, atol=1e-5)
    plain = changed(large, discriminator={"alpha": False})
    with pytest.raises(CheckpointError, match="judges images of 8 channels"):
        grow(networks, plain)


def test_rare_yaws_are_repeated_and_no_image_is_lost_where_all_are_equally_rare(tmp_path: Path) -> None:
    yaw = torch.cat([torch.linspace(-0.3, 0.3, 180), torch.linspace(2.6, 3.6, 20)])
    labels = from_yaw_pitch(yaw, torch.zeros(200)).labels.numpy()
    with open_writer(tmp_path / "set.zip") as writer:
        for label in labels:
            writer.add(np.zeros((8, 8, 4), np.uint8), label)
    data = open_dataset(tmp_path / "set.zip")
    weights = yaw_weights(data, 1, 1.0)
    assert weights.mean() == pytest.approx(1)
    assert weights.max() <= MAX_REPEATS * 1.001
    behind = np.concatenate([dataset_indices(0, 200 * epoch, 200, 200, weights) >= 180 for epoch in range(20)])
    assert 0.45 < behind.mean() < 0.75  # a tenth of the images, well over half of the yaws
    half = yaw_weights(data, 1, 0.5)
    assert weights[-1] > half[-1] > 1
    first, again = dataset_indices(3, 50, 100, 200, weights), dataset_indices(3, 50, 100, 200, weights)
    assert np.array_equal(first, again)
    even = np.ones(200)
    assert sorted(dataset_indices(0, 0, 200, 200, even).tolist()) == list(range(200))


@pytest.fixture
def around(tmp_path: Path) -> PosedImages:
    """Sixty subjects, two images of each: the first all around, the second ten degrees further."""
    yaw = torch.linspace(-math.pi, math.pi, 61)[:-1]
    yaw = torch.stack([yaw, yaw + math.radians(10)], dim=1).flatten()
    with open_writer(tmp_path / "around.zip") as writer:
        writer.facts[VIEWS] = 2
        for label in from_yaw_pitch(yaw, torch.zeros(120)).labels.numpy():
            writer.add(np.zeros((16, 16, 4), np.uint8), label)
    return open_dataset(tmp_path / "around.zip")


@pytest.mark.parametrize("balance", [0.0, 0.5])
def test_the_front_alone_is_shown_all_of_it_and_generated_from_there(
    tiny: Config, around: PosedImages, balance: float
) -> None:
    config = changed(tiny, training={"yaw_window": math.radians(45.1), "pose_balance": balance})
    check_data(config, around)
    yaws = np.repeat(np.linspace(-180, 180, 61)[:-1], 2) + np.tile([0, 10], 60)
    front = set(np.flatnonzero(np.abs((yaws + 180) % 360 - 180) < 45.1).tolist())
    steps = 4 * len(around) // config.training.batch
    seen = np.concatenate([batch_indices(config, step, around, World())[0] for step in range(steps)])
    assert set(seen.tolist()) == front
    fakes = Cameras.from_labels(make_batch(around, config, 0, World()).fake_labels)
    assert yaw_pitch_radius(fakes.cam_to_world)[0].abs().max() < math.radians(45.1)


def test_views_judged_together_are_all_in_front(tiny: Config, around: PosedImages) -> None:
    config = changed(tiny, discriminator={"views": 2}, training={"views": 2, "yaw_window": math.radians(45.1)})
    within = in_window(around, 2, math.radians(45.1))
    assert 0 < within.sum() < in_window(around, 1, math.radians(45.1)).sum() / 2
    seen = np.concatenate([batch_indices(config, step, around, World())[0] for step in range(60)])
    assert set((seen // 2).tolist()) == set(np.flatnonzero(within).tolist())


def test_a_window_that_leaves_less_than_a_batch_is_refused(tiny: Config, around: PosedImages) -> None:
    config = changed(tiny, training={"yaw_window": 0.01, "batch": 4})
    with pytest.raises(ConfigError, match=r"1° to either side of the front\) leaves 1 of 120 images"):
        check_data(config, around)


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"training": {"scenes": 3}}, "does not divide"),
        ({"discriminator": {"views": 2}}, "expected as many training.views"),
        ({"discriminator": {"views": 2}, "training": {"views": 2, "scenes": 4}}, "leave training.scenes alone"),
        ({"discriminator": {"alpha": True}, "generator": {"background": "generator"}}, "background = none"),
        ({"training": {"pose_balance": 1.5}}, r"0 \.\.\. 1"),
        ({"training": {"yaw_window": 4.0}}, "at most pi"),
        ({"training": {"yaw_window": 1.0, "random_pose": 0.5}}, r"needs training\.random_pose = 0"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(
    tiny: Config, sections: dict[str, dict[str, Any]], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        changed(tiny, **sections)


def test_a_set_without_groups_or_alpha_is_refused_where_they_are_needed(
    tiny: Config, images: PosedImages, tmp_path: Path
) -> None:
    grouped = changed(tiny, discriminator={"views": 2}, training={"views": 2})
    with pytest.raises(ConfigError, match="--views 2"):
        check_data(grouped, images)
    with open_writer(tmp_path / "rgb.zip") as writer:
        for _ in range(8):
            writer.add(np.zeros((16, 16, 3), np.uint8), images.labels[0])
    with pytest.raises(ConfigError, match=r"discriminator\.alpha needs images with alpha"):
        check_data(changed(tiny, discriminator={"alpha": True}), open_dataset(tmp_path / "rgb.zip"))
