"""Import of the GSGAN authors' checkpoints (network-snapshot pickles): weights only, nothing is executed.

Source: Hyun & Heo 2024 (arXiv 2406.02968), the layout of their public implementation's files.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from hgs_toolkit.config import Config, DiscriminatorConfig, GeneratorConfig, LevelBlock
from hgs_toolkit.errors import CheckpointError, ConfigError
from hgs_toolkit.gsgan.constants import check_constants, check_filters, opacity_logit
from hgs_toolkit.gsgan.pickle_reader import OnBytes, read_pickle
from hgs_toolkit.gsgan.pickle_values import Module
from hgs_toolkit.gsgan.weights import State, block_name, discriminator_state, generator_state
from hgs_toolkit.model.bounded import build_within
from hgs_toolkit.model.discriminator import make_discriminator
from hgs_toolkit.model.generator import Generator
from hgs_toolkit.pose_prior import PosePrior

logger = logging.getLogger(__name__)

RENDER_FOCAL = 2.507573
"""Focal length (image widths) that their models are trained with, whatever the labels say: 0.5 / tan(6.48), since 12.96
degrees were taken for radians."""

POSES = PosePrior(
    yaw_spread=math.radians(16.61), yaw_limit=math.pi,
    pitch_mean=math.radians(90.0 - 84.84), pitch_law="uniform",
    pitch_spread=math.radians(3 * 7.44), pitch_limit=math.radians(3 * 7.44),
    radius=2.7, focal=4.2647,
)  # fmt: skip
"""Prior of the cameras that their training draws (FFHQ), with the focal length of the labels."""

MAX_LEVELS = 8
MAX_GAUSSIANS = 1 << 24
NETWORKS = ("G", "D", "G_ema")


@dataclass(frozen=True)
class ImportedCheckpoint:
    """An authors' checkpoint in our terms.

    Attributes:
        config: inferred from the tensors' shapes; ``generator.render_focal`` and ``mirrored_x`` are set.
        generator_state: for ``Generator(config.generator).load_state_dict``; the training weights.
        ema_state: the same of their moving average, which is the one to sample from.
        discriminator_state: for ``make_discriminator(config.discriminator).load_state_dict``.
    """

    config: Config
    generator_state: State
    ema_state: State
    discriminator_state: State


def import_gsgan(path: str | Path, on_bytes: OnBytes | None = None) -> ImportedCheckpoint:
    """Read a GSGAN ``network-snapshot-*.pkl``.

    Args:
        on_bytes: called now and then with the bytes that are read and the file's size.

    Raises:
        CheckpointError: if the file cannot be read, is damaged, names anything but what such files need, or does not
            hold a generator, its average and a discriminator of a known layout.
    """
    path = Path(path)
    content = read_pickle(path, on_bytes)
    try:
        states = {name: _network_state(content, name) for name in NETWORKS}
        del content
        config = _infer_config(states["G_ema"], states["D"])
        for name in ("G", "G_ema"):
            check_constants(states[name], config.generator)
        check_filters(states["D"])
        imported = ImportedCheckpoint(
            config,
            generator_state(states["G"], config.generator),
            generator_state(states["G_ema"], config.generator),
            discriminator_state(states["D"], config.discriminator.resolution),
        )
        _check_shapes(imported)
    except (CheckpointError, ConfigError) as error:
        raise CheckpointError(f"{path}: {error}") from error
    logger.info("imported %s: %d levels at %d²", path, config.generator.levels, config.generator.resolution)
    return imported


def _network_state(content: Any, name: str) -> State:
    """Tensors of one network by their dotted names."""
    network = content.get(name) if isinstance(content, dict) else None
    if not isinstance(network, Module):
        raise CheckpointError(f"no network '{name}' in the file; expected a GSGAN snapshot with {', '.join(NETWORKS)}")
    state: State = {}
    seen: set[int] = set()
    waiting = [("", network)]
    while waiting:
        prefix, module = waiting.pop()
        if id(module) in seen:
            raise CheckpointError(f"the module '{prefix}' appears twice in {name}; expected a tree of modules")
        seen.add(id(module))
        for kind in ("_parameters", "_buffers"):
            state |= {prefix + key: _tensor(prefix + key, value) for key, value in _entries(module, kind)}
        for key, child in _entries(module, "_modules"):
            if not isinstance(child, Module):
                raise CheckpointError(f"'{prefix}{key}' of {name} is no module; the file was refused")
            waiting.append((f"{prefix}{key}.", child))
    return state


def _entries(module: Module, kind: str) -> list[tuple[str, Any]]:
    """The named members of a module that are not None."""
    members = module.state.get(kind, {})
    if not isinstance(members, dict) or not all(isinstance(key, str) for key in members):
        raise CheckpointError(f"the {kind} of a module {module.kind} are not a dictionary of names")
    return [(key, value) for key, value in members.items() if value is not None]


def _tensor(name: str, value: Any) -> Tensor:
    if not isinstance(value, Tensor):
        raise CheckpointError(f"'{name}' is a {type(value).__name__}; expected a tensor")
    return value


def _infer_config(generator: State, discriminator: State) -> Config:
    """The configuration whose networks have these tensors; counts that leave no trace in them are the reference's."""
    resolution = max(_numbers(r"b(\d+)\.conv0\.weight", discriminator), default=0)
    return Config(
        name="gsgan-import",
        description="Imported from a GSGAN checkpoint",
        generator=_infer_generator(generator, resolution),
        discriminator=_infer_discriminator(discriminator, resolution),
    )


def _infer_generator(state: State, resolution: int) -> GeneratorConfig:
    levels = _count(r"point_gen\.out_layers\.xyz\.(block_\d+)\.0\.weight", state)
    if not 2 <= levels <= MAX_LEVELS:
        raise CheckpointError(f"the generator has {levels} levels; expected 2 to {MAX_LEVELS}")
    names = [f"point_gen.out_layers.xyz.{block_name(level)}.0.weight" for level in range(levels)]
    channels = tuple(_size(state, name, 1) for name in names)
    blocks: list[LevelBlock] = [
        "adaptive" if f"point_gen.blocks.{block_name(level)}.0.norm.gamma.weight" in state else "local"
        for level in range(1, levels)
    ]
    first_layer, embed = "mapping_network.fc0.weight", "mapping_network.embed.weight"
    is_posed, has_background = embed in state, "_xyz_bg" in state
    reference = GeneratorConfig()
    return GeneratorConfig(
        resolution=resolution,
        z_dim=_size(state, first_layer, 1) - (_size(state, embed, 0) if is_posed else 0),
        w_dim=_size(state, first_layer, 0),
        mapping_layers=_count(r"mapping_network\.fc(\d+)\.weight", state),
        pose_conditioned=is_posed,
        view_dependent_color="point_gen.encoder_camera_cond.weight" in state,
        points=_size(state, "_xyz", 0),
        children=_size(state, f"point_gen.blocks.{block_name(1)}.1.subpixel.weight", 0) // channels[1],
        channels=channels,
        level_blocks=tuple(blocks),
        transformer_blocks=_count(r"point_gen\.blocks\.block_4\.0\.resblocks\.(\d+)\.attn\.c_qkv\.weight", state),
        background="generator" if has_background else "none",
        background_points=_size(state, "_xyz_bg", 0) if has_background else reference.background_points,
        background_channels=(
            _size(state, "point_gen_bg.conv_in.ffm.linear.weight", 0)
            if has_background
            else reference.background_channels
        ),
        render_focal=RENDER_FOCAL,
        mirrored_x=True,
        initial_opacity_logit=opacity_logit(state, reference.initial_opacity_logit),
        footprint=0.0,  # samples equal the reference's
        poses=POSES,
    )


def _infer_discriminator(state: State, resolution: int) -> DiscriminatorConfig:
    has_branch = "aux_branch_feat.1.weight" in state
    reference = DiscriminatorConfig()
    final_width = _size(state, "b4.conv.weight", 0)
    return DiscriminatorConfig(
        resolution=resolution,
        channel_base=_size(state, f"b{resolution}.fromrgb.weight", 0) * resolution,
        channel_max=final_width,
        pose="branch" if has_branch else "none",
        pose_dim=_size(state, "aux_branch_feat.1.weight", 0) if has_branch else reference.pose_dim,
        mbstd_group=reference.mbstd_group if _size(state, "b4.conv.weight", 1) > final_width else 0,
    )


def _check_shapes(imported: ImportedCheckpoint) -> None:
    """Compare the tensors with those of the networks of their configuration."""
    config = imported.config
    if config.generator.level_counts[-1] > MAX_GAUSSIANS:
        raise CheckpointError(
            f"the finest level has {config.generator.level_counts[-1]} Gaussians; the file is damaged"
        )
    generator = _expected(lambda: Generator(config.generator), imported.ema_state)
    _compare("G", imported.generator_state, generator)
    _compare("G_ema", imported.ema_state, generator)
    discriminator = _expected(lambda: make_discriminator(config.discriminator), imported.discriminator_state)
    _compare("D", imported.discriminator_state, discriminator)


def _expected(build: Callable[[], nn.Module], found: State) -> State:
    """The tensors of the network that ``build`` makes, of any values, within the size of ``found``."""
    return build_within(build, sum(tensor.numel() for tensor in found.values())).state_dict()


def _compare(network: str, found: State, expected: State) -> None:
    for name in sorted(found.keys() | expected.keys()):
        shapes = [tuple(state[name].shape) if name in state else "absent" for state in (found, expected)]
        if shapes[0] != shapes[1]:
            raise CheckpointError(f"in {network}, our '{name}' comes out as {shapes[0]}; expected {shapes[1]}")


def _size(state: State, name: str, dimension: int) -> int:
    """A positive size of a named matrix (or larger)."""
    if name not in state:
        raise CheckpointError(f"the checkpoint lacks '{name}'; expected a GSGAN snapshot")
    shape = tuple(state[name].shape)
    if len(shape) < 2 or 0 in shape:
        raise CheckpointError(f"'{name}' has the shape {shape}; expected a matrix")
    return shape[dimension]


def _numbers(pattern: str, state: State) -> list[int]:
    return [int(match[1][:9]) for match in (re.fullmatch(pattern, name) for name in state) if match]


def _count(pattern: str, state: State) -> int:
    """How many names match ``pattern``."""
    return sum(re.fullmatch(pattern, name) is not None for name in state)
