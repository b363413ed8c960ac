# SPDX-License-Identifier: GPL-3.0-or-later
"""Cryptomatte 1.2 (Friedman and Jones 2015): which objects cover a pixel and how far, by numbers of their names.

A rank is a pair of an object's number and its share of the pixel; a pass holds two, the largest first.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np

from .splats import Array

MASK = 0xFFFFFFFF
RANKS_PER_PASS = 2


def name_hash(name: str) -> int:
    """MurmurHash3 of a name, 32 bits, seed 0 (Appleby 2011), without the exponents of infinite and denormal floats."""
    data = name.encode()
    value = 0
    for start in range(0, len(data) // 4 * 4, 4):
        value ^= _mixed(int.from_bytes(data[start : start + 4], "little"))
        value = (_turned(value, 13) * 5 + 0xE6546B64) & MASK
    value ^= _mixed(int.from_bytes(data[len(data) // 4 * 4 :], "little"))
    value ^= len(data)
    value = ((value ^ value >> 16) * 0x85EBCA6B) & MASK
    value = ((value ^ value >> 13) * 0xC2B2AE35) & MASK
    value ^= value >> 16
    return value ^ 1 << 23 if value >> 23 & 255 in (0, 255) else value


def _mixed(word: int) -> int:
    return (_turned((word * 0xCC9E2D51) & MASK, 15) * 0x1B873593) & MASK


def _turned(word: int, bits: int) -> int:
    return (word << bits | word >> 32 - bits) & MASK


def ranked(shares: Array, names: Sequence[str], passes: int) -> list[Array]:
    """``passes`` images (H, W, 4) of numbers and shares from the ``shares`` (H, W, K) of the objects ``names``."""
    ranks = RANKS_PER_PASS * passes
    numbers = np.array([name_hash(name) for name in names], np.uint32).view(np.float32)
    order = np.argsort(-shares, -1, kind="stable")[..., :ranks]
    share = np.take_along_axis(shares, order, -1)
    found = np.where(share > 0, numbers[order], np.float32(0))
    flat = np.zeros((*shares.shape[:2], ranks, 2), np.float32)
    flat[:, :, : order.shape[-1], 0], flat[:, :, : order.shape[-1], 1] = found, share
    return [flat[:, :, start : start + RANKS_PER_PASS].reshape(*shares.shape[:2], 4)
            for start in range(0, ranks, RANKS_PER_PASS)]  # fmt: skip


def metadata(layer: str, names: Sequence[str]) -> dict[str, str]:
    """Entries of a file's metadata by which programs find the passes of ``layer`` and the names in them."""
    key = f"cryptomatte/{name_hash(layer):08x}"[: len("cryptomatte/") + 7]
    manifest = {name: f"{name_hash(name):08x}" for name in names}
    return {
        f"{key}/name": layer, f"{key}/hash": "MurmurHash3_32", f"{key}/conversion": "uint32_to_float32",
        f"{key}/manifest": json.dumps(manifest),
    }  # fmt: skip
