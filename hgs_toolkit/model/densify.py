"""Densification: how raw network outputs and a parent anchor make a Gaussian (Hyun & Heo 2024, section 4.1).

The paper's two constraints: a child's position is local to its parent, and its scale is smaller than its parent's.
Letters: B scenes, P parents, r children per parent, S sets (anchors, Gaussians).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from hgs_toolkit.config import GeneratorConfig, Hierarchy
from hgs_toolkit.encoding import quats_to_rotmats

ROOT_SPREAD = 0.1
"""The coarsest anchors start at tanh(0.1 h): gathered in the middle of the box."""


@dataclass(frozen=True)
class Parameters:
    """Stored parameters of Gaussians, of any leading shape; ``rest`` packs what is only summed along the tree.

    Attributes:
        means: (..., 3) centres, world units.
        log_scales: (..., 3) natural logarithms of the standard deviations.
        rest: (..., 8) quaternion wxyz (not normalised), SH degree-0 coefficient, opacity logit.
    """

    means: Tensor
    log_scales: Tensor
    rest: Tensor

    def inside_box(self) -> Parameters:
        """The same with the means clamped to [-1, 1]."""
        return replace(self, means=self.means.clamp(-1.0, 1.0))

    def without_needles(self, ratio: float | None) -> Parameters:
        """The same, the largest standard deviation at most ``ratio`` (None: no bound) times the middle one."""
        if ratio is None:
            return self
        a, b, c = self.log_scales.unbind(-1)
        middle = torch.maximum(torch.minimum(a, b), torch.minimum(torch.maximum(a, b), c))  # (...)
        return replace(self, log_scales=torch.minimum(self.log_scales, middle.unsqueeze(-1) + math.log(ratio)))

    def of_set(self, index: int) -> Parameters:
        """One set of (..., S, ·)."""
        return Parameters(self.means[..., index, :], self.log_scales[..., index, :], self.rest[..., index, :])

    def flatten_children(self) -> Parameters:
        """(B, P, r, ·) as (B, P·r, ·)."""
        return Parameters(self.means.flatten(1, 2), self.log_scales.flatten(1, 2), self.rest.flatten(1, 2))


@dataclass(frozen=True)
class ScaleBounds:
    """Bounds of the log-scales (natural logarithms of standard deviations in world units).

    Attributes:
        start: initial value and soft ceiling of a directly predicted log-scale.
        step: how much smaller the log-scale of a large parent's child is before the network's own output is added.
        large: a parent is large if its largest log-scale exceeds this.
        floor: lower bound of a child's log-scale.
    """

    start: float
    step: float
    large: float
    floor: float

    @classmethod
    def of_tree(cls, config: GeneratorConfig) -> ScaleBounds:
        """Bounds under which standard deviations go from 1/√N₀ at the root to 1/resolution at the finest level."""
        start, end = -0.5 * math.log(config.points), -math.log(config.resolution)
        return cls(start, (start - end) / max(config.levels - 1, 1), end, -8.0)

    def ceiling(self, log_scales: Tensor) -> Tensor:
        """C(s) = s_max − softplus(−(s − s_max)), with s counted from the start value, which equals s_max."""
        return self.start + functional.logsigmoid(log_scales)


class Densify(nn.Module):
    """Combines raw network outputs with the parents' parameters.

    ``local`` and ``shrinking`` are the switches of the paper's ablation: positions in the parent's frame, and scales
    below the parent's.
    """

    initial: Tensor

    def __init__(self, scales: ScaleBounds, initial_opacity_logit: float, hierarchy: Hierarchy = "full") -> None:
        super().__init__()
        self.scales = scales
        self.local = hierarchy in ("full", "position")
        self.shrinking = hierarchy in ("full", "scale")
        self.inherits = hierarchy != "none"
        initial = torch.tensor([1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, initial_opacity_logit])
        self.register_buffer("initial", initial, persistent=False)

    def roots(self, raw: Tensor) -> tuple[Parameters, Parameters]:
        """Raw (B, N₀, 2, 14) -> anchors and Gaussians (B, N₀, ·) of the coarsest level."""
        log_scales = self.scales.ceiling(raw[..., 3:6])
        rest = raw[..., 6:] + self.initial
        anchors = Parameters(torch.tanh(ROOT_SPREAD * raw[..., 0, :3]), log_scales[..., 0, :], rest[..., 0, :])
        means = torch.tanh(raw[..., 1, :3])
        if self.local:
            means = from_parent_frames(means.unsqueeze(2), anchors).squeeze(2)
        return anchors, Parameters(means, log_scales[..., 1, :], rest[..., 1, :])

    def offspring(self, raw: Tensor, parents: Parameters) -> Parameters:
        """Raw (B, P, r, S, 14) and the parents (B, P, ·) -> children of all sets (B, P, r, S, ·)."""
        means = torch.tanh(raw[..., :3])
        if self.local:
            means = from_parent_frames(means.flatten(2, 3), parents).view_as(means)
        return Parameters(means, self._child_scales(raw[..., 3:6], parents), self._child_rest(raw[..., 6:], parents))

    def _child_scales(self, raw: Tensor, parents: Parameters) -> Tensor:
        if not self.shrinking:
            return self.scales.ceiling(raw)
        own = parents.log_scales  # (B, P, 3)
        is_large = own.amax(-1, keepdim=True) > self.scales.large
        inherited = torch.where(is_large, (own - self.scales.step).clamp(-100.0, 0.0), own)
        # s' − softplus(−h), since logsigmoid(h) = −softplus(−h)
        return (functional.logsigmoid(raw) + inherited[:, :, None, None]).clamp(self.scales.floor, 0.0)

    def _child_rest(self, raw: Tensor, parents: Parameters) -> Tensor:
        return raw + (parents.rest[:, :, None, None] if self.inherits else self.initial)


def from_parent_frames(offsets: Tensor, parents: Parameters) -> Tensor:
    """World positions μ_p + R(q_p) (exp(s_p) ⊙ offset) of offsets in the frames of their parents.

    Computed in float32 under autocast, too: an error of a parent's position moves its whole subtree.

    Args:
        offsets: (B, P, K, 3) in units of the parent's standard deviations, along its axes.
        parents: (B, P, ·).

    Returns:
        (B, P, K, 3) positions, world units.
    """
    with torch.autocast(offsets.device.type, enabled=False):
        frames = quats_to_rotmats(parents.rest[..., :4]) * parents.log_scales.exp().unsqueeze(-2)  # (B, P, 3, 3)
        centers = parents.means.unsqueeze(2).expand_as(offsets)
        placed = torch.baddbmm(centers.flatten(0, 1), offsets.flatten(0, 1), frames.flatten(0, 1).mT)
    return placed.view_as(offsets)
