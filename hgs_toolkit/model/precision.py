"""The choice between float32 and bfloat16: bfloat16 pays only on hardware that multiplies it natively."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Literal

import torch

Precision = Literal["float32", "bfloat16", "auto"]


def autocast_dtype(precision: Precision, device: torch.device) -> torch.dtype | None:
    """The type to autocast to on ``device``; None for plain float32.

    ``bfloat16`` means bfloat16 on any device; ``auto`` means bfloat16 where :func:`multiplies_bfloat16`.
    """
    wanted = precision == "bfloat16" or (precision == "auto" and multiplies_bfloat16(device))
    return torch.bfloat16 if wanted else None


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether ``device`` has bfloat16 multipliers: a CUDA device from Ampere on, a CPU with AVX512-BF16 or AMX."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return device.type == "cpu" and _cpu_multiplies_bfloat16()


@cache
def _cpu_multiplies_bfloat16() -> bool:
    # torch's own probes are private and come and go between versions; Linux's flags are the fallback.
    probes = (getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
    return any(probe() for probe in probes if probe) or bool(cpu_flags() & {"avx512_bf16", "amx_bf16"})


def cpu_flags(path: Path = Path("/proc/cpuinfo")) -> frozenset[str]:
    """The CPU's feature flags as Linux lists them; empty on other systems."""
    try:
        lines = path.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return frozenset()
    return frozenset(next((line for line in lines if line.startswith("flags")), "").partition(":")[2].split())
