"""Scenes changed so that an image shows how they are built: levels, parents, anchors, sizes.

Each function takes a :class:`GaussianHierarchy` and returns another one; drawing it is up to the caller.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hgs_toolkit.encoding import (
    MAX_OPACITY_LOGIT,
    logits_to_opacities,
    opacities_to_logits,
    rgb_to_dc,
)
from hgs_toolkit.errors import ConfigError
from hgs_toolkit.gaussians import BACKGROUND_LEVEL, NO_PARENT, GaussianHierarchy

LEVEL_COLORS = (
    (0.35, 0.35, 0.40), (0.90, 0.25, 0.20), (0.95, 0.65, 0.15), (0.40, 0.75, 0.30), (0.20, 0.55, 0.90),
    (0.60, 0.35, 0.85), (0.90, 0.45, 0.70), (0.30, 0.80, 0.80),
)  # fmt: skip
"""Display colours of the background and of the levels 0, 1, ...; the levels' colours repeat after the last."""

ANCHOR_SIZE = 0.03
"""Radius of the balls that show the coarsest anchors, as a share of the subject's radius."""

ANCHOR_SHRINKING = 0.6
"""Factor on the balls' radius from one level to the next."""

BIRTH_SCALE = 0.2
"""Size at which a Gaussian without a parent begins to grow, as a share of its final size."""


def level_colors(level: Tensor) -> Tensor:
    """Display RGB (..., 3) of levels (...)."""
    palette = torch.tensor(LEVEL_COLORS, device=level.device)
    foreground = 1 + (level.clamp_min(0) % (len(LEVEL_COLORS) - 1))
    return palette[torch.where(level == BACKGROUND_LEVEL, 0, foreground)]


def painted_by_level(scene: GaussianHierarchy) -> GaussianHierarchy:
    """Every Gaussian in the colour of its level."""
    colors = rgb_to_dc(level_colors(scene.level)).to(scene.sh)  # (N, 3)
    return scene.replace(sh=colors[None, :, None].expand(scene.batch, -1, -1, -1))


def opaque(scene: GaussianHierarchy) -> GaussianHierarchy:
    """Every Gaussian with opacity one (the largest that is stored)."""
    return scene.replace(opacity_logits=torch.full_like(scene.opacity_logits, MAX_OPACITY_LOGIT))


def faded(scene: GaussianHierarchy, share: float | Tensor) -> GaussianHierarchy:
    """Opacities multiplied by ``share`` in 0..1, one number or (N,)."""
    opacities = logits_to_opacities(scene.opacity_logits) * share
    return scene.replace(opacity_logits=opacities_to_logits(opacities))


def subtree(scene: GaussianHierarchy, root: int) -> GaussianHierarchy:
    """The Gaussian with index ``root`` and everything below it.

    Raises:
        ConfigError: if there is no such Gaussian.
    """
    if not 0 <= root < scene.num_gaussians:
        raise ConfigError(f"Gaussian {root}; expected 0 to {scene.num_gaussians - 1}; the coarsest level comes first")
    inside = torch.zeros(scene.num_gaussians, dtype=torch.bool, device=scene.device)
    inside[root] = True
    for level in range(int(scene.level[root]) + 1, scene.num_levels):  # parents lie above their children
        inside |= (scene.level == level) & (scene.parent != NO_PARENT) & inside[scene.parent.clamp_min(0)]
    return scene.select(inside)


def anchor_balls(scene: GaussianHierarchy, radius: float) -> GaussianHierarchy:
    """The invisible anchors as small balls in their levels' colours.

    Args:
        radius: the subject's radius, world units, which the balls' sizes follow.

    Raises:
        ConfigError: if the scene has no anchors.
    """
    if scene.anchors is None:
        raise ConfigError(
            "the scene carries no anchors; expected one sampled from a model, or a .hgs file written from such a scene"
        )
    anchors = scene.anchors
    sizes = radius * ANCHOR_SIZE * ANCHOR_SHRINKING ** anchors.level.to(anchors.means.dtype)  # (N,)
    balls = anchors.log_scales * 0 + sizes.log()[:, None]
    return opaque(painted_by_level(anchors.replace(log_scales=balls)))


def grown(scene: GaussianHierarchy, stage: float) -> GaussianHierarchy:
    """The scene while it grows: Gaussians come out of their parents, level by level.

    Args:
        stage: 0 shows the background alone, l + 1 everything up to level l; in between, level l fades in while it
            moves from the parents' positions, sizes and colours to its own. From the number of levels on it is the
            scene itself.
    """
    if stage >= scene.num_levels:
        return scene
    share = _smooth((stage - scene.level).clamp(0, 1)).to(scene.means)  # (N,)
    share[scene.level == BACKGROUND_LEVEL] = 1.0
    born = share > 0
    parent = torch.where(
        scene.parent == NO_PARENT, torch.arange(scene.num_gaussians, device=scene.device), scene.parent
    )

    def from_parents(values: Tensor) -> Tensor:
        weight = share.view(1, -1, *[1] * (values.ndim - 2))
        return torch.lerp(values[:, parent], values, weight)

    # q and -q are the same rotation; the one nearer to the parent's is taken.
    facing = (scene.quats * scene.quats[:, parent]).sum(-1, keepdim=True)
    quats = torch.where(facing < 0, -scene.quats, scene.quats)
    orphan = (scene.parent == NO_PARENT).to(scene.means)
    birth = orphan * (BIRTH_SCALE + (1 - BIRTH_SCALE) * share).log()  # (N,)
    moving = scene.replace(
        means=from_parents(scene.means),
        log_scales=from_parents(scene.log_scales) + birth[:, None],
        quats=torch.lerp(scene.quats[:, parent], quats, share[:, None]),
        sh=from_parents(scene.sh),
    )
    return faded(moving, share).select(born)


def _smooth(share: Tensor) -> Tensor:
    """0 to 1 with slope 0 at both ends."""
    return share * share * (3 - 2 * share)
