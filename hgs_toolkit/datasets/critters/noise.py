"""Smooth periodic noise in space: the grain of fur and the borders of its patches."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float32]

CELLS = 64
"""Side of the noise volume."""

WAVE = 6.0
"""Typical wavelength of the noise, cells."""


def noise(points: Values, frequency: float) -> Values:
    """Noise (n,) of zero mean and unit variance at ``points`` (n, 3), about ``frequency`` waves a unit of length.

    It repeats after ``CELLS / WAVE`` waves.
    """
    position = points * np.float32(frequency * WAVE)
    floor = np.floor(position)
    x, y, z = (position - floor).T
    ix, iy, iz = floor.T.astype(np.int32) % CELLS
    volume, total = _volume(), np.zeros(len(points), dtype=np.float32)
    iz_next = (iz + 1) % CELLS
    for dx, wx in ((0, 1 - x), (1, x)):
        for dy, wy in ((0, 1 - y), (1, y)):
            base = ((ix + dx) % CELLS * CELLS + (iy + dy) % CELLS) * CELLS
            low, high = volume.take(base + iz), volume.take(base + iz_next)
            total += wx * wy * (low + z * (high - low))
    return total


@lru_cache(maxsize=1)
def _volume() -> Values:
    """Band-limited Gaussian noise (CELLS^3,), flat; always the same."""
    white = np.random.Generator(np.random.Philox(key=0)).standard_normal((CELLS, CELLS, CELLS))
    waves = np.fft.fftfreq(CELLS)
    radius = np.sqrt(sum(axis**2 for axis in np.meshgrid(waves, waves, waves[: CELLS // 2 + 1], indexing="ij")))
    band = np.exp(-0.5 * ((radius * WAVE - 1) / 0.35) ** 2)
    band[0, 0, 0] = 0
    smooth = np.fft.irfftn(np.fft.rfftn(white) * band, s=white.shape, axes=(0, 1, 2))
    flat: Values = (smooth / smooth.std()).astype(np.float32).ravel()
    return flat
