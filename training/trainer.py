"""One training step of the two recipes: the discriminator's update, the generator's, the moving average.

``gsgan`` is the reference (non-saturating logistic loss, lazy R1, pose InfoNCE); ``r3`` the relativistic pairing loss
with R1 and R2 (R3GAN, Huang et al. 2024). Values of the configuration choose between them; both share one trainer.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from hgs_toolkit.cameras import Cameras
from hgs_toolkit.config import Config
from hgs_toolkit.datasets.eg3d import PosedImages
from hgs_toolkit.gaussians import GaussianHierarchy
from hgs_toolkit.model.discriminator import DiscriminatorOutput
from hgs_toolkit.model.projected_discriminator import of_pixels
from hgs_toolkit.training import losses
from hgs_toolkit.training.distributed import World, check_shares
from hgs_toolkit.training.ema import ema_decay, frozen_copy, load_choices, update_choices, update_ema
from hgs_toolkit.training.fakes import Fakes, draw
from hgs_toolkit.training.inputs.augment import Augmentation, blur, blur_alpha
from hgs_toolkit.training.inputs.batches import Batch, make_batch, own_rows
from hgs_toolkit.training.networks import Networks, load_into, new_networks
from hgs_toolkit.training.optimizers import (
    Figures,
    adam,
    apply_gradients,
    discriminator_adam,
    load_optimizer,
    read_figures,
)
from hgs_toolkit.training.randomness import Purpose, keyed_generator
from hgs_toolkit.training.reconstruction import Reconstruction
from hgs_toolkit.training.schedules import gamma_factor, progress, rate_factor

Judged = tuple[DiscriminatorOutput | None, Tensor]
"""What D said of images, and the images; None where it was not asked."""


class Trainer:
    """The networks, their optimisers and the step counter: everything a run's state consists of."""

    def __init__(self, config: Config, world: World | None = None) -> None:
        self.config, self.world = config, world or World()
        self.step = 0
        check_shares(config, self.world)
        generator, discriminator = new_networks(config)
        self.generator = generator.to(self.world.device)
        self.discriminator = discriminator.to(self.world.device)
        for network in (self.generator, self.discriminator):
            self.world.broadcast(network)
        self.ema = frozen_copy(self.generator)
        self.averages = [frozen_copy(self.generator) for _ in config.training.ema_choices]
        self.generator_optimizer = adam(self.generator, config.training.generator_lr, config.training.betas)
        self.discriminator_optimizer = discriminator_adam(self.discriminator, config.training)
        self.augmentation = Augmentation(config.training.augment)
        self.reconstruction = Reconstruction(config, self.world) if config.training.reconstruction.weight else None

    @property
    def images_seen(self) -> int:
        """Real images shown to D so far."""
        return self.step * self.config.training.batch

    @property
    def kimg(self) -> float:
        """Thousands of real images shown so far: the unit of every schedule."""
        return self.images_seen / 1000

    @property
    def blur_sigma(self) -> float:
        """Blur of everything D sees, pixels; fades linearly to 0."""
        training = self.config.training
        return training.blur_sigma * (1 - progress(self.kimg, training.blur_kimg))

    @property
    def _generator_learns(self) -> bool:
        return not self._is_adversarial or self.kimg >= self.config.training.generator_delay_kimg

    @property
    def _is_adversarial(self) -> bool:
        return self.config.training.adversarial_weight > 0

    def train_step(self, data: PosedImages, loaded: tuple[Tensor, Tensor] | None = None) -> dict[str, float]:
        """Update D, G and the average once; returns this rank's scalars for the log.

        Args:
            loaded: images and labels of this rank's rows where they were read ahead; None reads them from ``data``.
        """
        batch = make_batch(data, self.config, self.step, self.world, loaded)
        self._warm_up()
        share, learns = self.config.training.share_fakes, self._generator_learns
        with torch.set_grad_enabled(share and learns):
            fakes = self.generate(batch, batch.latents_g if share else batch.latents_d)
        stats, real_logits = self._discriminator_step(batch, fakes) if self._is_adversarial else ({}, None)
        if learns:
            if not share:
                fakes = self.generate(batch, batch.latents_g, track_mean=False)
            stats |= self._generator_step(fakes, real_logits)
        self.step += 1
        update_ema(self.ema, self.generator, ema_decay(self.config.training, self.images_seen))
        update_choices(self.averages, self.generator, self.config.training, self.images_seen)
        return read_figures(stats)

    def generate(self, batch: Batch, latents: Tensor, *, track_mean: bool = True) -> Fakes:
        """Scenes of ``latents`` (b, z_dim) drawn under the batch's cameras; tracks the mean latent w, once a step."""
        resolution, views = self.config.generator.resolution, self._view_index(len(latents))  # (b, V), b scenes
        labels = batch.fake_labels[views]  # (b, V, 25)
        cameras = self.cameras(labels)
        mapping_labels = batch.mapping_labels[views[:, 0]] if self.config.generator.pose_conditioned else None
        classes = None if batch.classes is None else batch.classes[views[:, 0]]
        latents, encoded = latents[: len(views)], None
        if self.reconstruction is not None:
            encoded = self.reconstruction.encode(batch, latents, views)
            latents = encoded.latents
        w = self.generator.map(latents, mapping_labels, classes=classes)
        if track_mean:
            self.generator.update_w_avg(self.world.mean(w.detach().flatten(0, -2).mean(0, keepdim=True)))
        scene = self.generator.synthesize(w, cameras.forward[:, 0], background=self._background_is_on)
        images = draw(scene, cameras, batch.backgrounds[views], resolution, with_alpha=self.config.discriminator.alpha)
        classes = None if classes is None else classes.repeat_interleave(views.shape[1], dim=0)
        return Fakes(images, labels.flatten(0, 1), scene, classes, encoded)

    def cameras(self, labels: Tensor) -> Cameras:
        """Cameras that the model draws labels (..., 25) from."""
        return self.config.generator.render_cameras(Cameras.from_labels(labels))

    @property
    def _background_is_on(self) -> bool:
        return self.config.generator.background != "none" and self.kimg >= self.config.training.background_kimg

    def _view_index(self, rows: int) -> Tensor:
        """(scenes, V): view v of scene i takes the camera (and is paired with the real image) of row s i + v.

        s is the number of ``rows`` for every scene: 1 where there are as many scenes as rows.
        """
        stride = self.config.training.batch // self.config.scenes
        device = self.world.device
        views = torch.arange(self.config.training.views, device=device)
        return (torch.arange(0, rows, stride, device=device)[:, None] + views) % rows

    def _paired(self, real_logits: Tensor) -> Tensor:
        """The logit of the real image (or of the real views judged together) that each generated one is paired with."""
        if self.config.discriminator.views > 1:
            return real_logits
        return real_logits[self._view_index(len(real_logits)).flatten()]

    def _discriminate(
        self, images: Tensor, labels: Tensor, classes: Tensor | None, purpose: Purpose
    ) -> DiscriminatorOutput:  # fmt: skip
        """D's output for images (n, C, H, W), views of a group in a row, after this step's augmentation and blur."""
        if self.augmentation.active:
            generator = keyed_generator(self.config.training.seed, self.step, purpose)
            numbers = self.augmentation.draw(len(images) * self.world.size, generator)
            images = self.augmentation.apply(images, own_rows(numbers, self.config, self.world))
        images = blur_alpha(blur(images, self.blur_sigma), self.config.training.alpha_blur)
        views = self.config.discriminator.views
        images, labels = (some.unflatten(0, (-1, views)).flatten(1, 2) for some in (images, labels))
        output: DiscriminatorOutput = self.discriminator(images, labels, None if classes is None else classes[::views])
        return output

    def _discriminator_step(self, batch: Batch, fakes: Fakes) -> tuple[Figures, Tensor]:
        training = self.config.training
        penalise = self.step % training.penalty_interval == 0
        merged = penalise and training.penalty_step == "merged"
        self.discriminator.requires_grad_(True)
        real_images = batch.images.requires_grad_(merged)
        fake_images = fakes.images.detach().requires_grad_(merged and training.r2_gamma > 0)
        real = self._discriminate(real_images, batch.labels, batch.classes, Purpose.AUGMENT_REAL)
        fake = self._discriminate(fake_images, fakes.labels, fakes.classes, Purpose.AUGMENT_FAKE_D)
        loss = self._adversarial_discriminator_loss(real.logits, fake.logits)
        stats: Figures = {
            "loss_d": loss.detach(),
            "real": real.logits.detach().mean(),
            "fake": fake.logits.detach().mean(),
        }
        if real.pose_features is not None and training.pose_weight:
            pose = self._pose_loss(real)
            stats["pose_d"] = pose.detach() / self.world.size
            loss = loss + training.pose_weight * pose
        if merged:
            penalty, penalties = self._penalty((real, real_images), (fake, fake_images))
            stats |= penalties
            loss = loss + penalty
        stats |= self._update(self.discriminator, self.discriminator_optimizer, loss, training.discriminator_clip, "d")
        if penalise and not merged and (training.r1_gamma or training.r2_gamma):
            stats |= self._separate_penalty_step(batch, fakes)
        if training.augment.adaptive_target is not None:
            # The relativistic loss leaves the logits' zero open: what a real image has over its partner counts.
            relative = training.loss == "relativistic"
            lead = (self._paired(real.logits) - fake.logits if relative else real.logits).detach()
            self.augmentation.adapt(self.world.mean(lead.sign().mean()).item(), training.batch)
        return stats, real.logits.detach()

    def _separate_penalty_step(self, batch: Batch, fakes: Fakes) -> Figures:
        """Lazy regularisation as StyleGAN2 does it: an optimiser step on the penalty alone."""
        pairs = []
        for judged, purpose, gamma in (
            (batch, Purpose.AUGMENT_REAL, self.config.training.r1_gamma),
            (fakes, Purpose.AUGMENT_FAKE_D, self.config.training.r2_gamma),
        ):
            images = judged.images.detach().requires_grad_(True)
            output = self._discriminate(images, judged.labels, judged.classes, purpose) if gamma else None
            pairs.append((output, images))
        penalty, stats = self._penalty(*pairs)
        clip = self.config.training.discriminator_clip
        self._update(self.discriminator, self.discriminator_optimizer, penalty, clip, "d")
        return stats

    def _penalty(self, real: Judged, fake: Judged) -> tuple[Tensor, Figures]:
        """R1 and R2 of (output, images), weighted by gamma / 2 and the interval they are computed at."""
        training = self.config.training
        total, stats = torch.zeros((), device=self.world.device), Figures()
        for name, gamma, (output, images) in (("r1", training.r1_gamma, real), ("r2", training.r2_gamma, fake)):
            if gamma and output is not None:
                features, weight = output.features, training.feature_gamma / gamma
                penalty = losses.gradient_penalty(output.logits, images, features, weight)
                stats[name] = penalty.detach()
                total = total + penalty * (0.5 * gamma * self.gamma_factor * training.penalty_interval)
        return total, stats

    @property
    def gamma_factor(self) -> float:
        """Current factor of both gammas."""
        return gamma_factor(self.config.training, self.kimg)

    @property
    def rate_factor(self) -> float:
        """Factor of both learning rates in the next step."""
        return rate_factor(self.config.training, self.step)

    def _generator_step(self, fakes: Fakes, real_logits: Tensor | None) -> Figures:
        """``real_logits`` are those of D's step; None where no discriminator is trained."""
        stats: Figures = {}
        loss = self._anchor_losses(fakes.scene, stats)
        if self.config.training.color_weight:
            family = losses.family_color_loss(fakes.scene)
            stats["color"] = family.detach()
            loss = loss + self.config.training.color_weight * family
        if real_logits is not None:
            loss = loss + self._adversarial_generator_loss(fakes, real_logits, stats)
        if self.reconstruction is not None and fakes.encoded is not None:
            loss = loss + self.reconstruction.loss(fakes.images, fakes.encoded, stats)
        stats |= self._update(self.generator, self.generator_optimizer, loss, self.config.training.generator_clip, "g")
        if self.reconstruction is not None:
            self.reconstruction.update()
        return stats

    def _adversarial_generator_loss(self, fakes: Fakes, real_logits: Tensor, stats: Figures) -> Tensor:
        """``real_logits`` are one update old; in the pairing D(real) only shifts the weights."""
        training = self.config.training
        self.discriminator.requires_grad_(False)
        fake = self._discriminate(fakes.images, fakes.labels, fakes.classes, Purpose.AUGMENT_FAKE_G)
        if training.loss == "relativistic":
            loss = losses.relativistic_generator_loss(self._paired(real_logits), fake.logits)
        else:
            loss = losses.logistic_generator_loss(fake.logits)
        stats["loss_g"] = loss.detach()
        loss = loss * training.adversarial_weight
        if fake.pose_features is not None and training.pose_weight:
            pose = self._pose_loss(fake)
            stats["pose_g"] = pose.detach() / self.world.size
            loss = loss + training.pose_weight * pose
        return loss

    def _anchor_losses(self, scene: GaussianHierarchy, stats: Figures) -> Tensor:
        """The regularisers on the level-0 anchors (on the level-0 Gaussians of a tree of one level)."""
        training = self.config.training
        coarse = scene if scene.anchors is None else scene.anchors
        anchors = coarse.means[:, : self.config.generator.points]  # (b, N_0, 3)
        neighbor = losses.neighbor_loss(anchors, training.knn_neighbors)
        center = losses.center_loss(anchors)
        stats |= {"knn": neighbor.detach(), "center": center.detach()}
        return training.knn_weight * neighbor + training.center_weight * center

    def _adversarial_discriminator_loss(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        if self.config.training.loss == "relativistic":
            return losses.relativistic_discriminator_loss(self._paired(real_logits), fake_logits)
        return losses.logistic_discriminator_loss(real_logits, fake_logits)

    def _pose_loss(self, output: DiscriminatorOutput) -> Tensor:
        assert output.pose_features is not None
        assert output.camera_features is not None
        temperature = self.config.training.pose_temperature
        return losses.pose_loss(output.pose_features, output.camera_features, temperature, self.world)

    def _update(
        self, network: nn.Module, optimizer: torch.optim.Optimizer, loss: Tensor, clip: float, name: str
    ) -> Figures:
        """Backward, average over ranks, guard against non-finite gradients, clip, step."""
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm, bad = apply_gradients(network, optimizer, clip, self.world)
        return {f"grad_{name}": norm, **({f"bad_{name}": float(bad)} if bad else {})}

    def _warm_up(self) -> None:
        """Set all learning rates for this step."""
        factor = self.rate_factor
        for part in self._parts().values():
            for group in part.param_groups if isinstance(part, torch.optim.Optimizer) else ():
                group["lr"] = group["base_lr"] * factor

    def load_networks(self, networks: Networks) -> None:
        """Start from the weights of ``networks``; optimisers and the step counter stay as they are.

        Beside a discriminator of the pixels, heads on pretrained features stay as they were drawn.

        Raises:
            CheckpointError: if they are not those of the configuration; the message names the network.
        """
        gains = networks.config.discriminator.gains_heads_as(self.config.discriminator)
        judge = of_pixels(self.discriminator) if gains else self.discriminator
        for name, network in {"generator": self.generator, "ema": self.ema, "discriminator": judge}.items():
            weights = getattr(networks, name)
            if weights is not None:
                load_into(network, weights, name)
        if self.reconstruction is not None and networks.encoder is not None:
            load_into(self.reconstruction.encoder, networks.encoder, "encoder")
        for average in self.averages:
            load_into(average, networks.ema, "ema")

    def state(self) -> dict[str, Any]:
        """Everything that an exact continuation needs; plain tensors and numbers."""
        return {
            "step": self.step,
            **self.augmentation.state(),
            "averages": [average.state_dict() for average in self.averages],
            **{name: part.state_dict() for name, part in self._parts().items()},
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Continue where :meth:`state` was taken."""
        for name, part in self._parts().items():
            if isinstance(part, torch.optim.Optimizer):
                load_optimizer(part, state[name])
            else:
                part.load_state_dict(state[name])
        load_choices(self.averages, state.get("averages", ()))
        self.step = int(state["step"])
        self.augmentation.load_state(state)

    def _parts(self) -> dict[str, nn.Module | torch.optim.Optimizer]:
        """Networks and optimisers by their names in the state."""
        names = ("generator", "ema", "discriminator", "generator_optimizer", "discriminator_optimizer")
        parts = {name: getattr(self, name) for name in names}
        if self.reconstruction is not None:
            parts |= {"encoder": self.reconstruction.encoder, "encoder_optimizer": self.reconstruction.optimizer}
        return parts
