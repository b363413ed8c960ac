"""Wider levels for a trained generator, which makes the same scenes afterwards.

New channels are drawn at random and read what the old ones hold, but nothing old reads them yet: their outgoing weights
are zero and learn (function-preserving growth, Net2Net, Chen et al. 2016, arXiv 1511.05641; zeros in place of its
copied units, so that no two channels are alike). Style is normalised per channel over the points, so that more
channels move no statistics.
"""

from __future__ import annotations

import copy
import math
from dataclasses import replace

import torch
from torch import Tensor, nn

from hgs_toolkit.config import Config
from hgs_toolkit.errors import CheckpointError
from hgs_toolkit.model.attention import SelfAttention
from hgs_toolkit.model.edge_block import AdaptiveEdgeBlock, EdgeGather
from hgs_toolkit.model.embedding import PointEmbedding
from hgs_toolkit.model.generator import Generator
from hgs_toolkit.model.heads import Heads
from hgs_toolkit.model.layers import AdaIN, EqualLinear
from hgs_toolkit.model.level import SubpixelUpsampling
from hgs_toolkit.training.networks import Networks, drawing_weights, load_into

Groups = tuple[int, int]
"""Number of equal parts that a layer's outputs and inputs consist of; each part is widened by itself."""


def widened(smaller: Networks, config: Config) -> Networks:
    """``smaller`` with the widths that ``config`` has at the levels of both, where those are larger.

    Widths that are smaller are left alone: :func:`~hgs_toolkit.training.stages.growing.grow` refuses them.

    Raises:
        CheckpointError: if two levels get one width that had different ones, and so lose the layer between them.
    """
    before = smaller.config.generator
    widths = tuple(max(pair) for pair in zip(before.channels, config.generator.channels, strict=False))
    if widths == before.channels[: len(widths)]:
        return smaller
    wide = replace(before, channels=widths + before.channels[len(widths) :])
    with drawing_weights(config.training.seed):
        drawn = Generator(wide)
        average = copy.deepcopy(drawn)  # drawn once for both, so that the average stays near what it averages
        old = Generator(before)
    for weights, new in ((smaller.generator, drawn), (smaller.ema, average)):
        load_into(old, weights, "generator")
        widen(old, new)
    return replace(
        smaller, config=replace(smaller.config, generator=wide), generator=drawn.state_dict(), ema=average.state_dict()
    )


@torch.no_grad()
def widen(old: Generator, new: Generator) -> None:
    """Give ``new``, drawn at random and wider at some levels, the weights of ``old``: it makes the same scenes.

    Raises:
        CheckpointError: if ``new`` lacks a layer of ``old``.
    """
    layers = dict(new.named_modules())
    groups = _groups(old)
    for name, layer in old.named_modules():
        counterpart = layers.get(name)
        if counterpart is None:
            raise CheckpointError(
                f"the layer {name} has no place in a wider network whose neighbouring levels are alike; expected "
                "different generator.channels for them, as before"
            )
        _widen_layer(layer, counterpart, groups.get(name, (1, 1)))
    for name, layer in old.named_modules():
        _settle(layer, layers[name])


def _groups(generator: Generator) -> dict[str, Groups]:
    """What consists of several parts, by the layer's name."""
    groups: dict[str, Groups] = {}
    for name, layer in generator.named_modules():
        if isinstance(layer, AdaIN):
            groups[f"{name}.style"] = (3, 1)  # scale, shift, layer scale
        elif isinstance(layer, SelfAttention):
            groups[f"{name}.qkv"] = (3 * layer.heads, 1)
            groups[f"{name}.project"] = (1, layer.heads)
        elif isinstance(layer, SubpixelUpsampling):
            groups[f"{name}.subpixel"] = (layer.branching, 1)
        elif isinstance(layer, EdgeGather):
            groups[f"{name}.value_hidden"] = (1, 2)  # the point and the difference
    return groups


def _widen_layer(old: nn.Module, new: nn.Module, groups: Groups) -> None:
    if isinstance(old, EqualLinear) and isinstance(new, EqualLinear):
        _place(old.weight * (old.weight_gain / new.weight_gain), new.weight, *groups)
        if old.bias is not None and new.bias is not None:
            _spread(old.bias, new.bias, groups[0])
    elif isinstance(old, Heads) and isinstance(new, Heads):
        _place(old.weight * (old.gain / new.gain), new.weight, 1, 1)
        new.bias.copy_(old.bias)
        if old.view_weight is not None and new.view_weight is not None:
            new.view_weight.copy_(old.view_weight * (old.view_gain / new.view_gain))
    elif isinstance(old, PointEmbedding) and isinstance(new, PointEmbedding):
        new.weight[:, : old.weight.shape[1]] = old.weight
    else:
        _copy_rest(old, new)


def _copy_rest(old: nn.Module, new: nn.Module) -> None:
    """What belongs to a module itself: layer scales, whose new channels stay at zero, and what no width changes."""
    own = {**dict(new.named_parameters(recurse=False)), **dict(new.named_buffers(recurse=False))}
    for name, value in (*old.named_parameters(recurse=False), *old.named_buffers(recurse=False)):
        own[name][tuple(slice(size) for size in value.shape)] = value


def _settle(old: nn.Module, new: nn.Module) -> None:
    """What is left between the parts, so that new channels change nothing."""
    if isinstance(old, SelfAttention) and isinstance(new, SelfAttention):
        _settle_attention(old, new)
    elif isinstance(old, SubpixelUpsampling) and isinstance(new, SubpixelUpsampling):
        if old.skip is None and new.skip is not None:  # it had one width before and after: what it skipped by itself
            width = old.subpixel.weight.shape[1]
            new.skip.weight[:width] = torch.eye(*new.skip.weight[:width].shape) / new.skip.weight_gain
            assert new.skip.bias is not None
            new.skip.bias[:width] = 0.0
    elif isinstance(old, AdaptiveEdgeBlock) and isinstance(new, AdaptiveEdgeBlock):
        _silence(old.norm, new.norm)


def _settle_attention(old: SelfAttention, new: SelfAttention) -> None:
    """Queries make up for the smaller factor of wider heads, and do not ask for the new half of the keys yet."""
    width, wide = (layer.qkv.weight.shape[0] // (3 * layer.heads) for layer in (old, new))
    assert new.qkv.bias is not None
    for values in (new.qkv.weight, new.qkv.bias):
        queries = values.view(new.heads, 3, wide, -1)[:, 0]
        queries[:, :width] *= math.sqrt(wide / width)
        queries[:, width:] = 0.0


def _silence(old: AdaIN, new: AdaIN) -> None:
    """New channels of a norm before a search of neighbours are zero: distances stay as they were."""
    width = old.style.weight.shape[0] // 3
    assert new.style.bias is not None
    for values in (new.style.weight, new.style.bias):
        values.view(3, -1, *values.shape[1:])[:2, width:] = 0.0


def _place(old: Tensor, new: Tensor, outputs: int, inputs: int) -> None:
    """Put a weight (out, in) into a larger one, part by part; old outputs do not read new inputs."""
    source = old.view(outputs, -1, inputs, old.shape[1] // inputs)
    target = new.view(outputs, -1, inputs, new.shape[1] // inputs)
    rows, columns = source.shape[1], source.shape[3]
    target[:, :rows, :, columns:] = 0.0
    target[:, :rows, :, :columns] = source


def _spread(old: Tensor, new: Tensor, groups: int) -> None:
    """Put a bias (out,) into a larger one, part by part."""
    new.view(groups, -1)[:, : len(old) // groups] = old.view(groups, -1)
