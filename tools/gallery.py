"""Make docs/gallery.md and its pictures from a model: everything the commands show, on one page.

    python tools/gallery.py [--model MODEL] [--docs docs] [--size 144]

Pictures are JPEG, films GIF; the same model gives the same bytes on the same machine.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from hgs_toolkit.cameras import Cameras
from hgs_toolkit.checkpoint import load_model
from hgs_toolkit.gaussians import GaussianHierarchy
from hgs_toolkit.imaging.animation import AnimationSettings, draw_animation, latent_loop
from hgs_toolkit.imaging.camera_paths import camera_path, fit_cameras
from hgs_toolkit.imaging.captions import labelled_sheet
from hgs_toolkit.imaging.images import save_video, to_uint8
from hgs_toolkit.imaging.looks import grown, opaque, painted_by_level, subtree
from hgs_toolkit.imaging.mixing_sheet import mixing_sheet
from hgs_toolkit.imaging.scene_images import ImageSettings, draw_images
from hgs_toolkit.model.generator import Generator
from hgs_toolkit.model_files import find_model, read_header
from hgs_toolkit.sampling import sample, synthesize

FOLDER = "images/gallery"
COLUMNS = 8
"""Pictures in a strip."""

QUALITY = 88
FILM_FRAMES, FILM_FPS = 48, 16


@dataclass(frozen=True)
class Studio:
    """What the pictures are made with."""

    model: Generator
    size: int
    psi: float
    seeds: tuple[int, ...]

    @property
    def shot(self) -> ImageSettings:
        background = (0.0,) * 3 if self.model.background_slot is not None else (1.0,) * 3
        return ImageSettings(self.size, background)

    @property
    def scene(self) -> GaussianHierarchy:
        """The first seed's, which most pictures show."""
        return sample(self.model, self.seeds[:1], self.psi)

    def cameras(self, path: str, count: int, distance: float = 1.0) -> Cameras:
        config = self.model.config
        return camera_path(path, count, config.focal, distance * config.poses.radius)

    def picture(self, scene: GaussianHierarchy, mode: str = "rgb", splat_scale: float = 1.0, yaw_of: int = 4) -> Tensor:
        """From slightly aside: view ``yaw_of`` of seven from side to side (3 is the front)."""
        shot = ImageSettings(self.size, self.shot.background, splat_scale)
        return next(draw_images(scene, self.cameras("sweep", 7)[yaw_of].reshape(1), shot, mode))


def strip(pictures: list[Tensor], names: list[str] | None = None) -> Tensor:
    return labelled_sheet([pictures], [""], names or [""] * len(pictures))


def samples(studio: Studio) -> Tensor:
    pictures = [studio.picture(sample(studio.model, [seed], studio.psi)) for seed in range(3 * COLUMNS)]
    rows = [pictures[i : i + COLUMNS] for i in range(0, len(pictures), COLUMNS)]
    return labelled_sheet(rows, [""] * len(rows), [""] * COLUMNS)


def turning(studio: Studio) -> Tensor:
    return strip(list(draw_images(studio.scene, studio.cameras("orbit", COLUMNS), studio.shot)))


def interpolation(studio: Studio) -> Tensor:
    scenes = synthesize(studio.model, latent_loop(studio.model, studio.seeds[:4], COLUMNS, studio.psi))
    return strip([studio.picture(scene) for scene in scenes])


def mixing(studio: Studio) -> Tensor:
    return mixing_sheet(studio.model, studio.seeds[:4], studio.seeds[4:8], None, studio.psi, studio.shot)


def levels(studio: Studio) -> Tensor:
    scene = studio.scene
    numbers = range(scene.num_levels)
    alone = [studio.picture(scene.levels(level)) for level in numbers]
    united = [studio.picture(scene.levels(range(level + 1))) for level in numbers]
    return labelled_sheet([alone, united], ["alone", "up to it"], [f"level {level}" for level in numbers])


def growth(studio: Studio) -> Tensor:
    scene = studio.scene
    stages = [scene.num_levels * (i + 1) / COLUMNS for i in range(COLUMNS)]
    return strip([studio.picture(grown(scene, stage)) for stage in stages], [f"{stage:.1f}" for stage in stages])


def shrinking(studio: Studio) -> Tensor:
    scales = [1.0, 0.7, 0.5, 0.35, 0.25, 0.18, 0.12, 0.08]
    return strip([studio.picture(studio.scene, splat_scale=scale) for scale in scales], [f"x {s:g}" for s in scales])


def ellipsoids(studio: Studio) -> Tensor:
    scene = studio.scene
    painted = painted_by_level(scene)
    dressed = [scene, painted, opaque(painted)]
    hard = [*(studio.picture(part, "ellipsoid") for part in dressed), studio.picture(painted.levels(0), "ellipsoid")]
    soft = [*(studio.picture(part) for part in dressed), studio.picture(scene, "anchors")]
    names = ["colours", "by level", "opacity one", "level 0; anchors"]
    return labelled_sheet([hard, soft], ["ellipsoids", "splats"], names)


def sides(studio: Studio) -> Tensor:
    modes = ["rgb", "depth", "normal", "level", "alpha"]
    rows = [[studio.picture(studio.scene, mode, yaw_of=view) for mode in modes] for view in (1, 5)]
    return labelled_sheet(rows, ["", ""], ["colour", "depth", "normals", "level", "alpha"])


def point(studio: Studio) -> Tensor:
    """The root whose finest descendants cover the most of the picture."""
    scene = studio.scene
    roots = torch.arange(scene.num_gaussians)[scene.level == 0].tolist()
    finest = [subtree(scene, root).levels(scene.num_levels - 1) for root in roots]
    root = max(zip(roots, finest, strict=True), key=lambda pair: float(studio.picture(pair[1], "alpha").sum()))[0]
    parts = [subtree(scene, root).levels(range(level + 1)) for level in range(scene.num_levels)]
    near = fit_cameras(studio.cameras("sweep", 7, distance=2.2)[4].reshape(1), parts[-1])
    soft = [next(draw_images(part, near, studio.shot)) for part in parts]
    hard = [next(draw_images(opaque(painted_by_level(part)), near, studio.shot, "ellipsoid")) for part in parts]
    return labelled_sheet([soft, hard], [f"root {root}", "ellipsoids"], [f"{part.num_gaussians}" for part in parts])


@dataclass(frozen=True)
class Entry:
    title: str
    text: str
    commands: str
    draw: Callable[[Studio], Tensor]


ENTRIES = (
    Entry("Samples", "Seeds 0 to 23, nothing chosen.", "hgs sample --seeds 0-23 --out samples", samples),
    Entry("Once around", "One scene from eight sides.", "hgs render @{0} around.png --frames 8", turning),
    Entry(
        "Interpolation",
        "A smooth closed walk through four seeds at steps that are even to the eye; the film has no seam.",
        "hgs video walk.gif --kind interpolate --seeds {0},{1},{2},{3}",
        interpolation,
    ),
    Entry(
        "Mixing by level",
        "Rows keep their styles at level 0, columns give theirs to the finer levels.",
        "hgs mix mix.png --rows {0},{1},{2},{3} --cols {4},{5},{6},{7}",
        mixing,
    ),
    Entry(
        "Levels",
        "What each level draws alone, and what they add up to.",
        "hgs render @{0} level2.png --levels 2\nhgs video levels.mp4 --kind levels --seeds {0}",
        levels,
    ),
    Entry(
        "Growth",
        "Gaussians come out of their parents, level by level.",
        "hgs video grow.mp4 --kind grow --seeds {0}",
        growth,
    ),
    Entry(
        "Smaller splats",
        "The same Gaussians, smaller and smaller: what holds the surface up.",
        "hgs render @{0} small.png --splat-scale 0.25\nhgs video shrink.mp4 --kind shrink --seeds {0}",
        shrinking,
    ),
    Entry(
        "Ellipsoids and anchors",
        "Hard shaded ellipsoids of 1.5 standard deviations, in the scene's colours, in those of the levels (red is the "
        "coarsest), with opacity one; below, splats, and the invisible anchors on which children are placed.",
        "hgs render @{0} hard.png --mode ellipsoid --by-level --opaque\nhgs render @{0} anchors.png --mode anchors",
        ellipsoids,
    ),
    Entry(
        "One point and what is below it",
        "A Gaussian of the coarsest level with its children, grandchildren and so on, from nearby; above, how many.",
        "hgs render @{0} tree.png --subtree 5",
        point,
    ),
    Entry(
        "Depth, normals, levels",
        "The same scene from two sides; the level map says which level contributes most to a pixel.",
        "hgs render @{0} depth.png --mode depth",
        sides,
    ),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="a model file or run folder; default: the model that ships")
    parser.add_argument("--docs", type=Path, default=Path("docs"), help="folder of gallery.md")
    parser.add_argument("--size", type=int, default=144, help="height and width of one picture")
    parser.add_argument("--psi", type=float, default=0.7)
    parser.add_argument("--seeds", default="0,1,2,3,4,5,6,7", help="eight seeds")
    arguments = parser.parse_args()
    seeds = tuple(map(int, arguments.seeds.split(",")))
    studio = Studio(load_model(arguments.model, "cpu"), arguments.size, arguments.psi, seeds)
    folder = arguments.docs / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    text = [introduction(arguments.model, studio)]
    for entry in ENTRIES:
        path = folder / f"{entry.draw.__name__}.jpg"
        with torch.no_grad():
            Image.fromarray(to_uint8(entry.draw(studio))).save(path, quality=QUALITY, optimize=True)
        print(path, path.stat().st_size)
        text.append(section(entry, path.name, seeds))
    path = folder / "walk.gif"
    direction = AnimationSettings(FILM_FRAMES, ImageSettings(112, studio.shot.background), studio.psi)
    save_video(path, map(to_uint8, draw_animation("interpolate", studio.model, seeds[:4], direction)), FILM_FPS)
    print(path, path.stat().st_size)
    (arguments.docs / "gallery.md").write_text("\n".join(text))


def introduction(model: Path | None, studio: Studio) -> str:
    header, resolution = read_header(find_model(model)), studio.model.config.resolution
    name = header.config.name if not header.config.description else f"{header.config.name}: {header.config.description}"
    kimg = float(header.facts.get("kimg", "nan"))
    return f"""# Gallery

Made by `make gallery` from one model ({name};
{kimg:.0f} thousand images shown at that size, fingerprint `{studio.model.fingerprint[:12]}`), psi {studio.psi:g};
the seeds are the first ones, nothing is retouched.
It was trained on pictures of {resolution} pixels, and is drawn here at {studio.size}.
Commands that name no model use the one that ships.
How to see a scene live, or send it to somebody: [viewing.md](viewing.md).

![A walk through four seeds]({FOLDER}/walk.gif)
"""


def section(entry: Entry, name: str, seeds: tuple[int, ...]) -> str:
    return f"""## {entry.title}
{entry.text}

![{entry.title}]({FOLDER}/{name})

```
{entry.commands.format(*seeds)}
```
"""


if __name__ == "__main__":
    main()
