"""The model as a file: a safetensors of the generator's weights with the whole configuration in its metadata.

The metadata's one entry, ``hgs_model``, is JSON: ``format_version``, ``config`` (every section of the run's
configuration) and ``facts`` (such as the kimg it was trained for). Nothing in the file is unpickled or executed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import save_file
from torch import Tensor

from hgs_toolkit.config import Config, GeneratorConfig
from hgs_toolkit.devices import choose_device
from hgs_toolkit.errors import CheckpointError, FormatError
from hgs_toolkit.files import atomic_path, read_safetensors, sha256
from hgs_toolkit.model.quantized_weights import LEAST_WEIGHTS, dequantize_weights, quantize_weights
from hgs_toolkit.model_files import FORMAT_VERSION, METADATA_KEY, find_model, read_header
from hgs_toolkit.settings_io import config_to_dict

if TYPE_CHECKING:
    from hgs_toolkit.model.generator import Generator

STORAGE_TYPES = (torch.float32, torch.float16, torch.int8)

OF_BITS = {8: torch.int8, 16: torch.float16}
"""The short ones, by the bits of a weight."""


def save_model(
    path: str | Path,
    generator: Generator,
    config: Config,
    facts: dict[str, str] | None = None,
    *,
    dtype: torch.dtype = torch.float32,
    force: bool = True,
) -> None:
    """Write the weights of ``generator`` and the whole ``config``, atomically; equal input gives equal bytes.

    Args:
        facts: short texts to keep with it, such as ``{"kimg": "400"}``.
        dtype: float32, float16 for half the size, or int8 for little more than a quarter
            (:mod:`hgs_toolkit.model.quantized_weights`); weights are float32 again when loaded.

    Raises:
        CheckpointError: if a weight does not fit ``dtype``, or that is another type.
        HgsError: if the file cannot be written, or exists and not ``force``.
    """
    save_weights(path, generator.state_dict(), config, facts, dtype=dtype, force=force)


def save_weights(
    path: str | Path,
    weights: Mapping[str, Tensor],
    config: Config,
    facts: dict[str, str] | None = None,
    *,
    key: str = METADATA_KEY,
    dtype: torch.dtype = torch.float32,
    least: int = LEAST_WEIGHTS,
    force: bool = True,
) -> None:
    """Write named ``weights`` with the whole ``config`` under ``key`` of the metadata; else as :func:`save_model`.

    As int8, tensors of fewer than ``least`` weights are float16.
    """
    if dtype not in STORAGE_TYPES:
        raise CheckpointError(f"weights cannot be stored as {dtype}; expected torch.float32, float16 or int8")
    if dtype == torch.int8:
        weights, dtype = quantize_weights(weights, least), torch.float16
    tensors = {name: _stored(name, value, dtype) for name, value in weights.items()}
    header = {"format_version": FORMAT_VERSION, "config": config_to_dict(config), "facts": facts or {}}
    with atomic_path(path, force=force) as temporary:
        save_file(tensors, temporary, metadata={key: json.dumps(header)})


def load_model(path: str | Path | None = None, device: str | torch.device = "auto") -> Generator:
    """The generator of a model file or run folder, in eval mode and without gradients.

    Args:
        path: a model.safetensors, a run folder that holds one, or None for the model that ships with the package.
        device: ``auto``, ``cpu``, ``cuda`` or a torch device.

    Returns:
        The generator; its ``config`` is the GeneratorConfig, its ``fingerprint`` the SHA-256 of the file.

    Raises:
        CheckpointError: if there is no such model, it is truncated, of another kind or of a newer version, or its
            tensors are not those of its configuration.
    """
    file = find_model(path)
    config = read_header(file).config
    tensors = read_weights(file)
    generator = _built(file, config.generator, tensors)
    generator.load_state_dict(tensors)
    generator.fingerprint = sha256(file)
    target = choose_device(device) if isinstance(device, str) else device
    return generator.to(target).eval().requires_grad_(False)


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, in float32 where they are stored shorter; CheckpointError if it is none."""
    try:
        stored = dequantize_weights(read_safetensors(path)[0])
        return {name: _widened(value) for name, value in stored.items()}
    except FormatError as error:
        raise CheckpointError(str(error)) from error
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error


def _stored(name: str, value: Tensor, dtype: torch.dtype) -> Tensor:
    value = value.detach().cpu()
    if not value.is_floating_point():
        return value.contiguous()
    stored = value.to(dtype).contiguous()
    if dtype == torch.float16 and not bool((stored.isfinite() | ~value.isfinite()).all()):
        raise CheckpointError(f"a weight of {name} exceeds what float16 can hold; store the model as float32")
    return stored


def _widened(value: Tensor) -> Tensor:
    return value.float() if value.dtype == torch.float16 else value


def _built(path: Path, config: GeneratorConfig, found: Mapping[str, Tensor]) -> Generator:
    """An untrained generator that has the tensors ``found`` in its file; CheckpointError if ``config`` asks for others.

    A broken configuration must not allocate what its file does not hold. Where it would, the tensors are compared as
    shapes alone, which is slow: torch imports its compiler for that.
    """
    from hgs_toolkit.model.bounded import build_within
    from hgs_toolkit.model.generator import Generator

    try:
        generator = build_within(lambda: Generator(config), sum(tensor.numel() for tensor in found.values()))
        _check_tensors(path, found, generator.state_dict())
        if generator.tree_level.is_meta:
            with torch.random.fork_rng(devices=[]):
                generator = Generator(config)
    except RuntimeError as error:
        raise CheckpointError(f"{path} carries a configuration that no network can have ({error})") from error
    return generator


def _check_tensors(path: Path, found: Mapping[str, Tensor], expected: dict[str, Tensor]) -> None:
    """Raise a CheckpointError that names missing, unexpected and misshapen tensors, if there are any."""
    common = found.keys() & expected.keys()
    faults = {
        "missing": sorted(expected.keys() - found.keys()),
        "unexpected": sorted(found.keys() - expected.keys()),
        "of another shape or type": sorted(name for name in common if _kind(found[name]) != _kind(expected[name])),
    }
    described = [f"{len(names)} {fault} ({', '.join(names[:3])})" for fault, names in faults.items() if names]
    if described:
        raise CheckpointError(f"{path} does not hold the tensors of its configuration: {'; '.join(described)}")


def _kind(value: Tensor) -> tuple[torch.Size, torch.dtype]:
    return value.shape, value.dtype
