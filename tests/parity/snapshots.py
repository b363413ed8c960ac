"""Small look-alikes of the authors' snapshots as files, whole and damaged."""

from __future__ import annotations

import pickle
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hgs_toolkit.config import GeneratorConfig
from tests.parity import lookalike

SMALL = GeneratorConfig(
    resolution=16, z_dim=12, w_dim=16, points=32, channels=(16, 16, 8), level_blocks=("adaptive", "local"),
    transformer_blocks=2, background_points=6, background_channels=8,
)  # fmt: skip
STATES = {
    "G": lookalike.random_state(lookalike.generator_shapes(SMALL, table=8), 1),
    "G_ema": lookalike.random_state(lookalike.generator_shapes(SMALL, table=8), 2),
    "D": lookalike.random_state(lookalike.discriminator_shapes(16, channel_base=128, channel_max=16), 3),
}


def write(path: Path, make: Callable[[], Any], protocol: int = 4) -> Path:
    with lookalike.authors_modules():
        path.write_bytes(pickle.dumps(make(), protocol=protocol))
    return path


def small_snapshot() -> dict[str, Any]:
    return lookalike.snapshot(STATES["G"], STATES["G_ema"], STATES["D"])


def mutate(data: bytes, rng: random.Random) -> bytes:
    """One to four changed, cut, doubled or inserted stretches."""
    mutated = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at, length = rng.randrange(len(mutated)), rng.randint(1, 8)
        kind = rng.randrange(4)
        if kind == 0:
            mutated[at] = rng.randrange(256)
        elif kind == 1:
            del mutated[at : at + length]
        elif kind == 2:
            mutated[at:at] = mutated[at : at + length]
        else:
            mutated[at : at + length] = rng.randbytes(length)
    return bytes(mutated)
