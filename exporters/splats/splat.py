"""The .splat of antimatter15's viewer: 32 bytes for each Gaussian, the most important first; no header, no harmonics.

A row holds the position (3 float32), the standard deviations (3 float32, linear), RGBA (4 bytes) and the quaternion
wxyz (4 bytes, each 128 times the component plus 128). The frame is that of the .ply, unless ``frame`` names another.
"""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from hgs_toolkit.encoding import SH_C0
from hgs_toolkit.errors import FormatError
from hgs_toolkit.exporters.limits import BLOCK
from hgs_toolkit.exporters.options import ExportOptions
from hgs_toolkit.exporters.splats.reading import Reading, reading_of
from hgs_toolkit.exporters.splats.stored import (
    Floats,
    StoredSplats,
    logits_of_bytes,
    opacity_bytes,
    splats_of,
)
from hgs_toolkit.gaussians import GaussianHierarchy

logger = logging.getLogger(__name__)

FRAME = "rdf"

ROW = np.dtype([("means", "<f4", 3), ("scales", "<f4", 3), ("rgba", "u1", 4), ("quats", "u1", 4)])

STEPS = 128
"""Steps of a byte from 0 to 1 of a quaternion's component."""


def write_splat(path: Path, scene: GaussianHierarchy, options: ExportOptions) -> None:
    """Write one scene, sorted by volume times opacity; colours beyond 0..1 are clamped and counted in the log."""
    splats = splats_of(scene, options.frame or FRAME)
    # Viewers draw what has arrived so far, so the large and opaque ones come first.
    importance = splats.log_scales.sum(axis=1) - np.logaddexp(0, -splats.logits)
    splats = splats.take(np.argsort(-importance, kind="stable"))
    colours = 0.5 + SH_C0 * splats.sh[:, 0]
    if beyond := int(((colours < 0) | (colours > 1)).sum()):
        logger.warning("%d of %d colours lie beyond the range of .splat files and were clamped", beyond, colours.size)
    rows = np.empty(len(splats), ROW)
    rows["means"] = splats.means
    rows["scales"] = np.exp(splats.log_scales)
    rows["rgba"][:, :3] = np.round(colours * 255).clip(0, 255)
    rows["rgba"][:, 3] = opacity_bytes(splats.logits)
    rows["quats"] = np.round(splats.quats * STEPS + STEPS).clip(0, 255)
    rows.tofile(path)


def read_splat(path: Path) -> Reading:
    """Read one scene.

    Raises:
        FormatError: if the size is no multiple of a row, or a standard deviation is negative.
    """
    size = path.stat().st_size
    if size % ROW.itemsize:
        raise FormatError(
            f"{path} has {size} bytes; expected a multiple of {ROW.itemsize}, it is truncated or no .splat"
        )
    splats = StoredSplats.empty(size // ROW.itemsize)
    with open(path, "rb") as file:
        for block in splats.blocks():
            _unpack(path, np.fromfile(file, ROW, BLOCK), block[1])
    return reading_of(path, splats, FRAME)


def _unpack(path: Path, rows: np.ndarray[tuple[int], np.dtype[np.void]], block: StoredSplats) -> None:
    """Fill ``block`` with the values of ``rows``, which are as many."""
    scales: Floats = rows["scales"]
    if bool((scales < 0).any()):
        raise FormatError(f"{path} has a negative standard deviation; it is broken or no .splat file")
    block.means[:] = rows["means"]
    # Some programs write flat Gaussians with a size of 0; the smallest normal number has a finite logarithm.
    with np.errstate(invalid="ignore"):  # NaN is counted later
        block.log_scales[:] = np.log(np.maximum(scales, np.finfo(np.float32).tiny))
    block.sh[:, 0] = (rows["rgba"][:, :3] / np.float32(255) - np.float32(0.5)) / np.float32(SH_C0)
    block.logits[:] = logits_of_bytes(rows["rgba"][:, 3])
    block.quats[:] = rows["quats"] / np.float32(STEPS) - 1
