"""Choosing where to compute."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from hgs_toolkit.errors import ConfigError


def choose_device(name: str = "auto") -> torch.device:
    """The device ``auto`` (CUDA if it works, else the CPU), ``cpu`` or ``cuda``.

    Raises:
        ConfigError: for another name, or ``cuda`` where there is none.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise ConfigError(f"device '{name}' is unknown; expected auto, cpu or cuda")
    if name == "cuda" and not cuda_works():
        raise ConfigError("device cuda was asked for, but no working CUDA device is here; use --device cpu or auto")
    return torch.device("cuda" if name != "cpu" and cuda_works() else "cpu")


def device_of(network: nn.Module) -> torch.device:
    """Where the weights of ``network`` are."""
    weight: torch.Tensor = next(network.parameters())
    return weight.device


@contextmanager
def same_shapes(device: torch.device) -> Iterator[None]:
    """Within the block, cuDNN measures its algorithms once for each shape and keeps the fastest.

    Training sees few shapes again and again; where every call has another one, measuring costs more than it gains. On
    the CPU nothing changes.
    """
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = before or device.type == "cuda"
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before


def cuda_works() -> bool:
    """Whether a small computation on a CUDA device succeeds: a driver can be there and still not match."""
    if not torch.cuda.is_available():
        return False
    try:
        return bool((torch.ones(2, device="cuda").sum() == 2).item())
    except RuntimeError:
        return False
