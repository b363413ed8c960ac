"""The pictures of docs/blender.md: samples of a model, drawn by the extension in the real Blender (the module bpy).

    python tools/blender_pictures.py [--blender .venv-bpy45/bin/python] [--model MODEL] [--seeds 5,0,12]
        [--only grade,scatter]

``make test-blender`` makes that Python. Prints how far the engines are from the toolkit's picture.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

import hgs_toolkit as hgs
from hgs_toolkit.asset import load_asset, save_asset
from hgs_toolkit.blender import package
from hgs_toolkit.cameras import frontal
from hgs_toolkit.checkpoint import load_model
from hgs_toolkit.imaging.captions import caption
from hgs_toolkit.imaging.images import grid, load_image, to_uint8
from hgs_toolkit.ranges import parse_seeds
from hgs_toolkit.sampling import sample_assets

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "docs" / "images" / "blender"
SIZE = 256
WHITE = (1.0, 1.0, 1.0)
QUALITY = 88
CAPTIONS = {
    "deform": ("as it is", "lattice: leaning", "lattice: twisted", "aperture 0.25"),
    "grade": ("as it is", "exposure, saturation", "hue", "tint of level 3"),
    "cleanup": ("with floaters", "Find Floaters", "Erase in Volume"),
}
"""Words below the pictures of sheets, in order."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--blender", type=Path, default=ROOT / ".venv-bpy45" / "bin" / "python")
    parser.add_argument("--model", type=Path)
    parser.add_argument("--seeds", default="5,0,12")
    parser.add_argument("--only", default="", help="names of sheets, as in blender_scenes.py; without it, all")
    options = parser.parse_args()
    names = [name for name in options.only.split(",") if name]
    OUT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        seeds, pictures = folder / "seeds", folder / "pictures"
        seeds.mkdir()
        pictures.mkdir()
        for place, asset in enumerate(sample_assets(load_model(options.model), parse_seeds(options.seeds))):
            save_asset(seeds / f"{place}.hgs", asset)
        scenes = Path(__file__).with_name("blender_scenes.py")
        subprocess.run([options.blender, scenes, package(folder), seeds, pictures, *names], check=True)
        scene = load_asset(seeds / "0.hgs").scene
        compose(pictures, hgs.render(scene, frontal(), SIZE, SIZE, WHITE)[0][0, 0].clamp(0, 1))


def compose(folder: Path, wanted: Tensor) -> None:
    """Sheets in OUT from the renders in ``folder``; ``wanted`` is the toolkit's own picture (H, W, 3)."""
    if (folder / "engine_cycles.png").exists():
        compose_engines(folder, wanted)
    levels = sorted(folder.glob("level_*.png"))
    save("levels", [caption(load(path), f"levels 0 to {last}") for last, path in enumerate(levels)])
    grown = sorted(folder.glob("grow_*.png"))
    save("grow", [caption(load(path), f"grow {step / (len(grown) - 1):.2f}") for step, path in enumerate(grown)])
    frames = sorted(folder.glob("morph_*.png"))
    save("morph", [caption(load(path), f"frame {place}") for place, path in enumerate(frames, 1)])
    save("lit", [load(path) for path in sorted(folder.glob("lit_*.png"))])
    for sheet, names in CAPTIONS.items():
        paths = sorted(folder.glob(f"{sheet}_*.png"))
        save(sheet, [caption(load(path), name) for path, name in zip(paths, names, strict=False)])
    for sheet in ("scene", "scatter"):
        save(sheet, [load(path) for path in folder.glob(f"{sheet}.png")])


def compose_engines(folder: Path, wanted: Tensor) -> None:
    """The sheet that compares engines; prints how far they are from ``wanted``."""
    engines = [("Cycles", "cycles"), ("EEVEE", "eevee"), ("HGS Splat (exact)", "exact")]
    tiles = [caption(wanted, "the toolkit")]
    for label, name in engines:
        picture = load(folder / f"engine_{name}.png")
        error = (picture - torch.from_numpy(to_uint8(wanted)) / 255).square().mean()
        print(f"{label}: {-10 * error.log10():.1f} dB")
        tiles.append(caption(picture, label))
    save("engines", tiles)


def load(path: Path) -> Tensor:
    """(H, W, 3) in 0..1."""
    return torch.from_numpy(load_image(path))[..., :3] / 255


def save(name: str, tiles: list[Tensor]) -> None:
    """The tiles in a row as a JPEG; none are no sheet."""
    if not tiles:
        return
    picture = Image.fromarray(to_uint8(grid(torch.stack(tiles), columns=len(tiles), gap=4)))
    picture.save(OUT / f"{name}.jpg", quality=QUALITY)


if __name__ == "__main__":
    main()
