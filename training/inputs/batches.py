"""The inputs of one step: real images with their cameras, and all random draws behind the generated images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hgs_toolkit.cameras import mirror_labels
from hgs_toolkit.config import Config
from hgs_toolkit.datasets.eg3d import PosedImages
from hgs_toolkit.training.distributed import World
from hgs_toolkit.training.inputs.augment import blur, compose, mirror
from hgs_toolkit.training.inputs.balance import show_weights
from hgs_toolkit.training.randomness import Purpose, dataset_indices, keyed_generator
from hgs_toolkit.training.schedules import progress


@dataclass(frozen=True)
class Batch:
    """This rank's part of a step, b rows.

    Attributes:
        images: (b, 3, H, W) real images in -1..1, composed over ``backgrounds`` where they have alpha; with that alpha
            as a fourth channel for a discriminator that sees it; blurred by ``real_blur``. Views of one subject follow
            each other.
        labels: (b, 25) cameras of the real images.
        fake_labels: (b, 25) cameras of the generated images.
        mapping_labels: (b, 25) cameras shown to a pose-conditioned mapping network; some are another sample's.
        backgrounds: (b, 3) colours in 0..1.
        latents_d, latents_g: (b, z_dim) latents of the images generated for D's and for G's step.
        classes: (b, C) class vectors of the real images, and of the generated ones that they are paired with; None for
            a model without classes.
    """

    images: Tensor
    labels: Tensor
    fake_labels: Tensor
    mapping_labels: Tensor
    backgrounds: Tensor
    latents_d: Tensor
    latents_g: Tensor
    classes: Tensor | None = None


def batch_indices(
    config: Config, step: int, data: PosedImages, world: World
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:  # fmt: skip
    """Indices in ``data`` of the whole batch (B,) of a step and of this rank's rows (b,).

    Views of a subject that are judged together or reconstructed follow each other.
    """
    training, views = config.training, config.grouped_views
    groups, size = len(data) // views, training.batch // views
    weights = show_weights(data, views, training.pose_balance, training.yaw_window)
    chosen = torch.from_numpy(dataset_indices(training.seed, step * size, size, groups, weights))
    indices = (chosen[:, None] * views + torch.arange(views)).flatten()
    return indices.numpy(), own_rows(indices, config, world).numpy()


def own_rows(tensor: Tensor, config: Config, world: World) -> Tensor:
    """This rank's rows (b, ...) of a tensor over the batch (B, ...); views of a subject stay together."""
    return world.rows(tensor.unflatten(0, (-1, config.grouped_views))).flatten(0, 1)


def make_batch(
    data: PosedImages, config: Config, step: int, world: World, loaded: tuple[Tensor, Tensor] | None = None
) -> Batch:
    """The batch of step ``step``: a function of the configuration's seed and the step alone.

    Args:
        loaded: the images and labels of this rank's rows where they were read ahead; None reads them.
    """
    training, size = config.training, config.training.batch

    def draw(purpose: Purpose) -> torch.Generator:
        return keyed_generator(training.seed, step, purpose)

    views = config.grouped_views
    indices, own = batch_indices(config, step, data, world)
    images, local_labels = loaded or data.batch(own)
    mirrored = torch.rand(size // views, generator=draw(Purpose.MIRROR)) < training.augment.mirror
    mirrored = mirrored.repeat_interleave(views)
    # Bytes are moved, not floats, and changed where they are trained on.
    images, local_labels = (value.to(world.device) for value in (images, local_labels))
    images, local_labels = mirror(images, local_labels, own_rows(mirrored, config, world).to(world.device))
    # Labels of the whole global batch: swapping poses looks at the neighbouring row, which another rank may hold.
    labels = torch.as_tensor(data.labels)[indices]
    labels = torch.where(mirrored[:, None], mirror_labels(labels), labels)
    labels = _with_random_poses(labels, config, draw(Purpose.RANDOM_POSE))
    mapping_labels = _with_swapped_poses(labels, pose_swap_probability(config, step), draw(Purpose.POSE_SWAP))
    backgrounds = torch.zeros(size, 3)
    if training.background == "random":
        backgrounds = torch.rand(size, 3, generator=draw(Purpose.BACKGROUND))
    backgrounds = own_rows(backgrounds, config, world).to(world.device)
    z_dim = config.generator.z_dim
    parts = {
        "images": blur(compose(images, backgrounds, with_alpha=config.discriminator.alpha), training.real_blur),
        "labels": local_labels,
        "fake_labels": own_rows(labels, config, world),
        "mapping_labels": own_rows(mapping_labels, config, world),
        "backgrounds": backgrounds,
        "latents_d": world.rows(torch.randn(size, z_dim, generator=draw(Purpose.LATENT_D))),
        "latents_g": world.rows(torch.randn(size, z_dim, generator=draw(Purpose.LATENT_G))),
    }
    if config.generator.classes.size and data.classes is not None:
        parts["classes"] = torch.from_numpy(data.classes.vectors[own])
    return Batch(**{name: value.to(world.device) for name, value in parts.items()})


def pose_swap_probability(config: Config, step: int) -> float:
    """Probability of a swapped pose: falls linearly from 1 to ``pose_swap`` over ``pose_swap_kimg``, as in EG3D."""
    training = config.training
    kimg = step * training.batch / 1000
    return 1.0 + (training.pose_swap - 1.0) * progress(kimg, training.pose_swap_kimg)


def _with_random_poses(labels: Tensor, config: Config, generator: torch.Generator) -> Tensor:
    """Labels (B, 25) of which a share ``random_pose`` is drawn anew from the model's pose prior."""
    probability = config.training.random_pose
    if probability == 0:
        return labels
    chosen = torch.rand(len(labels), 1, generator=generator) < probability
    drawn = config.generator.poses.sample(len(labels), generator).labels
    return torch.where(chosen, drawn, labels)


def _with_swapped_poses(labels: Tensor, probability: float, generator: torch.Generator) -> Tensor:
    """Labels (B, 25), a share of them replaced by the previous row's: EG3D's swapping of poses."""
    chosen = torch.rand(len(labels), 1, generator=generator) < probability
    return torch.where(chosen, labels.roll(1, 0), labels)
