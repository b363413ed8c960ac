"""Vases as meshes: a subject that no setting was tuned for, to try ``hgs train`` on a folder of models.

    python experiments/vases.py vases --count 60
    hgs train --data vases --out runs/vases --minutes 120

Every vase is a turned profile with a foot, a belly, a neck and a lip, a colour, bands of a second one, and perhaps a
handle; its file is a .ply with vertex colours.
"""

from __future__ import annotations

import argparse
import colorsys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import trimesh

ROWS, COLUMNS = 64, 48
"""Vertices along and around a vase."""


def profile(rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Radii (ROWS,) from the foot to the lip, the height being 2."""
    places = np.array([0, 0.08, 0.2, rng.uniform(0.3, 0.55), rng.uniform(0.65, 0.8), 0.92, 1])
    foot, belly, neck = rng.uniform(0.3, 0.6), rng.uniform(0.5, 0.95), rng.uniform(0.15, 0.5)
    radii = np.array([foot, foot * 0.95, rng.uniform(0.2, 1) * belly, belly, neck, neck, neck * rng.uniform(1, 1.7)])
    share = np.linspace(0, 1, ROWS)
    smooth = np.interp(share, places, radii)
    kernel = np.exp(-0.5 * (np.arange(-6, 7) / 2.5) ** 2)
    padded = np.pad(smooth, 6, mode="edge")
    rounded: npt.NDArray[np.float64] = np.convolve(padded, kernel / kernel.sum(), mode="valid")
    return rounded


def vase(seed: int) -> trimesh.Trimesh:
    """The vase of a seed, y up, with vertex colours."""
    rng = np.random.default_rng(seed)
    radii, angle = profile(rng), np.linspace(0, 2 * np.pi, COLUMNS, endpoint=False)
    height = np.linspace(-1, 1, ROWS)
    points = np.stack(
        [radii[:, None] * np.cos(angle), np.repeat(height[:, None], COLUMNS, 1), radii[:, None] * np.sin(angle)], -1
    ).reshape(-1, 3)
    row, column = np.meshgrid(np.arange(ROWS - 1), np.arange(COLUMNS), indexing="ij")
    after = (column + 1) % COLUMNS
    corners = [row * COLUMNS + column, (row + 1) * COLUMNS + column, (row + 1) * COLUMNS + after, row * COLUMNS + after]
    a, b, c, d = (corner.ravel() for corner in corners)
    hue, second = rng.uniform(0, 1, 2)
    colors = np.array([colorsys.hsv_to_rgb(h, s, v) for h, s, v in ((hue, 0.6, 0.8), (second, 0.8, 0.5))])
    bands = np.sin(np.linspace(0, 1, ROWS) * np.pi * rng.integers(2, 9) + rng.uniform(0, 6)) > rng.uniform(0, 0.8)
    vertex_colors = np.repeat(colors[bands.astype(int)], COLUMNS, axis=0)
    body = trimesh.Trimesh(
        points, np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)]), process=False,
        vertex_colors=(255 * vertex_colors).astype(np.uint8),
    )  # fmt: skip
    if rng.random() > 0.5:
        return body
    handle = trimesh.creation.torus(rng.uniform(0.3, 0.5), 0.07, major_sections=24, minor_sections=10)
    handle.apply_translation([radii[ROWS // 2] + 0.05, rng.uniform(-0.1, 0.3), 0])
    handle.visual = trimesh.visual.ColorVisuals(handle, vertex_colors=(255 * colors[0]).astype(np.uint8))
    both = trimesh.util.concatenate([body, handle])
    assert isinstance(both, trimesh.Trimesh)
    return both


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=60)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    (arguments.folder / "LICENSE").write_text("CC0-1.0: made by experiments/vases.py\n")
    for seed in range(arguments.count):
        vase(seed).export(arguments.folder / f"vase-{seed:03}.ply")


if __name__ == "__main__":
    main()
