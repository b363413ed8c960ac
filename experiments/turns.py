"""Scenes of a model from eight sides, below models of a folder of meshes from the same sides, as one picture.

python experiments/turns.py runs/vases vases turns.jpg [--seeds 0-5] [--real 3] [--match SEATS] [--psi 0.7] [--size 96]
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from hgs_toolkit.cameras import from_yaw_pitch
from hgs_toolkit.checkpoint import load_model
from hgs_toolkit.datasets.framing import compose_over
from hgs_toolkit.datasets.meshes.library import find_meshes
from hgs_toolkit.datasets.meshes.rendering import render_model
from hgs_toolkit.datasets.meshes.textured_mesh import load_textured_mesh
from hgs_toolkit.ranges import parse_seeds
from hgs_toolkit.rendering import render
from hgs_toolkit.sampling import sample_w, synthesize

SIDES, GREY = 8, 0.5

Pixels = npt.NDArray[np.uint8]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("meshes", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seeds", default="0-5")
    parser.add_argument("--real", type=int, default=3)
    parser.add_argument("--match", default="", help="regular expression for the titles of the real ones")
    parser.add_argument("--psi", type=float, default=0.7)
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--pitch", type=float, default=20.0, help="degrees")
    arguments = parser.parse_args()
    model, size = load_model(arguments.model), arguments.size
    yaw = torch.arange(SIDES) * (2 * math.pi / SIDES)
    pitch = torch.full((SIDES,), math.radians(arguments.pitch))
    cameras = from_yaw_pitch(yaw, pitch, model.config.poses.radius, model.config.focal)
    rows: list[Pixels] = []
    found = find_meshes(arguments.meshes, arguments.match)
    for mesh in found[:: max(1, len(found) // arguments.real)][: arguments.real]:
        shape = load_textured_mesh(mesh)
        views = [render_model(shape, label, size) for label in cameras.labels.numpy()]
        rows.append(np.concatenate([compose_over(view, (GREY,) * 3) for view in views], axis=1))
    rows.append(np.full((6, SIDES * size, 3), 255, np.uint8))
    for scene in synthesize(model, sample_w(model, parse_seeds(arguments.seeds), arguments.psi)):
        images, _ = render(scene, cameras.reshape(1, SIDES), size, size, background=(GREY,) * 3)
        rows.append(np.concatenate(list((255 * images[0].clamp(0, 1)).round().to(torch.uint8).numpy()), axis=1))
    Image.fromarray(np.concatenate(rows)).save(arguments.out, quality=85)


if __name__ == "__main__":
    main()
