"""Growing a run: the networks of a smaller one carried into a larger one, a level or a resolution at a time.

Every doubling of the resolution adds a level to the tree and a block to the discriminator (progressive growing, Karras
et al. 2018, arXiv 1710.10196, without its blending: a discriminator that goes on judging as before takes its place).
What has a counterpart is copied; the rest keeps its random start, and the new level is nearly transparent. Levels may
become wider, too, see :mod:`hgs_toolkit.training.stages.widening`.
"""

from __future__ import annotations

import copy
import logging
import re
from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from hgs_toolkit.config import Config, DiscriminatorConfig
from hgs_toolkit.config.discriminator import OF_HEADS
from hgs_toolkit.errors import CheckpointError
from hgs_toolkit.model.discriminator import Discriminator
from hgs_toolkit.model.projected_discriminator import of_pixels
from hgs_toolkit.model.residual_discriminator import ResidualDiscriminator
from hgs_toolkit.settings_io import config_from_dict, config_to_dict, flatten_keys
from hgs_toolkit.training.networks import Networks, new_networks
from hgs_toolkit.training.stages.handover import hand_over
from hgs_toolkit.training.stages.new_level import fade_finest_level
from hgs_toolkit.training.stages.widening import widened

logger = logging.getLogger(__name__)

TASK = (
    "generator.poses", "generator.classes", "discriminator.classes",
    "generator.render_focal", "generator.mirrored_x", "generator.bounded_color",
    "generator.soft_clamp", "generator.hierarchy", "generator.mapping_lr",
    "generator.pose_conditioned", "generator.view_dependent_color",
    "generator.background", "generator.background_points", "generator.background_channels",
    "generator.background_radius", "generator.footprint", "discriminator.alpha", "discriminator.views",
    "discriminator.pose", "discriminator.pose_dim",
    "discriminator.downsample", "discriminator.kind", "discriminator.feature_channels",
    "discriminator.head_channels", "training.background", "training.augment", "training.views", "training.scenes",
)  # fmt: skip
"""Settings that define what a run learns and what its weights mean: a grown stage takes them over."""

FREE = ("generator.poses", "generator.render_focal", "generator.footprint", "training.background", "training.augment")
"""Those of them that may be set to something else by hand: the weights mean the same."""

ADDABLE = "generator.max_elongation"
"""A bound that a stage may add, and goes on with where it has none of its own."""

HEAD = re.compile(r"heads\.\d+\.(weight|bias)")
PIXELS = "pixels."
"""Start of the names of a projected discriminator's part that judges pixels."""
BLOCK = re.compile(r"(pixels\.)?blocks\.(\d+)\.(.+)")
"""A block of a residual discriminator, or of the one within a projected discriminator."""
IMAGE_LAYER = re.compile(r"(pixels\.)?fromrgb\.(weight|bias)")
"""The discriminator's first layer belongs to its resolution: a new block brings a new one."""

Weights = Mapping[str, Tensor]


def grown_config(smaller: Config, larger: Config, explicit: Collection[str] = ()) -> Config:
    """``larger`` with what defines the task of ``smaller``; what is taken over is logged.

    The background generator is on from the start if the smaller run has one: it is trained already. Heads on
    pretrained features that ``larger`` has join a residual discriminator.

    Args:
        explicit: dotted keys that were set by hand; they win where that is possible.

    Raises:
        CheckpointError: if the step is more than one doubling of the resolution, or a setting by hand contradicts the
            weights; the message names it.
    """
    small, large = smaller.generator.resolution, larger.generator.resolution
    if large not in (small, 2 * small):
        raise CheckpointError(
            f"'{smaller.name}' has {small} pixels, '{larger.name}' {large}; expected {small} or {2 * small}: grow by "
            "one doubling at a time, so that the discriminator's judgement is handed over"
        )
    before, values = flatten_keys(config_to_dict(smaller)), config_to_dict(larger)
    changes: dict[str, Any] = {}
    tasks, heads = set(TASK), {f"discriminator.{name}" for name in OF_HEADS}
    if smaller.discriminator.gains_heads_as(larger.discriminator):
        tasks -= heads
    elif smaller.discriminator.kind == "projected" and larger.discriminator.kind != "projected":
        tasks |= heads  # they stay as they are
    if larger.generator.max_elongation is None and ADDABLE not in explicit:
        tasks.add(ADDABLE)
    for key, now in flatten_keys(values).items():
        task = next((name for name in tasks if key == name or key.startswith(f"{name}.")), None)
        if task is None or before[key] == now:
            continue
        if key not in explicit and task not in explicit:
            changes[key] = before[key]
        elif task not in FREE:
            raise CheckpointError(
                f"{key} is {before[key]!r} in '{smaller.name}' and was set to {now!r}; a grown run goes on with what "
                "its weights mean: leave the setting out"
            )
    if smaller.generator.background == "generator" and "training.background_kimg" not in explicit:
        changes["training.background_kimg"] = 0.0
    for key, value in changes.items():
        logger.info("%s = %r is taken over from '%s'", key, value, smaller.name)
        *path, last = key.split(".")
        section = values
        for part in path:
            section = section[part]
        section[last] = value
    return config_from_dict(values)


def grow(smaller: Networks, config: Config) -> Networks:
    """The networks of ``config``, freshly drawn by its seed, with all of ``smaller`` put where it belongs.

    The coarse levels look the same afterwards if every level shrinks by the same step in both, that is, if
    ln(resolution / sqrt(points)) / (levels - 1) is the same; only the children of anchors between the old pixel's size
    and the new one's become smaller by that step.

    Levels that are wider in ``config`` are :mod:`widened <hgs_toolkit.training.stages.widening>` first, which changes
    no scene.

    Raises:
        CheckpointError: if ``smaller`` has no discriminator, or a tensor of it finds no place.
    """
    if smaller.discriminator is None:
        raise CheckpointError("a model alone cannot be grown; expected the folder of a run, which has a discriminator")
    smaller = widened(smaller, config)
    generator, discriminator = new_networks(config)
    average = copy.deepcopy(generator)
    judges = smaller.config.training.adversarial_weight > 0  # after reconstruction alone, D knows nothing
    homeless = [
        *_copy(generator, _with_new_anchors(smaller.generator, generator)),
        *_copy(average, _with_new_anchors(smaller.ema, average)),
        *(_copy(discriminator, _grown_judge(smaller, config.discriminator, discriminator)) if judges else []),
    ]
    lost = [name for name in homeless if not IMAGE_LAYER.fullmatch(name)]
    if lost:
        raise CheckpointError(
            f"'{smaller.config.name}' cannot grow into '{config.name}': {len(lost)} of its tensors have no place there "
            f"(the first is {lost[0]}); expected generator.channels of at least the same widths, "
            "and the same discriminator.channels, at the levels and resolutions that both have"
        )
    if config.generator.levels > smaller.config.generator.levels:
        for network in (generator, average):
            fade_finest_level(network, config.training.seed)
    if judges:
        _hand_over_judgement(smaller, config, discriminator)
    logger.info("%s goes on as %s", smaller.config.name, config.name)
    return Networks(
        config, generator.state_dict(), average.state_dict(), discriminator.state_dict(), smaller.encoder,
        smaller.credits,
    )  # fmt: skip


def _hand_over_judgement(smaller: Networks, config: Config, discriminator: Discriminator) -> None:
    """Let a grown ``discriminator`` judge as that of ``smaller`` did, its new block included.

    Raises:
        CheckpointError: if they look at other channels.
    """
    weights = smaller.discriminator or {}
    before = {name.rpartition(".")[2]: value for name, value in weights.items() if IMAGE_LAYER.fullmatch(name)}
    seen, wanted = before["weight"].shape[1], discriminator.image_channels
    if seen != wanted:
        raise CheckpointError(
            f"'{smaller.config.name}' judges images of {seen} channels and '{config.name}' of {wanted}; "
            "expected the same discriminator.alpha and discriminator.views in both"
        )
    new_blocks = _block_count(discriminator.state_dict()) - _block_count(weights)
    judge = of_pixels(discriminator)
    if isinstance(judge, ResidualDiscriminator) and new_blocks == 1:
        hand_over(judge, before["weight"], before["bias"])


def _grown_judge(smaller: Networks, config: DiscriminatorConfig, network: Discriminator) -> Weights:
    """The weights of the discriminator of ``smaller`` by their names in the larger ``network`` of ``config``.

    ``network`` keeps the heads that were drawn for it where ``smaller`` has none, and where its own do not fit because
    they judge features of another network or size.
    """
    before = smaller.config.discriminator
    weights: Weights = smaller.discriminator or {}
    if before.gains_heads_as(config):
        weights = {f"{PIXELS}{name}": value for name, value in weights.items()}
    weights = _from_the_last_block(weights, network)
    own = network.state_dict()
    old, drawn = (
        {name: value.shape for name, value in part.items() if not name.startswith(PIXELS)} for part in (weights, own)
    )
    if before.kind == "projected" and old != drawn:
        logger.info("heads start anew: those of '%s' do not fit the features that are judged now", smaller.config.name)
        return {name: value for name, value in weights.items() if name not in old}
    return weights


def _with_new_anchors(smaller: Weights, network: nn.Module) -> Weights:
    """``smaller`` with anchors for its last level, which had no children to place.

    They start as copies of its Gaussians, so that the new level's Gaussians gather around those.
    """
    tensors = dict(smaller)
    for name, target in network.state_dict().items():
        rows = tensors.get(name)
        if rows is not None and HEAD.fullmatch(name) and len(target) == 2 * len(rows):
            tensors[name] = torch.cat([rows, rows])
    return tensors


def _from_the_last_block(smaller: Weights, network: nn.Module) -> Weights:
    """``smaller`` with its blocks numbered so that the last one, at the lowest resolution, stays the last."""
    shift = _block_count(network.state_dict()) - _block_count(smaller)
    tensors = {}
    for name, value in smaller.items():
        block = BLOCK.fullmatch(name)
        tensors[f"{block[1] or ''}blocks.{int(block[2]) + shift}.{block[3]}" if block else name] = value
    return tensors


def _block_count(weights: Weights) -> int:
    return len({block[2] for block in map(BLOCK.fullmatch, weights) if block})


@torch.no_grad()
def _copy(network: nn.Module, tensors: Weights) -> list[str]:
    """Copy the tensors that ``network`` has by the same name and shape; returns the names of the others."""
    own = network.state_dict()
    homeless = []
    for name, value in tensors.items():
        if name in own and own[name].shape == value.shape:
            own[name].copy_(value)
        else:
            homeless.append(name)
    return homeless
