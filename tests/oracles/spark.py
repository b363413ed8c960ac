"""Pictures that Spark (npm) draws of splat files in headless Chromium, and how many Gaussians it drew."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hgs_toolkit.gaussians import GaussianHierarchy
from hgs_toolkit.imaging.camera_paths import SUBJECT_RADIUS, subject_bounds

CHROMIUM = shutil.which("chromium")

Node = Callable[..., str]
"""Runs a script of the node folder and gives what it printed."""


@dataclass(frozen=True)
class Stage:
    """What all pictures of a run have in common.

    Attributes:
        size: height and width, pixels.
        fov: the camera's angle of view, degrees.
        eye: where it is; it looks at the origin, and y is up.
        background: a colour, as in CSS.
        settle: frames for which a picture has to stay the same before it counts as done.
    """

    size: int
    fov: float
    eye: tuple[float, float, float]
    background: str = "#808080"
    settle: int = 5


def portrait(size: int, background: str) -> Stage:
    """As our own cameras frame a subject of our own size, seen a little from the side."""
    return Stage(size, fov=28, eye=(0.67, 0.13, 2.61), background=background)


def framed(scene: GaussianHierarchy) -> GaussianHierarchy:
    """A foreign scene, moved to where ours are and made as large."""
    center, radius = subject_bounds(scene, 0.95)
    scale = SUBJECT_RADIUS / radius
    return scene.replace(means=(scene.means - center) * scale, log_scales=scene.log_scales + scale.log())


@dataclass(frozen=True)
class View:
    """A file to draw.

    Attributes:
        file: a .ply or .rad in Spark's world, y up.
        budget: how many Gaussians may be drawn; None leaves Spark's own limit, which is millions.
        pixels: Spark's ``lodRenderScale``: the least size, in pixels, of nodes that it opens.
    """

    file: Path
    budget: int | None = None
    pixels: float = 1


@dataclass(frozen=True)
class Drawn:
    """How many Gaussians were drawn, and the picture (H, W, 3) of 0 to 255."""

    count: int
    picture: NDArray[np.float64]


def draw(node: Node, folder: Path, stage: Stage, views: Sequence[View]) -> list[Drawn]:
    """All ``views`` in one browser; pictures and the job are left in ``folder``."""
    outs = [folder / f"view{index}.png" for index in range(len(views))]
    listed = [asdict(view) | {"file": str(view.file), "out": str(out)} for view, out in zip(views, outs, strict=True)]
    (folder / "job.json").write_text(json.dumps(asdict(stage) | {"chromium": CHROMIUM, "views": listed}))
    counts = [result["drawn"] for result in json.loads(node("spark.mjs", folder / "job.json"))]
    return [Drawn(count, _pixels(out)) for count, out in zip(counts, outs, strict=True)]


def psnr(a: Drawn, b: Drawn) -> float:
    """Likeness of two pictures, dB."""
    return float(10 * np.log10(255**2 / np.square(a.picture - b.picture).mean()))


def _pixels(path: Path) -> NDArray[np.float64]:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"), np.float64)
