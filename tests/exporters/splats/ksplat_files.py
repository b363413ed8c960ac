"""Files of .ksplat, which the toolkit only reads, written by hand after GaussianSplats3D's own layout."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from hgs_toolkit.encoding import SH_C0, sh_bases
from hgs_toolkit.exporters.splats.stored import opacity_bytes, splats_of
from hgs_toolkit.gaussians import GaussianHierarchy

BUCKET, SIDE, STEPS, BOUND = 50, 0.5, 32767, 1.5


def write_ksplat(path: Path, scene: GaussianHierarchy, level: int) -> None:
    """One section; neighbours along x share a bucket, of which the last one is partly filled."""
    splats = splats_of(scene, "rdf")
    degree, count = splats.sh_degree, len(splats)
    full, rest = divmod(count, BUCKET)
    number, harmonic = (("<f4", "<f4"), ("<f2", "<f2"), ("<f2", "u1"))[level]
    rows = np.zeros(count, [("means", "<f4" if level == 0 else "<u2", 3), ("scales", number, 3), ("quats", number, 4),
                            ("rgba", "u1", 4), ("sh", harmonic, 3 * (sh_bases(degree) - 1))])  # fmt: skip
    bucket = np.arange(count) // BUCKET
    centres = np.stack([splats.means[bucket == index].mean(axis=0) for index in range(bucket.max() + 1)])
    offset = splats.means - centres[bucket]
    assert np.abs(offset).max() < SIDE / 2 or level == 0
    rows["means"] = splats.means if level == 0 else np.round(offset / (SIDE / 2) * STEPS) + STEPS
    rows["scales"], rows["quats"] = np.exp(splats.log_scales), splats.quats
    rows["rgba"][:, :3] = np.round((0.5 + SH_C0 * splats.sh[:, 0]) * 255).clip(0, 255)
    rows["rgba"][:, 3] = opacity_bytes(splats.logits)
    bands = [splats.sh[:, sh_bases(l_ - 1) : sh_bases(l_)].transpose(0, 2, 1).reshape(count, -1)
             for l_ in range(1, degree + 1)]  # fmt: skip
    if bands:
        values = np.concatenate(bands, axis=1)
        rows["sh"] = np.round((values + BOUND) / (2 * BOUND) * 255).clip(0, 255) if level == 2 else values
    header = struct.pack("<BBxxIIIIHxx12xff", 0, 1, 1, 1, count, count, level, -BOUND, BOUND)
    section = struct.pack("<IIIIfHxxIIIIH", count, count, BUCKET, len(centres), SIDE, 12, STEPS, rows.nbytes, full,
                          bool(rest), degree)  # fmt: skip
    with open(path, "wb") as file:
        file.write(header.ljust(4096, b"\0") + section.ljust(1024, b"\0"))
        file.write(struct.pack("<I", rest) if rest else b"")
        centres.astype("<f4").tofile(file)
        rows.tofile(file)
