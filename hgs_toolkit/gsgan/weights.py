"""The authors' parameter names (GSGAN) to ours: joined where we keep one fused tensor, baked where theirs are constant.

Their names are those of their generator's state dict: ``point_gen.``, ``point_gen_bg.``, ``mapping_network.``, and the
point sets ``_xyz`` and ``_xyz_bg``. Level l is called ``block_{4·2^l}``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from hgs_toolkit.config import GeneratorConfig
from hgs_toolkit.errors import CheckpointError
from hgs_toolkit.model.stylegan2_discriminator import reference_names

State = dict[str, Tensor]
KINDS = ("xyz", "scale", "rotation", "color", "opacity")
"""Their names of the parameter kinds, in the order of our raw rows."""

PREFIXES = ("point_gen.", "point_gen_bg.", "mapping_network.", "_xyz")
"""Where a generator's weights are; its other tensors (statistics of the dataset's labels) play no part in it."""

UNUSED = re.compile(
    r".*\.(resample_filter|scale_init|scale_threshold|rotation_init|color_init|opacity_init)"
    r"|point_gen\.camera_dep_affine\..*"
)
"""Constants that our networks compute themselves (see :mod:`hgs_toolkit.gsgan.constants`), and a layer that the authors
never call."""


@dataclass(frozen=True)
class _Rule:
    """Our tensor ``name`` is ``make`` of the authors' tensors ``sources``."""

    name: str
    sources: tuple[str, ...]
    make: Callable[[list[Tensor]], Tensor]


def discriminator_state(theirs: State, resolution: int) -> State:
    """The state dict of our :class:`StyleGAN2Discriminator` from the authors' names (without prefix).

    Raises:
        CheckpointError: if a tensor is missing or left over; the message names it.
    """
    names = reference_names(resolution)
    _require_all(names, theirs, "discriminator")
    _refuse_leftovers([name for name in theirs if name not in names and not UNUSED.fullmatch(name)], "discriminator")
    return {ours: theirs[name].float() for name, ours in names.items()}


def generator_state(theirs: State, config: GeneratorConfig) -> State:
    """The state dict of our :class:`Generator` for ``config`` from the authors' ``theirs``.

    Raises:
        CheckpointError: if a tensor is missing, left over, or cannot be combined; the message names it.
    """
    ours: State = {}
    seen: set[str] = set()
    for rule in _rules(config):
        seen.update(rule.sources)
        _require_all(rule.sources, theirs, "generator")
        try:
            ours[rule.name] = rule.make([theirs[name].float() for name in rule.sources]).clone()
        except (RuntimeError, IndexError) as error:
            raise CheckpointError(f"'{rule.sources[0]}' and its companions have shapes that do not fit") from error
    _refuse_leftovers([name for name in theirs if name not in seen and not _is_unused(name, config)], "generator")
    return ours


def _require_all(names: Iterable[str], state: State, network: str) -> None:
    for name in names:
        if name not in state:
            raise CheckpointError(f"the {network} lacks '{name}'; expected a GSGAN {network} of this layout")


def _refuse_leftovers(names: list[str], network: str) -> None:
    if names:
        raise CheckpointError(f"the {network} holds '{names[0]}' ({len(names)} such), which no known GSGAN one has")


def _is_unused(name: str, config: GeneratorConfig) -> bool:
    """Whether ``name`` is known and not needed; the last level's anchor heads exist but place nothing."""
    last_anchors = rf"point_gen\.out_layers\.\w+\.{block_name(config.levels - 1)}\.0\.(weight|bias)"
    return bool(not name.startswith(PREFIXES) or UNUSED.fullmatch(name) or re.fullmatch(last_anchors, name))


def block_name(level: int) -> str:
    """What the authors call level ``level`` in their names: by a resolution of long ago."""
    return f"block_{4 * 2**level}"


def _rules(config: GeneratorConfig) -> Iterator[_Rule]:
    yield from _mapping_rules(config)
    yield _Rule("embedding.weight", tuple(_EMBEDDING_SOURCES), _bake_embedding)
    for index in range(config.transformer_blocks):
        theirs, ours = f"point_gen.blocks.block_4.0.resblocks.{index}", f"transformer.{index}"
        yield from _adain(f"{ours}.attention_norm", f"{theirs}.ln_1", f"{theirs}.ls_1")
        yield from _linear(f"{ours}.attention.qkv", f"{theirs}.attn.c_qkv")
        yield from _linear(f"{ours}.attention.project", f"{theirs}.attn.c_proj")
        yield from _adain(f"{ours}.mlp_norm", f"{theirs}.ln_2", f"{theirs}.ls_2")
        yield from _mlp(f"{ours}.mlp", f"{theirs}.mlp")
    for level in range(1, config.levels):
        yield from _level_rules(config, level)
    for level in range(config.levels):
        yield from _head_rules(config, level)
    if config.view_dependent_color:
        yield from _linear("view_embedding", "point_gen.encoder_camera_cond")
    if config.background == "generator":
        yield from _background_rules()


def _mapping_rules(config: GeneratorConfig) -> Iterator[_Rule]:
    yield _copy("mapping.w_avg", "mapping_network.w_avg")
    if config.pose_conditioned:
        yield from _linear("mapping.embed", "mapping_network.embed")
    for index in range(config.mapping_layers):
        yield from _linear(f"mapping.layers.{index}", f"mapping_network.fc{index}")


def _level_rules(config: GeneratorConfig, level: int) -> Iterator[_Rule]:
    theirs, ours = f"point_gen.blocks.{block_name(level)}", f"levels.{level - 1}"
    for ours_net, theirs_net in (("weight", "conv_w"), ("value", "conv_x")):
        for ours_part, theirs_part in (("hidden", 0), ("out", 1)):
            yield from _linear(
                f"{ours}.edge_block.edges.{ours_net}_{ours_part}", f"{theirs}.0.{theirs_net}.{theirs_part}"
            )
    yield from _linear(f"{ours}.upsampling.subpixel", f"{theirs}.1.subpixel")
    if config.channels[level - 1] != config.channels[level]:
        yield from _linear(f"{ours}.upsampling.skip", f"{theirs}.1.res_fc")
    yield from _mlp(f"{ours}.mlp_block.mlp", f"{theirs}.2.mlp")
    if config.level_blocks[level - 1] == "adaptive":
        yield from _adain(f"{ours}.edge_block.norm", f"{theirs}.0.norm", f"{theirs}.0.ls")
        yield from _adain(f"{ours}.mlp_block.norm", f"{theirs}.2.norm", f"{theirs}.2.ls")
    else:
        yield _copy(f"{ours}.edge_block.layer_scale", f"{theirs}.0.ls")
        yield _copy(f"{ours}.mlp_block.layer_scale", f"{theirs}.2.ls")


def _head_rules(config: GeneratorConfig, level: int) -> Iterator[_Rule]:
    sets = (0, 1) if level < config.levels - 1 else (1,)
    heads = [f"point_gen.out_layers.{kind}.{block_name(level)}.{s}" for s in sets for kind in KINDS]
    channels = config.channels[level]
    yield _Rule(
        f"heads.{level}.weight",
        tuple(f"{head}.weight" for head in heads),
        lambda parts: torch.cat([part[:, :channels] for part in parts]),
    )
    yield _join(f"heads.{level}.bias", *(f"{head}.bias" for head in heads))
    if config.view_dependent_color:
        color = f"point_gen.out_layers.color.{block_name(level)}.1.weight"
        yield _Rule(f"heads.{level}.view_weight", (color,), lambda parts: parts[0][:, channels:])


def _background_rules() -> Iterator[_Rule]:
    theirs, ours = "point_gen_bg", "background"
    yield _copy(f"{ours}.points", "_xyz_bg")
    yield from _linear(f"{ours}.features", f"{theirs}.conv_in.ffm.linear")
    residuals = {"coarse.0": "block_0.0", "coarse.1": "block_0.1", "fine.0": "block_1.1", "fine.1": "block_1.2"}
    for our_name, their_name in residuals.items():
        yield from _modulated(f"{ours}.{our_name}.layer", f"{theirs}.network.{their_name}")
        yield _Rule(
            f"{ours}.{our_name}.layer_scale",
            (f"{theirs}.network.{their_name}.layerscale",),
            lambda parts: parts[0].flatten(),
        )
    yield from _modulated(f"{ours}.upsampling", f"{theirs}.network.block_1.0.subpixel")
    for our_name, their_name in (("coarse_heads", "block_0"), ("fine_heads", "block_1")):
        heads = [f"{theirs}.out_layers.{their_name}.{kind}.out_block" for kind in KINDS]
        for part in ("weight", "bias", "affine.weight", "affine.bias"):
            yield _join(f"{ours}.{our_name}.{part}", *(f"{head}.{part}" for head in heads))


def _copy(ours: str, theirs: str) -> _Rule:
    return _Rule(ours, (theirs,), lambda parts: parts[0])


def _join(ours: str, *theirs: str) -> _Rule:
    return _Rule(ours, theirs, torch.cat)


def _linear(ours: str, theirs: str) -> Iterator[_Rule]:
    """A linear layer; a 1x1 convolution loses its two spatial dimensions."""
    yield _Rule(f"{ours}.weight", (f"{theirs}.weight",), lambda parts: parts[0].flatten(1))
    yield _copy(f"{ours}.bias", f"{theirs}.bias")


def _modulated(ours: str, theirs: str) -> Iterator[_Rule]:
    yield from _linear(ours, theirs)
    yield from _linear(f"{ours}.affine", f"{theirs}.affine")


def _mlp(ours: str, theirs: str) -> Iterator[_Rule]:
    yield from _linear(f"{ours}.expand", f"{theirs}.c_fc")
    yield from _linear(f"{ours}.project", f"{theirs}.c_proj")


def _adain(ours: str, norm: str, layer_scale: str) -> Iterator[_Rule]:
    """γ, β and the layer scale are one layer of ours."""
    for part in ("weight", "bias"):
        yield _join(f"{ours}.style.{part}", f"{norm}.gamma.{part}", f"{norm}.beta.{part}", f"{layer_scale}.{part}")


_EMBEDDING_SOURCES = (
    "_xyz",
    "point_gen.conv_in.learnable_pe.ffm.linear.weight",
    "point_gen.conv_in.learnable_pe.ffm.linear.bias",
    "point_gen.conv_in.const_pe.const_pe",
)


def _bake_embedding(parts: list[Tensor]) -> Tensor:
    """Their input features (N_0, C) of the learned points: sines, then a table per axis.

    The table is sampled with its two coordinates swapped: along its long side always in the middle, between the two
    central entries, and along its short side (one entry) at the point's coordinate, so that it fades linearly into
    zero padding as 1 − |p|/2.
    """
    points, frequency, phase, table = parts
    position = torch.tanh(points)  # (N, 3)
    middle = table.shape[-1] // 2
    entry = table[:, :, 0, middle - 1 : middle + 1].mean(-1)  # (3, C/2)
    from_table = (1.0 - position.abs() / 2.0) @ entry / math.sqrt(3.0)
    return torch.cat([torch.sin(position @ frequency.mT + phase), from_table], dim=1)
