"""The README's picture: seeds, one of them from its sides as splats and as its solid mesh, and its levels.

    python tools/plot_overview.py [OUT.jpg] [--model MODEL] [--seed 5] [--turn TURN.gif]

A model whose cameras went all the way round is turned all the way round, another one as far as it was seen. ``--turn``
also writes a film of a turn, the splats above their mesh.
"""

from __future__ import annotations

import argparse
import math
import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

import hgs_toolkit as hgs
from hgs_toolkit.cameras import Cameras
from hgs_toolkit.gaussians import GaussianHierarchy
from hgs_toolkit.imaging.images import Bytes, grid, save_video, to_uint8
from hgs_toolkit.model.generator import Generator
from hgs_toolkit.rendering import render

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a script: its neighbour is found as tools.…
from tools.picture_meshes import draw

COLUMNS, SIZE, PSI = 8, 192, 0.7
"""Pictures a row, their size in pixels, truncation."""

QUALITY = 90
FRAMES, FPS = 48, 12
WHITE = (1.0, 1.0, 1.0)


@dataclass(frozen=True)
class Sitting:
    """A model, and how far its subjects may be turned."""

    model: Generator

    def cameras(self, count: int, *, closed: bool = False) -> Cameras:
        """``count`` cameras at the middle pitch of training, around the subject or across what was seen of it.

        Args:
            closed: for a film: where a subject is not turned all the way round, there and back.
        """
        steps = torch.arange(count) / count
        if self.model.config.poses.goes_round:
            yaw = 2 * math.pi * steps
        else:
            reach = self.model.config.poses.yaw_limit
            yaw = reach * (torch.sin(2 * math.pi * steps) if closed else torch.linspace(-1, 1, count))
        return self._at(yaw)

    @property
    def front(self) -> Cameras:
        """One camera, a little to the side of the middle."""
        return self._at(torch.tensor([0.35 if self.model.config.poses.goes_round else 0.0]))

    def _at(self, yaw: Tensor) -> Cameras:
        poses = self.model.config.poses
        return hgs.from_yaw_pitch(yaw, torch.full_like(yaw, poses.pitch_mean), poses.radius, self.model.config.focal)


def splats(scene: GaussianHierarchy, cameras: Cameras, scale: float = 1.0) -> Tensor:
    """(pictures, SIZE, SIZE, 3): scenes (B, N) from one camera, or one scene from several."""
    images, _ = render(scene, cameras, SIZE, SIZE, background=WHITE, splat_scale=scale)
    return images.flatten(0, 1).clamp(0, 1)


def overview(sitting: Sitting, seed: int) -> Tensor:
    """All rows of the picture."""
    model, front = sitting.model, sitting.front
    one = hgs.sample(model, [seed], PSI)
    around = sitting.cameras(COLUMNS)
    solid = hgs.mesh(one[0])
    turned = [draw(solid, around[column : column + 1], SIZE, colored=True) for column in range(COLUMNS)]
    levels = range(one.num_levels)
    sums, alone = [one.levels(range(level + 1)) for level in levels], [one.levels(level) for level in levels]
    if len(sums) + len(alone) > COLUMNS:  # the whole is in the rows above, and level 0 alone is the first sum
        sums, alone = sums[:-1], alone[1:]
    taken = [splats(part, front) for part in sums + alone] + [splats(one, front, scale) for scale in (0.5, 0.25)]
    seeds = splats(hgs.sample(model, list(range(2 * COLUMNS)), PSI), front)
    return torch.cat([seeds, splats(one, around), torch.stack(turned), torch.cat(taken)[:COLUMNS]])


def film(sitting: Sitting, seed: int) -> list[Bytes]:
    """Frames (2 SIZE, SIZE, 3) of a turn: the splats above their solid mesh."""
    scene = hgs.sample(sitting.model, [seed], PSI)
    solid, cameras = hgs.mesh(scene[0]), sitting.cameras(FRAMES, closed=True)
    below = [draw(solid, cameras[frame : frame + 1], SIZE, colored=True) for frame in range(FRAMES)]
    return [to_uint8(torch.cat(pair)) for pair in zip(splats(scene, cameras), below, strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, nargs="?", default=Path("docs/images/overview.jpg"))
    parser.add_argument("--model", help="model file, run folder or name; by default the model that ships")
    parser.add_argument("--seed", type=int, default=5, help="of the subject that is turned and taken apart")
    parser.add_argument("--turn", type=Path, help="a .gif of a turn")
    options = parser.parse_args()
    sitting = Sitting(hgs.load_model(options.model, "cpu"))
    Image.fromarray(to_uint8(grid(overview(sitting, options.seed), COLUMNS))).save(options.out, quality=QUALITY)
    if options.turn:
        save_video(options.turn, film(sitting, options.seed), fps=FPS, force=True)


if __name__ == "__main__":
    main()
