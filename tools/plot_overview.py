"""The README's picture, from the shipped model: seeds, one seed from its sides, its levels.

python tools/plot_overview.py [OUT.jpg]
"""

from __future__ import annotations

import sys

import torch
from PIL import Image

from hgs_toolkit.cameras import Cameras, from_yaw_pitch, frontal
from hgs_toolkit.checkpoint import load_model
from hgs_toolkit.gaussians import GaussianHierarchy
from hgs_toolkit.imaging.images import grid, to_uint8
from hgs_toolkit.rendering import render
from hgs_toolkit.sampling import sample

COLUMNS, SIZE, PSI = 8, 160, 0.9
"""Pictures a row, their size in pixels, truncation."""
TURNED = 3
QUALITY = 90
"""The seed that is turned and taken apart."""


def main() -> None:
    model = load_model()
    poses = model.config.poses
    front = frontal(poses.focal, poses.radius)
    yaw = torch.linspace(-0.9, 0.9, COLUMNS)
    around = from_yaw_pitch(yaw, torch.full_like(yaw, 0.08), poses.radius, poses.focal)

    def draw(scene: GaussianHierarchy, cameras: Cameras, scale: float = 1.0) -> torch.Tensor:
        return render(scene, cameras, SIZE, SIZE, background=(1.0, 1.0, 1.0), splat_scale=scale)[0][:, 0].clamp(0, 1)

    rows = [draw(sample(model, list(range(16)), PSI), front)]
    one = sample(model, [TURNED], PSI)
    rows.append(render(one, around, SIZE, SIZE, background=(1.0, 1.0, 1.0))[0][0].clamp(0, 1))
    levels = range(one.num_levels)
    parts = [one.levels(range(level + 1)) for level in levels] + [one.levels(level) for level in levels]
    taken = [draw(part, front) for part in parts] + [draw(one, front, scale) for scale in (0.5, 0.25)]
    rows.append(torch.cat(taken)[:COLUMNS])
    out = sys.argv[1] if len(sys.argv) > 1 else "docs/images/overview.jpg"
    Image.fromarray(to_uint8(grid(torch.cat(rows), COLUMNS))).save(out, quality=QUALITY)


if __name__ == "__main__":
    main()
