"""The generator written down as its equations read, for comparison: no step is fused, split, shared or cut in pieces.

Every edge gets its own feature [x_i ; x_j − x_i] and both layers, every parameter of every set its own head, every
child a copy of its parent. It works on the weights of a :class:`Generator` and gives the same Gaussians.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from hgs_toolkit.encoding import normalize_quats
from hgs_toolkit.model.attention import TransformerBlock
from hgs_toolkit.model.background import SCALES, BackgroundGenerator, ModulatedHeads, ModulatedLinear, ModulatedResidual
from hgs_toolkit.model.densify import ScaleBounds
from hgs_toolkit.model.edge_block import AdaptiveEdgeBlock, EdgeGather, LocalEdgeBlock
from hgs_toolkit.model.generator import FRONTAL_VIEW, Generator
from hgs_toolkit.model.heads import PARAMETER_SIZES, Heads
from hgs_toolkit.model.layers import MLP, NORM_EPS, AdaIN, EqualLinear
from hgs_toolkit.model.level import Level, StyledMLPBlock, SubpixelUpsampling


@dataclass
class Splats:
    """Stored parameters (B, N, ·)."""

    means: Tensor
    log_scales: Tensor
    quats: Tensor
    colors: Tensor
    opacity_logits: Tensor


def synthesize(generator: Generator, w: Tensor) -> Splats:
    """Gaussians of all levels and the background of styles (B, W), seen from the front; configuration: reference."""
    config = generator.config
    assert generator.view_embedding is not None
    view = linear(generator.view_embedding, torch.tensor([FRONTAL_VIEW]).expand(len(w), 3))
    x = generator.embedding.weight.expand(len(w), -1, -1)
    for block in generator.transformer:
        assert isinstance(block, TransformerBlock)
        x = transformer_block(block, x, w)
    bounds = ScaleBounds.of_tree(config)
    initial = torch.tensor([1.0, 0, 0, 0, 0, 0, 0, config.initial_opacity_logit])
    anchors, gaussians = [], []
    for index, heads in enumerate(generator.heads):
        assert isinstance(heads, Heads)
        if index:
            x = level_block(generator.levels[index - 1], x, w)  # type: ignore[arg-type]
        raw = separate_heads(heads, x, view)
        if index == 0:
            anchors.append(root_anchors(raw[0], bounds, initial))
            gaussians.append(root_gaussians(raw[1], anchors[0], bounds, initial))
        else:
            parents = repeat(anchors[-1], config.children)
            gaussians.append(child(raw[-1], parents, bounds))
            if len(raw) == 2:
                anchors.append(child(raw[0], parents, bounds))
    parts = [Splats(g.means.clamp(-1, 1), g.log_scales, g.quats, g.colors, g.opacity_logits) for g in gaussians]
    if generator.background is not None:
        parts += background(generator.background, w, initial)
    return Splats(*(torch.cat([getattr(p, name) for p in parts], 1) for name in Splats.__dataclass_fields__))


def linear(layer: EqualLinear, x: Tensor) -> Tensor:
    scale = layer.weight_gain / (math.sqrt(2.0) if layer.activation else 1.0)
    assert layer.bias is not None
    y = functional.linear(x, layer.weight * scale, layer.bias)
    return functional.leaky_relu(y, 0.2) * math.sqrt(2.0) if layer.activation else y


def adain(norm: AdaIN, x: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
    weight, bias = norm.style.effective()
    assert bias is not None
    styles = [functional.linear(w, *part)[:, None] for part in zip(weight.chunk(3), bias.chunk(3), strict=True)]
    normalised = (x - x.mean(1, keepdim=True)) / (x.std(1, keepdim=True, correction=0) + NORM_EPS)
    return normalised * styles[0] + styles[1], styles[2]


def mlp(module: MLP, x: Tensor) -> Tensor:
    return linear(module.project, functional.gelu(linear(module.expand, x)))


def transformer_block(block: TransformerBlock, x: Tensor, w: Tensor) -> Tensor:
    y, scale = adain(block.attention_norm, x, w)
    qkv = linear(block.attention.qkv, y)
    query, key, value = qkv.view(*x.shape[:2], block.attention.heads, -1).transpose(1, 2).chunk(3, dim=-1)
    weight = (query @ key.mT / math.sqrt(query.shape[-1])).softmax(-1)
    x = x + linear(block.attention.project, (weight @ value).transpose(1, 2).flatten(2)) * scale
    y, scale = adain(block.mlp_norm, x, w)
    return x + mlp(block.mlp, y) * scale


def level_block(level: Level, x: Tensor, w: Tensor) -> Tensor:
    x = upsample(level.upsampling, edge_block(level.edge_block, x, w))  # type: ignore[arg-type]
    if isinstance(level.mlp_block, StyledMLPBlock):
        y, scale = adain(level.mlp_block.norm, x, w)
        return x + mlp(level.mlp_block.mlp, y) * scale
    return x + mlp(level.mlp_block.mlp, x) * level.mlp_block.layer_scale


def edge_block(block: AdaptiveEdgeBlock | LocalEdgeBlock, x: Tensor, w: Tensor) -> Tensor:
    if isinstance(block, AdaptiveEdgeBlock):
        y, scale = adain(block.norm, x, w)
        index = torch.cdist(y, y).topk(block.neighbors + 1, largest=False).indices[..., 1:]  # (B, N, k)
    else:
        y, scale = x, block.layer_scale
        siblings = torch.arange(x.shape[1]).view(-1, block.branching).repeat_interleave(block.branching, 0)
        index = siblings.expand(len(x), -1, -1)
    neighbors = torch.stack([scene[i] for scene, i in zip(y, index, strict=True)])  # (B, N, k, C)
    return x + over_edges(block.edges, y, neighbors) * scale


def over_edges(edges: EdgeGather, x: Tensor, neighbors: Tensor) -> Tensor:
    difference = neighbors - x[:, :, None]
    feature = torch.cat([x[:, :, None].expand_as(difference), difference], dim=-1)  # (B, N, k, 2C)
    weight = linear(edges.weight_out, linear(edges.weight_hidden, difference)).softmax(dim=2)
    return (weight * linear(edges.value_out, linear(edges.value_hidden, feature))).sum(2)


def upsample(up: SubpixelUpsampling, x: Tensor) -> Tensor:
    children = linear(up.subpixel, x).view(len(x), up.branching * x.shape[1], -1)
    skip = x if up.skip is None else linear(up.skip, x)
    return (skip.repeat_interleave(up.branching, 1) + children) / math.sqrt(2.0)


def separate_heads(heads: Heads, x: Tensor, view: Tensor) -> list[list[Tensor]]:
    """Raw mean, scale, rotation, colour and opacity of each set."""
    assert heads.view_weight is not None
    sets = []
    for index, (weight, bias) in enumerate(
        zip(heads.weight.chunk(heads.sets), heads.bias.chunk(heads.sets), strict=True)
    ):
        outputs = []
        for kind, (w, b) in enumerate(zip(weight.split(PARAMETER_SIZES), bias.split(PARAMETER_SIZES), strict=True)):
            features = x
            if kind == 3 and index == heads.sets - 1:
                features = torch.cat([x, view[:, None].expand(-1, x.shape[1], -1)], dim=-1)
                w = torch.cat([w, heads.view_weight], dim=1)
            outputs.append(functional.linear(features, w / math.sqrt(features.shape[-1]), b))
        sets.append(outputs)
    return sets


def root_anchors(raw: list[Tensor], bounds: ScaleBounds, initial: Tensor) -> Splats:
    mean, scale, rotation, color, opacity = raw
    q, c, o = initial.split((4, 3, 1))
    return Splats(torch.tanh(0.1 * mean), bounds.ceiling(scale), q + rotation, c + color, o + opacity)


def root_gaussians(raw: list[Tensor], anchors: Splats, bounds: ScaleBounds, initial: Tensor) -> Splats:
    _, scale, rotation, color, opacity = raw
    q, c, o = initial.split((4, 3, 1))
    return Splats(place(raw[0], anchors), bounds.ceiling(scale), q + rotation, c + color, o + opacity)


def child(raw: list[Tensor], parents: Splats, bounds: ScaleBounds) -> Splats:
    mean, scale, rotation, color, opacity = raw
    own = parents.log_scales
    is_large = own.exp().amax(-1, keepdim=True) > math.exp(bounds.large)
    inherited = torch.where(is_large, (own - bounds.step).clamp(-100.0, 0.0), own)
    return Splats(
        place(mean, parents),
        (inherited - functional.softplus(-scale)).clamp(bounds.floor, 0.0),
        parents.quats + rotation,
        parents.colors + color,
        parents.opacity_logits + opacity,
    )


def place(raw_mean: Tensor, parents: Splats) -> Tensor:
    w, x, y, z = normalize_quats(parents.quats).unbind(-1)
    rotation = torch.stack(
        [
            1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
            2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
            2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
        ],
        dim=-1,
    ).view(*w.shape, 3, 3)  # fmt: skip
    offset = parents.log_scales.exp() * torch.tanh(raw_mean)
    return parents.means + (rotation @ offset.unsqueeze(-1)).squeeze(-1)


def repeat(splats: Splats, times: int) -> Splats:
    return Splats(*(value.repeat_interleave(times, 1) for value in vars(splats).values()))


def background(module: BackgroundGenerator, w: Tensor, initial: Tensor) -> list[Splats]:
    x = torch.sin(module.features(module.points)).expand(len(w), -1, -1)
    for layer in module.coarse:
        x = modulated_residual(layer, x, w)  # type: ignore[arg-type]
    raw = modulated_heads(module.coarse_heads, x, w)
    q, c, o = initial.split((4, 3, 1))
    centers = (module.radius * functional.normalize(module.points, dim=-1)).expand(len(w), -1, -1)
    coarse = Splats(centers, SCALES.ceiling(raw[1]), q + raw[2], c + raw[3], o + raw[4])
    children = modulated(module.upsampling, x, w).view(len(w), module.branching * x.shape[1], -1)
    x = (x.repeat_interleave(module.branching, 1) + children) / math.sqrt(2.0)
    for layer in module.fine:
        x = modulated_residual(layer, x, w)  # type: ignore[arg-type]
    fine = child(modulated_heads(module.fine_heads, x, w), repeat(coarse, module.branching), SCALES)
    fine.means = module.radius * functional.normalize(fine.means, dim=-1)
    return [coarse, fine]


def modulated_residual(block: ModulatedResidual, x: Tensor, w: Tensor) -> Tensor:
    return modulated(block.layer, x, w) * block.layer_scale + x


def modulated(layer: ModulatedLinear, x: Tensor, w: Tensor) -> Tensor:
    weight = layer.weight * linear(layer.affine, w)[:, None]
    weight = weight * (weight.square().sum(-1, keepdim=True) + 1e-8).rsqrt()
    y = functional.leaky_relu(x @ weight.mT + layer.bias, 0.2) * math.sqrt(2.0)
    return y.clamp(-256.0, 256.0)


def modulated_heads(heads: ModulatedHeads, x: Tensor, w: Tensor) -> list[Tensor]:
    styles = linear(heads.affine, w).chunk(len(PARAMETER_SIZES), dim=-1)
    parts = zip(heads.weight.split(PARAMETER_SIZES), heads.bias.split(PARAMETER_SIZES), styles, strict=True)
    return [x @ (weight * style[:, None] / math.sqrt(x.shape[-1])).mT + bias for weight, bias, style in parts]
