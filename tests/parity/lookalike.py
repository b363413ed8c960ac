"""Files like the authors' snapshots, pickled by Python from stand-ins of their classes: same globals, same nesting."""

from __future__ import annotations

import math
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hgs_toolkit.config import GeneratorConfig
from hgs_toolkit.gsgan.weights import KINDS, block_name

Shapes = dict[str, tuple[int, ...]]
BUFFERS = {
    "scale_init", "scale_threshold", "rotation_init", "color_init", "opacity_init", "resample_filter", "w_avg",
}  # fmt: skip
CONSTANTS = BUFFERS - {"w_avg"}
VIEW = 32


def generator_shapes(config: GeneratorConfig, table: int = 512) -> Shapes:
    """Names and shapes of the authors' generator of ``config``; ``table`` is the length of its embedding table."""
    w, first = config.w_dim, config.channels[0]
    shapes = _constants("point_gen", ()) | {
        "_xyz": (config.points, 3),
        "point_gen.conv_in.learnable_pe.ffm.linear.weight": (first // 2, 3),
        "point_gen.conv_in.learnable_pe.ffm.linear.bias": (first // 2,),
        "point_gen.conv_in.const_pe.const_pe": (3, first // 2, 1, table),
        "mapping_network.w_avg": (w,),
    }
    shapes |= _linear("mapping_network.embed", w, 25) | _linear("mapping_network.fc0", w, config.z_dim + w)
    shapes |= _linear("mapping_network.fc1", w, w)
    for index in range(config.transformer_blocks):
        block = f"point_gen.blocks.block_4.0.resblocks.{index}"
        shapes |= _linear(f"{block}.attn.c_qkv", 3 * first, first) | _linear(f"{block}.attn.c_proj", first, first)
        shapes |= _mlp(f"{block}.mlp", first)
        for norm in ("ln_1.gamma", "ln_1.beta", "ln_2.gamma", "ln_2.beta", "ls_1", "ls_2"):
            shapes |= _linear(f"{block}.{norm}", first, w)
    for level in range(1, config.levels):
        shapes |= _level(config, level)
    for level, channels in enumerate(config.channels):
        for kind, size in zip(KINDS, (3, 3, 4, 3, 1), strict=True):
            head = f"point_gen.out_layers.{kind}.{block_name(level)}"
            shapes |= _linear(f"{head}.0", size, channels)
            shapes |= _linear(f"{head}.1", size, channels + (VIEW if kind == "color" else 0))
    shapes |= _linear("point_gen.encoder_camera_cond", VIEW, 3) | _linear("point_gen.camera_dep_affine", first, VIEW)
    return shapes | _background(config)


def discriminator_shapes(resolution: int, channel_base: int = 32768, channel_max: int = 512) -> Shapes:
    """Names and shapes of the authors' discriminator."""
    resolutions = [2**n for n in range(resolution.bit_length() - 1, 2, -1)]
    width = {r: min(channel_base // r, channel_max) for r in (*resolutions, 4)}
    shapes: Shapes = {}
    for name, r in [(f"b{r}", r) for r in resolutions] + [("b8_pose", 8)]:
        shapes[f"{name}.resample_filter"] = (4, 4)
        shapes |= _conv(f"{name}.conv0", width[r], width[r], 3) | _conv(f"{name}.conv1", width[r // 2], width[r], 3)
        shapes |= _conv(f"{name}.skip", width[r // 2], width[r], 1)
        del shapes[f"{name}.skip.bias"]
    shapes |= _conv(f"b{resolution}.fromrgb", width[resolution], 3, 1) | _conv("b4.conv", width[4], width[4] + 1, 3)
    shapes |= _linear("b4.fc", width[4], width[4] * 16) | _linear("b4.out", 1, width[4])
    for branch, size in (("feat", width[4] * 16), ("camera", 25)):
        shapes |= _linear(f"aux_branch_{branch}.0", 512, size) | _linear(f"aux_branch_{branch}.1", 64, 512)
    return shapes


def _level(config: GeneratorConfig, level: int) -> Shapes:
    block, (c_in, c_out), w = (
        f"point_gen.blocks.{block_name(level)}",
        config.channels[level - 1 : level + 1],
        config.w_dim,
    )
    shapes = _conv(f"{block}.0.conv_w.0", c_in // 2, c_in, 1) | _conv(f"{block}.0.conv_w.1", c_in, c_in // 2, 1)
    shapes |= _conv(f"{block}.0.conv_x.0", c_in, 2 * c_in, 1) | _conv(f"{block}.0.conv_x.1", c_in, c_in, 1)
    shapes |= _linear(f"{block}.1.subpixel", config.children * c_out, c_in) | _mlp(f"{block}.2.mlp", c_out)
    if c_in != c_out:
        shapes |= _linear(f"{block}.1.res_fc", c_out, c_in)
    for part, channels in (("0", c_in), ("2", c_out)):
        if config.level_blocks[level - 1] == "adaptive":
            for layer in ("norm.gamma", "norm.beta", "ls"):
                shapes |= _linear(f"{block}.{part}.{layer}", channels, w)
        else:
            shapes[f"{block}.{part}.ls"] = (channels,)
    return shapes


def _background(config: GeneratorConfig) -> Shapes:
    c, w = config.background_channels, config.w_dim
    shapes = _constants("point_gen_bg", (1,)) | {"_xyz_bg": (config.background_points, 3)}
    shapes |= _linear("point_gen_bg.conv_in.ffm.linear", c, 3)
    for name in ("block_0.0", "block_0.1", "block_1.1", "block_1.2"):
        layer = f"point_gen_bg.network.{name}"
        shapes |= _linear(layer, c, c) | _linear(f"{layer}.affine", c, w) | {f"{layer}.layerscale": (1, 1, c)}
    subpixel = "point_gen_bg.network.block_1.0.subpixel"
    shapes |= _linear(subpixel, config.children * c, c) | _linear(f"{subpixel}.affine", c, w)
    for name in ("block_0", "block_1"):
        for kind, size in zip(KINDS, (3, 3, 4, 3, 1), strict=True):
            head = f"point_gen_bg.out_layers.{name}.{kind}.out_block"
            shapes |= _linear(head, size, c) | _linear(f"{head}.affine", c, w)
    return shapes


def _constants(prefix: str, lead: tuple[int, ...]) -> Shapes:
    sizes = {"scale_init": 3, "scale_threshold": 3, "rotation_init": 4, "color_init": 3, "opacity_init": 1}
    return {f"{prefix}.{name}": (*lead, size) for name, size in sizes.items()}


def _linear(name: str, out_features: int, in_features: int) -> Shapes:
    return {f"{name}.weight": (out_features, in_features), f"{name}.bias": (out_features,)}


def _conv(name: str, c_out: int, c_in: int, size: int) -> Shapes:
    return {
        f"{name}.weight": (c_out, c_in, size, size), f"{name}.bias": (c_out,), f"{name}.resample_filter": (4, 4),
    }  # fmt: skip


def _mlp(name: str, channels: int) -> Shapes:
    return _linear(f"{name}.c_fc", 4 * channels, channels) | _linear(f"{name}.c_proj", channels, 4 * channels)


def random_state(shapes: Shapes, seed: int, resolution: int = 16) -> dict[str, Tensor]:
    """Random weights, and the constants that the authors' networks of that resolution have."""
    generator = torch.Generator().manual_seed(seed)
    state = {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    return state | {name: constant(name, shapes, resolution) for name in state if name.split(".")[-1] in CONSTANTS}


def constant(name: str, shapes: Shapes, resolution: int) -> Tensor:
    """A constant of the authors' networks, as docs/reference_model.md gives it."""
    last, background = name.split(".")[-1], "_bg." in name
    row = torch.tensor([1.0, 3.0, 3.0, 1.0])
    scale = -2.0 if background else -0.5 * math.log(shapes.get("_xyz", (1,))[0])
    values = {
        "scale_init": torch.tensor(scale), "scale_threshold": torch.tensor(0.05 if background else 1 / resolution),
        "rotation_init": torch.tensor([1.0, 0.0, 0.0, 0.0]), "color_init": torch.tensor(0.0),
        "opacity_init": torch.tensor(math.log(0.1 / 0.9)), "resample_filter": torch.outer(row, row) / 64,
    }  # fmt: skip
    return values[last].expand(shapes[name]).clone()


class Persistent(nn.Module):
    """Pickled as the authors' ``persistent_class`` objects are: source text, class name and state in one call."""

    source = "raise SystemExit('this text is stored, not run')"

    def __reduce__(self) -> tuple[Any, ...]:
        meta = {
            "type": "class", "version": 6, "module_src": self.source,
            "class_name": "StandIn", "state": dict(self.__dict__),
        }  # fmt: skip
        return sys.modules["torch_utils.persistence"]._reconstruct_persistent_obj, (meta,)


def network(state: dict[str, Tensor]) -> Persistent:
    """A tree of modules that holds ``state``: plain torch modules where the authors use them, else stand-ins."""
    root = Persistent()
    for name, value in state.items():
        *path, last = name.split(".")
        module: nn.Module = root
        for depth, part in enumerate(path):
            if part not in module._modules:
                below = path[depth + 1] if depth + 1 < len(path) else last
                module._modules[part] = _container(part, below)
            module = module._modules[part]  # type: ignore[assignment]
        if last in BUFFERS:
            module.register_buffer(last, value)
        else:
            module.register_parameter(last, nn.Parameter(value))
    return root


def _container(name: str, below: str) -> nn.Module:
    if name == "linear":
        return nn.Linear(1, 1)
    if below.isdecimal():
        return nn.Sequential() if name.startswith("block_") else nn.ModuleList()
    return nn.ModuleDict() if name in ("blocks", "out_layers", "network") else Persistent()


def snapshot(generator: dict[str, Tensor], ema: dict[str, Tensor], discriminator: dict[str, Tensor]) -> dict[str, Any]:
    """What the authors pickle; call and pickle it within :func:`authors_modules`."""
    networks = [network(state) for state in (generator, discriminator, ema)]
    for net in networks[::2]:
        net.register_buffer("dataset_label_std", torch.ones(25))
        net.renderer = sys.modules["training.gaussian3d_splatting.renderer"].Renderer()
        net.camera_cond_origin = torch.eye(4)
        net.some_number = np.float64(0.5)  # type: ignore[assignment]
        net.act = nn.GELU()
    options = sys.modules["dnnlib.util"].EasyDict(class_name="StandIn", path="faces.zip", max_size=np.int64(7))
    return {"training_set_kwargs": options, "G": networks[0], "D": networks[1], "G_ema": networks[2],
            "augment_pipe": None}  # fmt: skip


class _EasyDict(dict[str, Any]):
    pass


class _Renderer:
    """Holds functions, as theirs does."""

    def __init__(self) -> None:
        self.functions = [torch.exp, torch.sigmoid, torch.log, nn.functional.normalize]
        self.own = [_as(build_covariance), _as(inverse_sigmoid)]


def build_covariance() -> None: ...


def inverse_sigmoid() -> None: ...


def reconstruct() -> None: ...


def _as(function: Any) -> Any:
    return getattr(sys.modules["training.gaussian3d_splatting.renderer"], _RENAMED.get(function, function.__name__))


_RENAMED = {build_covariance: "build_covariance_from_scaling_rotation"}


@contextmanager
def authors_modules() -> Iterator[None]:
    """Their module names stand for our stand-ins, so that pickle writes their globals."""
    contents: dict[str, dict[str, Any]] = {
        "torch_utils": {}, "dnnlib": {}, "training": {}, "training.gaussian3d_splatting": {},
        "torch_utils.persistence": {"_reconstruct_persistent_obj": reconstruct},
        "dnnlib.util": {"EasyDict": _EasyDict},
        "training.gaussian3d_splatting.renderer": {
            "Renderer": _Renderer, "build_covariance_from_scaling_rotation": build_covariance,
            "inverse_sigmoid": inverse_sigmoid,
        },
    }  # fmt: skip
    before = {name: sys.modules.get(name) for name in contents}
    for name, members in contents.items():
        module = types.ModuleType(name)
        for member, value in members.items():
            value.__module__, value.__qualname__, value.__name__ = name, member, member
            setattr(module, member, value)
        sys.modules[name] = module
    try:
        yield
    finally:
        for name, module_before in before.items():
            if module_before is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module_before
