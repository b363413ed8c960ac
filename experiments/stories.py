"""A small example of everything that docs/own-data.md tells of, to try its commands on, and the pictures of that page.

    python -m experiments.stories stories
    hgs train --data stories/meshes --out runs/meshes --minutes 120                # 6 vases as .glb
    hgs train --data stories/colmap --out runs/colmap --minutes 240                # the same, photographed on a table
    hgs train --data stories/bare --out runs/bare --minutes 480                    # animal heads, no camera anywhere
    hgs train --data stories/eg3d.zip --out runs/eg3d --resolution 64              # the same heads with labels
    hgs train --data stories/nerf --out runs/nerf --minutes 240                    # the vases, a transforms.json each

Six subjects are far too few to learn from: what is shown is what each form looks like, and what becomes of it.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from scipy.spatial.transform import Rotation

from experiments.vases import vase
from hgs_toolkit.cameras import from_yaw_pitch
from hgs_toolkit.datasets.critters.drawing import critter, make_critters
from hgs_toolkit.datasets.eg3d import open_dataset
from hgs_toolkit.datasets.framing import compose_over
from hgs_toolkit.datasets.meshes.library import find_meshes
from hgs_toolkit.datasets.meshes.rendering import render_model
from hgs_toolkit.datasets.meshes.textured_mesh import load_textured_mesh
from hgs_toolkit.datasets.preparing import prepare_data

SUBJECTS, VIEWS = 6, 8
WIDTH, HEIGHT = 160, 120
TABLE = (0.62, 0.5, 0.38)

Values = npt.NDArray[np.float64]
Pixels = npt.NDArray[np.uint8]


def write_meshes(folder: Path) -> None:
    """Vases as .glb."""
    folder.mkdir(parents=True)
    for seed in range(SUBJECTS):
        vase(seed).export(folder / f"vase-{seed:02}.glb")


def views_of(meshes: Path, index: int, size: int) -> tuple[list[Pixels], Values]:
    """A vase from all sides: images (size, size, 4), and EG3D labels (VIEWS, 25)."""
    yaw = torch.arange(VIEWS) * (2 * torch.pi / VIEWS) + 0.2
    labels = from_yaw_pitch(yaw, torch.full((VIEWS,), 0.35)).labels.double().numpy()
    model = load_textured_mesh(find_meshes(meshes)[index])
    return [render_model(model, label, size) for label in labels], labels


def write_colmap(meshes: Path, folder: Path) -> None:
    """A COLMAP model for each vase, in a world of its own that is turned, scaled and moved."""
    for index in range(SUBJECTS):
        scene = folder / f"vase-{index:02}"
        (scene / "sparse" / "0").mkdir(parents=True)
        (scene / "images").mkdir()
        images, labels = views_of(meshes, index, HEIGHT)
        world = Rotation.from_rotvec([0.3 + 0.2 * index, -1.1, 0.4]).as_matrix()
        lines = ["# Image list with two lines of data per image:"]
        for view, (pixels, label) in enumerate(zip(images, labels, strict=True)):
            photograph = np.full((HEIGHT, WIDTH, 3), 255 * np.array(TABLE), np.uint8)
            left = (WIDTH - HEIGHT) // 2
            photograph[:, left : left + HEIGHT] = compose_over(pixels, TABLE)
            Image.fromarray(photograph).save(scene / "images" / f"IMG_{view:04}.jpg", quality=92)
            matrix = label[:16].reshape(4, 4)
            to_camera = (world @ matrix[:3, :3]).T
            position = -to_camera @ (1.7 * world @ matrix[:3, 3] + [3.0, 1.0, -2.0])
            x, y, z, w = Rotation.from_matrix(to_camera).as_quat()
            numbers = " ".join(f"{value:.9g}" for value in (w, x, y, z, *position))
            lines += [f"{view + 1} {numbers} 1 IMG_{view:04}.jpg", ""]
        focal = labels[0, 16] * HEIGHT
        camera = f"1 PINHOLE {WIDTH} {HEIGHT} {focal} {focal} {WIDTH / 2} {HEIGHT / 2}\n"
        (scene / "sparse" / "0" / "cameras.txt").write_text(camera)
        (scene / "sparse" / "0" / "images.txt").write_text("\n".join(lines) + "\n")


def write_nerf(meshes: Path, folder: Path) -> None:
    """A transforms.json for each vase: OpenGL axes, a field of view, alpha."""
    for index in range(SUBJECTS):
        scene = folder / f"vase-{index:02}"
        (scene / "train").mkdir(parents=True)
        images, labels = views_of(meshes, index, HEIGHT)
        frames = []
        for view, (pixels, label) in enumerate(zip(images, labels, strict=True)):
            Image.fromarray(pixels).save(scene / "train" / f"r_{view}.png")
            matrix = label[:16].reshape(4, 4) @ np.diag([1.0, -1.0, -1.0, 1.0])
            frames.append({"file_path": f"./train/r_{view}", "transform_matrix": matrix.tolist()})
        facts = {"camera_angle_x": 2 * float(np.arctan(0.5 / labels[0, 16])), "frames": frames}
        (scene / "transforms.json").write_text(json.dumps(facts))


def write_bare(folder: Path) -> None:
    """Animal heads in front of a wall, cut alike, without any camera."""
    folder.mkdir()
    for index in range(SUBJECTS * VIEWS):
        head = critter(0, index)
        wall = tuple(np.random.default_rng(index).uniform(0.3, 0.9, 3))
        photograph = compose_over(head.render(head.label, 96).rgba, wall)
        Image.fromarray(photograph).save(folder / f"{index:03}.jpg", quality=92)


def strip(images: Sequence[Pixels], size: int = 96) -> Pixels:
    """Images side by side over grey, each ``size`` pixels high."""
    tiles = []
    for pixels in images:
        opaque = compose_over(pixels, (0.5, 0.5, 0.5)) if pixels.shape[-1] == 4 else pixels
        width = round(size * opaque.shape[1] / opaque.shape[0])
        tiles.append(np.asarray(Image.fromarray(opaque).resize((width, size), Image.Resampling.BICUBIC)))
    return np.concatenate(tiles, axis=1)


def save_pictures(stories: Path, pictures: Path, resolution: int) -> None:
    """A picture of each story: above what is brought, below the set that is made of it."""
    brought = {
        "colmap": sorted((stories / "colmap").rglob("*.jpg")), "nerf": sorted((stories / "nerf").rglob("*.png")),
        "bare": sorted((stories / "bare").glob("*.jpg")),
    }  # fmt: skip
    for name, files in brought.items():
        chosen = files[:: len(files) // 8][:8]
        made = open_dataset(prepare_data(stories / name, stories / "made" / name, resolution))
        indices = np.arange(8) * (len(made) // 8)
        above = strip([np.asarray(Image.open(file)) for file in chosen])
        below = strip([made.image(int(index)) for index in indices])
        room = np.full((below.shape[0], above.shape[1], 3), 255, np.uint8)
        room[:, : below.shape[1]] = below
        picture = Image.fromarray(np.concatenate([above, np.full((6, above.shape[1], 3), 255, np.uint8), room]))
        picture.save(pictures / f"own-data-{name}.jpg", quality=85)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pictures", type=Path, help="folder for the pictures of the page")
    arguments = parser.parse_args()
    folder: Path = arguments.folder
    write_meshes(folder / "meshes")
    write_colmap(folder / "meshes", folder / "colmap")
    write_nerf(folder / "meshes", folder / "nerf")
    write_bare(folder / "bare")
    make_critters(folder / "eg3d.zip", SUBJECTS * VIEWS, 128)
    if arguments.pictures is not None:
        save_pictures(folder, arguments.pictures, 64)


if __name__ == "__main__":
    main()
