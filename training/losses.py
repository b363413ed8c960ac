"""Losses of the two recipes; each returns a scalar to minimise.

Logits are (B,), or (B, K) for a discriminator that makes K judgements of an image, whose losses add up.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from hgs_toolkit.encoding import dc_to_rgb, logits_to_opacities
from hgs_toolkit.gaussians import NO_PARENT, GaussianHierarchy
from hgs_toolkit.training.distributed import World


def logistic_discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Non-saturating logistic loss of D for logits of B and B V images."""
    return _mean(functional.softplus(-real_logits)) + _mean(functional.softplus(fake_logits))


def logistic_generator_loss(fake_logits: Tensor) -> Tensor:
    """Non-saturating logistic loss of G."""
    return _mean(functional.softplus(-fake_logits))


def relativistic_discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Relativistic pairing loss (Jolicoeur-Martineau 2018; R3GAN, Huang et al. 2024): real above its paired fake."""
    return _mean(functional.softplus(fake_logits - real_logits))


def relativistic_generator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """The same pairing from G's side: fake above its paired real."""
    return _mean(functional.softplus(real_logits - fake_logits))


def gradient_penalty(logits: Tensor, images: Tensor, features: Sequence[Tensor] = (), weight: float = 1.0) -> Tensor:
    """Mean over images (B, C, H, W) of the squared gradient norms of their logits (B, ...): R1 on reals, R2 on fakes.

    Differentiable; to be weighted by gamma / 2 (Mescheder et al. 2018).

    Args:
        features: (B V, ...) of the images, on which the logits depend besides.
        weight: of the gradients with respect to ``features``.
    """
    of_images, *of_features = torch.autograd.grad(logits.sum(), [images, *features], create_graph=True)
    total = of_images.square().sum()
    for gradient in of_features:
        total = total + weight * gradient.square().sum()
    return total / len(images)


def pose_loss(pose_features: Tensor, camera_features: Tensor, temperature: float, world: World) -> Tensor:
    """InfoNCE between the images' pose features and their cameras' features, both (b, F).

    Cosine similarity; the negatives are the other cameras of the global batch. Multiplied by the number of ranks,
    because each rank's gradient covers its own rows of the global loss only.
    """
    poses = functional.normalize(world.gather(pose_features), dim=1)  # (B, F)
    cameras = functional.normalize(world.gather(camera_features), dim=1)  # (B, F)
    similarity = poses @ cameras.mT / temperature  # (B, B)
    target = torch.arange(len(poses), device=poses.device)
    return functional.cross_entropy(similarity, target) * world.size


def neighbor_loss(anchors: Tensor, neighbors: int) -> Tensor:
    """Mean squared distance of anchors (B, N, 3) to their ``neighbors`` nearest others: keeps the cloud together."""
    neighbors = min(neighbors, anchors.shape[1] - 1)
    if neighbors < 1:
        return anchors.new_zeros(())
    with torch.no_grad():
        distances = torch.cdist(anchors, anchors)  # (B, N, N)
        index = distances.topk(neighbors + 1, largest=False).indices[..., 1:]  # (B, N, k), nearest is itself
    batch = torch.arange(len(anchors), device=anchors.device)[:, None, None]
    offsets = anchors[batch, index] - anchors[:, :, None]  # (B, N, k, 3)
    return offsets.square().sum(-1).mean()


def family_color_loss(scene: GaussianHierarchy) -> Tensor:
    """Mean squared difference of colours, display RGB, from the mean of their family: plain surfaces stay plain.

    A family is what one grandparent (for level 1: one parent) has in one level. Opacities weigh, and are not moved.
    """
    count = scene.num_gaussians
    parents = torch.where(scene.parent == NO_PARENT, torch.arange(count, device=scene.device), scene.parent)
    family = scene.level.clamp_min(0) * count + parents[parents]  # (N,)
    colors = dc_to_rgb(scene.sh[:, :, 0])  # (B, N, 3)
    weights = (logits_to_opacities(scene.opacity_logits.detach()) * (scene.level > 0))[..., None]  # (B, N, 1)
    size = (len(colors), scene.num_levels * count)
    total = weights.new_zeros(*size, 1).index_add(1, family, weights)
    means = colors.new_zeros(*size, 3).index_add(1, family, weights * colors) / total.clamp_min(1e-6)
    return (weights * (colors - means[:, family]).square()).sum() / (3 * weights.sum()).clamp_min(1e-6)


def center_loss(anchors: Tensor) -> Tensor:
    """Mean square of the coordinates of the anchors' centroid, anchors (B, N, 3)."""
    return anchors.mean(dim=1).square().mean()


def _mean(losses: Tensor) -> Tensor:
    """Mean over the images of losses (B,), or of the sums of losses (B, K)."""
    return losses.flatten(1).sum(1).mean() if losses.ndim > 1 else losses.mean()
