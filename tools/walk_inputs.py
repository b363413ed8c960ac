"""What the pages' commands expect of a user: photographs, sets, runs and files of other programs, small."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from hgs_toolkit.asset import save_asset
from hgs_toolkit.checkpoint import load_model
from hgs_toolkit.datasets.critters.drawing import critter, make_critters
from hgs_toolkit.exporters.table import export
from hgs_toolkit.model_files import PRETRAINED
from hgs_toolkit.sampling import sample, sample_assets
from tests.datasets.photographs import Photographs, colmap, gaussian_splatting, nerf_synthetic, nerfstudio
from tests.parity.snapshots import small_snapshot, write

PHOTOGRAPHED = 3
"""Number of the critter in the photograph."""


def make_inputs(words: Sequence[str]) -> None:
    """Make, in the current folder, each input that a command's ``words`` name and that is not there yet."""
    positions = [i for i, word in enumerate(words) if not word.startswith("-") and not words[i - 1].startswith("--")]
    outputs = {positions[-1]} if words[0] in WRITERS else set()
    outputs |= {i for i in range(1, len(words)) if words[i - 1] in OUTPUT_OPTIONS}
    for i, word in enumerate(words):
        name = word.partition("@")[0].rstrip("/")
        if name in INPUTS and i not in outputs and not Path(name).exists():
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            INPUTS[name](Path(name))


def names_of_snippets() -> dict[str, Any]:
    """The variables that pages' Python takes for granted."""
    model = load_model()
    _asset(Path("critter.hgs"))
    return {"model": model, "scene": sample(model, seeds=[7], psi=0.7)}


def _photograph(path: Path) -> None:
    """An image over white."""
    rgba = _drawn()
    alpha = rgba[..., 3:] / 255
    Image.fromarray((rgba[..., :3] * alpha + 255 * (1 - alpha)).astype(np.uint8)).save(path)


def _mask(path: Path) -> None:
    Image.fromarray(_drawn()[..., 3]).save(path)


def _drawn() -> NDArray[np.uint8]:
    subject = critter(seed=1, index=PHOTOGRAPHED)
    return np.asarray(subject.render(subject.label, 256).rgba)


def _asset(path: Path) -> None:
    """A scene of the shipped model."""
    asset = next(sample_assets(load_model(), [7]))
    if path.suffix == ".hgs":
        save_asset(path, asset)
    else:
        export(asset.scene, path, metadata=asset.metadata)


def _run(folder: Path) -> None:
    """A run folder of 64 pixels that holds a shipped model."""
    folder.mkdir()
    shutil.copy(PRETRAINED.with_name("critters64.safetensors"), folder / "model.safetensors")


def _set(resolution: int, count: int = 48, seed: int = 1) -> Callable[[Path], None]:
    return lambda path: make_critters(path, count, resolution, seed=seed)


def _models(folder: Path) -> None:
    """Meshes that are called as a catalogue calls them."""
    folder.mkdir()
    for index, name in enumerate(("chair", "armchair", "sofa", "lamp")):
        critter(seed=0, index=index).mesh().export(folder / f"{name}.glb")


def _taken(save: Callable[[Photographs, Path], None]) -> Callable[[Path], None]:
    """Photographs with cameras in another program's layout, in the folder of the path or the folder that it is."""

    def make(path: Path) -> None:
        folder = path.parent if path.suffix else path
        folder.mkdir(parents=True, exist_ok=True)
        save(Photographs.take(), folder)

    return make


def _subjects(save: Callable[[Photographs, Path], None]) -> Callable[[Path], None]:
    """A folder with a folder of photographs and cameras for each of several subjects."""

    def make(path: Path) -> None:
        for number in range(3):
            folder = path / f"subject-{number:02}"
            folder.mkdir(parents=True)
            save(Photographs.take(), folder)

    return make


def _snapshot(path: Path) -> None:
    """A small look-alike of the authors' checkpoint."""
    with torch.random.fork_rng(devices=[]):
        write(path, small_snapshot)


INPUTS: dict[str, Callable[[Path], None]] = {
    "photo.png": _photograph, "mask.png": _mask, "cat.hgs": _asset, "critter.hgs": _asset, "critter.ply": _asset,
    "a.hgs": _asset, "b.ply": _asset, "held.zip": _set(128), "faces.zip": _set(16), "other.zip": _set(64),
    "views.zip": _set(128, count=3), "mine.zip": _set(64), "critters64.zip": _set(64),
    "FOLDER": _set(16), "chairs.zip": _set(16), "chairs": _models, "mugs": _subjects(colmap("PINHOLE")),
    "shapenet_cars": _subjects(nerf_synthetic), "set/dataset.zip": _set(16),
    "runs/critters64": _run, "runs/mine": _run, "runs/at32": _run, "models": _models,
    "network-snapshot-015000.pkl": _snapshot, "network-snapshot.pkl": _snapshot,
    "transforms.json": _taken(nerfstudio), "lego": _taken(nerf_synthetic), "scan": _taken(colmap("PINHOLE")),
    "model/cameras.json": _taken(gaussian_splatting), "photos": lambda path: Photographs.take().save_images(path),
    "faces": lambda path: Photographs.take().save_images(path),
}  # fmt: skip
"""Each input by the name that pages give it, with what makes it."""

WRITERS = {"render", "export", "mesh", "share", "video", "mix", "import"}
"""Commands whose last word, options aside, is what they write."""

OUTPUT_OPTIONS = ("--out", "--report", "--pictures")
