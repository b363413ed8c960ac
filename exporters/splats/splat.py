"""The .splat of antimatter15's viewer: 32 bytes for each Gaussian, the most important first; no header, no harmonics.

A row holds the position (3 float32), the standard deviations (3 float32, linear), RGBA (4 bytes) and the quaternion
wxyz (4 bytes, each 128 times the component plus 128). The frame is that of the .ply, unless ``frame`` names another.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hgs_toolkit.conventions import MAX_OPACITY_LOGIT
from hgs_toolkit.exporters.limits import BLOCK
from hgs_toolkit.exporters.options import ExportOptions
from hgs_toolkit.exporters.splats.reading import Reading, parse_errors_name, reading_of
from hgs_toolkit.exporters.splats.stored import StoredSplats, clamped, opacity_bytes, splats_of, with_finite_sizes
from hgs_toolkit.parsing.splat import ROW, STEPS, count_rows, parse_rows
from hgs_toolkit.parsing.stored import SH_C0

if TYPE_CHECKING:
    from hgs_toolkit.gaussians import GaussianHierarchy

FRAME, SUFFIX = "rdf", ".splat"


def write_splat(path: Path, scene: GaussianHierarchy | StoredSplats, options: ExportOptions) -> None:
    """Write one scene, sorted by volume times opacity; values beyond the format's range are counted in the log."""
    splats = splats_of(scene, options.frame or FRAME)
    # Viewers draw what has arrived so far, so the large and opaque ones come first.
    importance = splats.log_scales.sum(axis=1) - np.logaddexp(0, -splats.logits)
    splats = splats.take(np.argsort(-importance, kind="stable"))
    colours = clamped(0.5 + np.float32(SH_C0) * splats.sh[:, 0], 0, 1, "colours", SUFFIX)
    rows = np.empty(len(splats), ROW)
    rows["means"] = splats.means
    rows["scales"] = np.exp(with_finite_sizes(splats.log_scales, SUFFIX))
    rows["rgba"][:, :3] = np.round(colours * 255)
    rows["rgba"][:, 3] = opacity_bytes(splats.logits)
    rows["quats"] = np.round(splats.quats * STEPS + STEPS).clip(0, 255)
    rows.tofile(path)


def read_splat(path: Path) -> Reading:
    """Read one scene.

    Raises:
        FormatError: if the size is no multiple of a row, or a standard deviation is negative.
    """
    with parse_errors_name(path):
        splats = StoredSplats.empty(count_rows(path.stat().st_size))
        with open(path, "rb") as file:
            for _, block in splats.blocks():
                for part, values in zip(block.parts, parse_rows(np.fromfile(file, ROW, BLOCK)), strict=True):
                    part[:] = values
    # Opacities of 0 and 1 have infinite logits in the file.
    np.clip(splats.logits, -MAX_OPACITY_LOGIT, MAX_OPACITY_LOGIT, out=splats.logits)
    return reading_of(path, splats, FRAME)
