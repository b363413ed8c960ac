"""Reconstruction: the generator as the decoder of a variational autoencoder over several views of each subject.

From a normal latent alone, a generator learns from a discriminator's judgement only, which on small computers takes
long to tell one subject from another. Here some scenes of a step have latents that an encoder (:mod:`.model.encoder`)
gives to real subjects; drawn from the cameras of the real images, they must look like them. What comes out is solid and
varied but soft, and the discriminator sharpens it; its judgement then has a small weight.

Sources: Kingma & Welling 2014 (the autoencoder); Larsen et al. 2016, "Autoencoding beyond pixels using a learned
similarity metric" (arXiv 1512.09300: with a discriminator); Zhang et al. 2018, "The Unreasonable Effectiveness of Deep
Features as a Perceptual Metric" (arXiv 1801.03924: distances of normalised features).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from hgs_toolkit.config import Config
from hgs_toolkit.model.encoder import SceneEncoder
from hgs_toolkit.model.projected_discriminator import FrozenFeatures
from hgs_toolkit.training.distributed import World
from hgs_toolkit.training.inputs.batches import Batch
from hgs_toolkit.training.networks import perceptual_network
from hgs_toolkit.training.optimizers import Figures, adam, apply_gradients
from hgs_toolkit.training.randomness import Purpose, keyed_generator

BETAS = (0.9, 0.99)
"""Adam's decay rates of the encoder."""

CLIP = 1.0
"""Largest norm of the encoder's gradient."""

EDGES_FROM = 32
"""Resolution from which differences of neighbouring pixels are compared, too, so that edges find their place."""

EDGES = 0.5
"""Weight of those differences beside that of the pixels."""

SMALLEST_FEATURES = 64
"""Size that smaller images are brought to for the pretrained network, pixels."""


@dataclass(frozen=True)
class Encoded:
    """Scenes of a step, the first of which are encoded subjects.

    Attributes:
        latents: (S, z_dim) of all S scenes.
        targets: (n V, C, H, W) real images of the n encoded ones, V views of each in a row.
        divergence: of their latents from the normal distribution, nats.
    """

    latents: Tensor
    targets: Tensor
    divergence: Tensor


class Reconstruction:
    """The encoder, its optimiser, and the loss that compares its subjects with their real images."""

    def __init__(self, config: Config, world: World) -> None:
        self.config, self.world, self.settings = config, world, config.training.reconstruction
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(keyed_generator(config.training.seed, 0, Purpose.ENCODER).initial_seed())
            self.encoder = SceneEncoder(config.generator.z_dim, 4 if config.discriminator.alpha else 3)
        self.encoder.to(world.device)
        world.broadcast(self.encoder)
        self.optimizer = adam(self.encoder, self.settings.encoder_lr, BETAS)
        self.features: FrozenFeatures | None = None
        if self.settings.perceptual:
            self.features = perceptual_network().to(world.device)

    def encode(self, batch: Batch, latents: Tensor, views: Tensor) -> Encoded:
        """Give the first scenes latents of the real subjects in their rows of ``batch``.

        Args:
            latents: (S, z_dim) standard normal: the noise of encoded scenes, the latents of the others.
            views: (S, V) rows of the batch that each scene is seen from.
        """
        count = len(views)
        if self.config.training.adversarial_weight:
            count = max(round(self.settings.share * count), 1)
        rows = views[:count].flatten()  # (n V,)
        targets = batch.images.detach()[rows]
        shape = (count, views.shape[1])
        images = _over_grey(targets, batch.backgrounds[rows]).unflatten(0, shape)
        found = self.encoder(images, batch.labels[rows].unflatten(0, shape))
        mixed = torch.cat([found.sample(latents[:count]), latents[count:]])
        return Encoded(mixed, targets, found.divergence())

    def loss(self, images: Tensor, encoded: Encoded, stats: Figures) -> Tensor:
        """Weighted difference of generated ``images`` (S V, C, H, W) from the targets, and the divergence."""
        drawn, real, settings = images[: len(encoded.targets)], encoded.targets, self.settings
        pixels = pixel_difference(drawn, real)
        stats |= {"pixels": pixels.detach(), "divergence": encoded.divergence.detach()}
        loss = settings.weight * (pixels + settings.divergence * encoded.divergence)
        if self.features is not None:
            perceptual = perceptual_difference(self.features, drawn, real)
            stats["perceptual"] = perceptual.detach()
            loss = loss + settings.perceptual * perceptual
        return loss

    def update(self) -> None:
        """Move the encoder along the gradients that the generator's step left in it."""
        apply_gradients(self.encoder, self.optimizer, CLIP, self.world)
        self.optimizer.zero_grad(set_to_none=True)


def pixel_difference(images: Tensor, targets: Tensor) -> Tensor:
    """Mean absolute and mean squared difference of images (n, C, H, W), with that of neighbouring pixels' steps."""
    difference = images - targets
    loss = difference.abs().mean() + difference.square().mean()
    if images.shape[-1] >= EDGES_FROM:
        for axis in (2, 3):
            loss = loss + EDGES * difference.diff(dim=axis).abs().mean()
    return loss


def perceptual_difference(network: FrozenFeatures, images: Tensor, targets: Tensor) -> Tensor:
    """Squared distance of the normalised features of images (n, 3 | 4, H, W) in -1..1, summed over the scales.

    Alpha is left out. The features of ``targets`` get no gradient.
    """
    images, targets = (_for_features(some) for some in (images, targets))
    with torch.no_grad():
        wanted = network(targets)
    total = torch.zeros((), device=images.device)
    for got, goal in zip(network(images), wanted, strict=True):
        distance = functional.normalize(got, dim=1, eps=1e-3) - functional.normalize(goal, dim=1, eps=1e-3)
        total = total + distance.square().sum(dim=1).mean()
    return total


def _for_features(images: Tensor) -> Tensor:  # (n, 3 | 4, H, W) in -1..1 -> (n, 3, S, S) in 0..1
    color = (images[:, :3] + 1) / 2
    if color.shape[-1] < SMALLEST_FEATURES:
        color = functional.interpolate(color, size=SMALLEST_FEATURES, mode="bilinear", align_corners=False)
    return color


def _over_grey(images: Tensor, backgrounds: Tensor) -> Tensor:
    """Images (B, C, H, W) in -1..1 over mid-grey in place of their random background, where alpha says what it was."""
    if images.shape[1] == 3:
        return images
    color, alpha = images[:, :3], (images[:, 3:] + 1) / 2
    grey = color - (backgrounds * 2 - 1)[:, :, None, None] * (1 - alpha)  # mid-grey is 0
    return torch.cat([grey, images[:, 3:]], dim=1)
