"""Changes to images before D sees them: background, blur, colour, cutout, geometry, and ADA's control."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from hgs_toolkit.cameras import mirror_labels
from hgs_toolkit.config import AugmentConfig

UNSEEN = 0.1
"""Blurs below so many pixels change nothing and are left out."""


def compose(images: Tensor, backgrounds: Tensor, *, with_alpha: bool = False) -> Tensor:
    """Network images (B, 3, H, W) in -1..1 from uint8 (B, H, W, 3 or 4) over background colours (B, 3) in 0..1.

    Alpha is straight (not premultiplied), as PNG holds it. Images without alpha ignore the background. ``with_alpha``
    appends alpha, in -1..1 too, as a fourth channel.
    """
    pixels = images.movedim(-1, 1).to(torch.float32) / 255.0
    color = pixels[:, :3]
    if pixels.shape[1] == 4:
        alpha = pixels[:, 3:]
        color = color * alpha + backgrounds[:, :, None, None] * (1 - alpha)
        if with_alpha:
            color = torch.cat([color, alpha], dim=1)
    return (color * 2 - 1).contiguous()


def mirror(images: Tensor, labels: Tensor, flags: Tensor) -> tuple[Tensor, Tensor]:
    """Images (B, H, W, C) and labels (B, 25) with those where ``flags`` (B,) is set mirrored, camera included."""
    images = torch.where(flags[:, None, None, None], images.flip(2), images)
    return images, torch.where(flags[:, None], mirror_labels(labels), labels)


def blur_matrix(size: int, sigma: float, device: torch.device | None = None) -> Tensor:
    """Matrix (size, size) that blurs a row of ``size`` pixels with a Gaussian of ``sigma`` pixels, edges repeated.

    As matrices two small multiplications blur an image; a depthwise convolution is several times slower on a CPU.
    """
    radius = max(1, math.ceil(3 * sigma))
    offsets = torch.arange(-radius, radius + 1, device=device)
    kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
    kernel = kernel / kernel.sum()
    columns = (torch.arange(size, device=device)[:, None] + offsets).clamp(0, size - 1)  # (size, 2 radius + 1)
    return torch.zeros(size, size, device=device).scatter_add_(1, columns, kernel.expand(size, -1))


def blur(images: Tensor, sigma: float) -> Tensor:
    """Images (B, C, H, W) blurred by ``sigma`` pixels; below a tenth of a pixel they are returned as they are."""
    if sigma < UNSEEN:
        return images
    height, width = images.shape[-2:]
    vertical = blur_matrix(height, sigma, images.device).to(images)
    horizontal = vertical if width == height else blur_matrix(width, sigma, images.device).to(images)
    return vertical @ images @ horizontal.mT


def blur_alpha(images: Tensor, sigma: float) -> Tensor:
    """Images (B, 4, H, W) whose last channel is blurred as by :func:`blur`; others are returned as they are."""
    if images.shape[1] == 3 or sigma < UNSEEN:
        return images
    return torch.cat([images[:, :3], blur(images[:, 3:], sigma)], dim=1)


TURN, SCALE, MOVE = math.radians(20), 0.3, 0.125
"""Limits of the geometric changes: radians, powers of two, shares of the image's side."""


class Augmentation:
    """Colour changes, cutout and geometric changes, drawn alike for real and generated images.

    Args:
        config: probabilities; with ``adaptive_target`` they are multiplied by ``strength``, which :meth:`adapt` moves.
    """

    def __init__(self, config: AugmentConfig) -> None:
        self.config = config
        self.strength = 0.0 if self.adaptive else 1.0

    @property
    def adaptive(self) -> bool:
        """Whether the strength moves."""
        return self.config.adaptive_target is not None

    @property
    def active(self) -> bool:
        """Whether any image can be changed."""
        return self.strength * max(self.config.color, self.config.cutout, self.config.geometry) > 0

    def adapt(self, sign_of_real: float, images: int) -> None:
        """ADA (Karras et al. 2020): move the strength towards keeping mean(sign(D(real))) at the target."""
        if self.config.adaptive_target is not None:
            direction = math.copysign(1.0, sign_of_real - self.config.adaptive_target)
            step = images / (self.config.adaptive_kimg * 1000)
            self.strength = min(max(self.strength + direction * step, 0.0), 1.0)

    def state(self) -> dict[str, float | bool]:
        """What :meth:`load_state` needs."""
        return {"augment_strength": self.strength, "augment_adaptive": self.adaptive}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on with the strength of :meth:`state`, if it moved there and moves here: else it means nothing here."""
        if self.adaptive and state.get("augment_adaptive", True):
            self.strength = float(state["augment_strength"])

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Uniform numbers (count, 7), with geometry (count, 12), that decide how images change; see :meth:`apply`."""
        return torch.rand(count, 12 if self.config.geometry > 0 else 7, generator=generator)

    def apply(self, images: Tensor, numbers: Tensor) -> Tensor:
        """Images (B, 3 | 4, H, W) changed as the numbers (B, 7 | 12) say; differentiable, twice."""
        if not self.active:
            return images
        numbers = numbers.to(images)
        if self.config.geometry > 0:
            images = _move(images, numbers[:, 7:], self.config.geometry * self.strength)
        color = _change_color(images[:, :3], numbers[:, :4], self.config.color * self.strength)
        images = color if images.shape[1] == 3 else torch.cat([color, images[:, 3:]], dim=1)
        return _cut_out(images, numbers[:, 4:7], self.config.cutout * self.strength)


def _change_color(images: Tensor, numbers: Tensor, probability: float) -> Tensor:
    """Brightness +-0.2, contrast and saturation by a factor of 2^(+-0.5), where numbers[:, 0] < probability."""
    apply = (numbers[:, 0] < probability).to(images.dtype)[:, None, None, None]
    brightness, contrast, saturation = (numbers[:, 1:, None, None, None] * 2 - 1).unbind(1)
    changed = images + 0.4 * brightness  # images span -1..1: 0.4 is a fifth of the range
    mean = changed.mean(dim=(1, 2, 3), keepdim=True)
    changed = mean + (changed - mean) * 2 ** (0.5 * contrast)
    gray = changed.mean(dim=1, keepdim=True)
    changed = gray + (changed - gray) * 2 ** (0.5 * saturation)
    return images + apply * (changed - images)


def _move(images: Tensor, numbers: Tensor, probability: float) -> Tensor:
    """Turned, scaled and moved within TURN, SCALE and MOVE, edges reflected, where numbers[:, 0] < probability."""
    applied = numbers[:, 0] < probability
    turn, scale, right, down = (numbers[:, 1:] * 2 - 1).unbind(1)
    angle, factor = turn * TURN, 2 ** (scale * SCALE)
    cosine, sine = angle.cos() * factor, angle.sin() * factor
    rows = [cosine, -sine, 2 * MOVE * right, sine, cosine, 2 * MOVE * down]  # grids span -1..1
    places = functional.affine_grid(torch.stack(rows, dim=1).unflatten(1, (2, 3)), list(images.shape), False)
    moved = functional.grid_sample(images, places, "bilinear", "reflection", align_corners=False)
    return torch.where(applied[:, None, None, None], moved, images)


def _cut_out(images: Tensor, numbers: Tensor, probability: float) -> Tensor:
    """A square of half the image's size set to mid-grey, its centre anywhere, where numbers[:, 0] < probability."""
    height, width = images.shape[-2:]
    rows = (torch.arange(height, device=images.device) + 0.5) / height  # (H,)
    columns = (torch.arange(width, device=images.device) + 0.5) / width  # (W,)
    inside_rows = (rows - numbers[:, 1:2]).abs() < 0.25  # (B, H)
    inside_columns = (columns - numbers[:, 2:3]).abs() < 0.25  # (B, W)
    applied = (numbers[:, 0] < probability)[:, None, None]
    hole = inside_rows[:, :, None] & inside_columns[:, None, :] & applied  # (B, H, W)
    return images * (~hole)[:, None].to(images.dtype)
