"""Does a model obey its classes? A probe learns each attribute from real images and reads it off generated ones.

    hgs dataset demo --count 4000 --resolution 16 --classes --out critters16.zip
    OMP_NUM_THREADS=1 hgs train --data critters16.zip --preset critters64-at16 --out runs/classes16
    python experiments/class_obedience.py runs/classes16 critters16.zip OUT        # figures on stdout, a sheet in OUT

The probe is a ridge regression from the pixels of real images, drawn over grey, to their class vectors. The model is
asked for the class vectors, and drawn under the cameras, of real images that the probe has not seen.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from hgs_toolkit.cameras import Cameras, frontal
from hgs_toolkit.checkpoint import load_model
from hgs_toolkit.config import Config
from hgs_toolkit.datasets.eg3d import PosedImages, open_dataset
from hgs_toolkit.files import make_folder, write_json
from hgs_toolkit.imaging.captions import labelled_sheet
from hgs_toolkit.imaging.images import save_png
from hgs_toolkit.imaging.scene_images import ImageSettings, draw_images
from hgs_toolkit.metrics.extractors import make_extractor
from hgs_toolkit.metrics.kid import kid
from hgs_toolkit.model.generator import Generator
from hgs_toolkit.model_files import model_config
from hgs_toolkit.sampling import sample_w, synthesize
from hgs_toolkit.training.grids import GRID_BACKGROUND, drawn_chunks
from hgs_toolkit.training.inputs.augment import compose

Array = npt.NDArray[np.float64]

EARS = ("round", "pointed", "long", "floppy")
HATS = ("beanie", "bowler", "beret")

RIDGE = 30.0
"""Weight of the probe's penalty, in pixels of unit variance."""

KID_IMAGES = 250
"""Number of images of a kind of ears in a distance."""


def real_images(data: PosedImages, rows: range) -> Array:
    """Images (n, H, W, 3) in 0..1 over grey."""
    pixels, _ = data.batch(list(rows))
    composed = (compose(pixels, torch.full((len(pixels), 3), GRID_BACKGROUND)) + 1) / 2
    return composed.movedim(1, -1).double().numpy()


def generated_images(model: Generator, config: Config, data: PosedImages, rows: range, vectors: Array) -> Array:
    """As many images of the classes ``vectors`` (n, C), under the cameras of the real ones."""
    z = torch.randn(len(rows), config.generator.z_dim, generator=torch.Generator().manual_seed(0))
    cameras = Cameras.from_labels(torch.from_numpy(data.labels[list(rows)]))
    classes = torch.from_numpy(vectors).float()
    chunks = drawn_chunks(model, config, z, cameras, cameras, GRID_BACKGROUND, classes=classes)
    return torch.cat(list(chunks)).double().numpy()


class Probe:
    """Ridge regression from pixels to class vectors."""

    def __init__(self, images: Array, vectors: Array) -> None:
        flat = images.reshape(len(images), -1)
        self.mean, self.scale = flat.mean(0), flat.std(0) + 1e-3
        x = np.c_[(flat - self.mean) / self.scale, np.ones(len(flat))]
        self.weights = np.linalg.solve(x.T @ x + RIDGE * np.eye(x.shape[1]), x.T @ vectors)

    def read(self, images: Array) -> Array:
        """Class vectors (n, C), not rounded."""
        flat = (images.reshape(len(images), -1) - self.mean) / self.scale
        found: Array = np.c_[flat, np.ones(len(flat))] @ self.weights
        return found


def agreement(read: Array, asked: Array, names: tuple[str, ...]) -> dict[str, float]:
    """Share of images whose ears, and whose having a hat, are read as asked."""
    ears, hats = ([names.index(name) for name in kind] for kind in (EARS, HATS))
    wears = asked[:, hats].sum(1) > 0.5
    score = read[:, hats].sum(1)
    threshold = np.quantile(score, 1 - wears.mean())  # as many hats as were asked for
    return {
        "ears": float((read[:, ears].argmax(1) == asked[:, ears].argmax(1)).mean()),
        "hat": float(((score > threshold) == wears).mean()),
    }


def ear_distances(real: Array, real_ears: Array, made: Array, made_ears: Array) -> tuple[Array, str]:
    """KID x 1000 of the images made with ears of kind i to real ones with ears of kind j: (4, 4), and what saw them."""
    extractor = make_extractor("squeeze")

    def features(images: Array) -> Array:
        return extractor.features(torch.from_numpy((images * 255).round().astype(np.uint8))).astype(np.float64)

    seen, shown = (
        [features(images[ears == kind][:KID_IMAGES]) for kind in range(len(EARS))]
        for images, ears in ((real, real_ears), (made, made_ears))
    )
    scale = np.concatenate(seen).std(0) + 1e-6
    table = [[kid(b / scale, a / scale, subset_size=100, seed=0).value for b in seen] for a in shown]
    return np.array(table), extractor.name


def sheet(model: Generator, out: Path, seeds: tuple[int, ...] = (0, 1, 2, 3, 4, 5, 6, 7)) -> None:
    """Every row a class, every column a seed."""
    names = [*EARS, *(f"{ears}+beanie" for ears in EARS)]
    camera, settings = frontal(model.config.focal, model.config.poses.radius), ImageSettings(96, (0.5, 0.5, 0.5))
    rows = []
    for name in names:
        scenes = synthesize(model, sample_w(model, seeds, 0.7, classes=name))
        rows.append([next(draw_images(scene, camera, settings)) for scene in scenes])
    save_png(out / "class_obedience.png", labelled_sheet(rows, names, [f"seed {seed}" for seed in seeds]))


def main() -> None:
    """Measure and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("model", "data", "out"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--count", type=int, default=1000, help="held-out images, from the end of the set")
    given = parser.parse_args()
    config, model = model_config(given.model), load_model(given.model, "cpu")
    data = open_dataset(given.data, config.generator.resolution)
    assert data.classes is not None, "the set has classes"
    names, vectors = data.classes.names, data.classes.vectors.astype(np.float64)
    taught, held = range(len(data) - given.count), range(len(data) - given.count, len(data))
    probe, asked = Probe(real_images(data, taught), vectors[: len(taught)]), vectors[len(taught) :]
    real, shuffled = real_images(data, held), np.random.default_rng(0).permutation(len(asked))
    made = generated_images(model, config, data, held, asked)
    ears = [names.index(name) for name in EARS]
    distances, extractor = ear_distances(real, asked[:, ears].argmax(1), made, asked[:, ears].argmax(1))
    found = {
        "real, held out": agreement(probe.read(real), asked, names),
        "generated": agreement(probe.read(made), asked, names),
        "generated, asked for another": agreement(probe.read(made), asked[shuffled], names),
        f"kid_{extractor} of generated ears (rows) to real ears": distances.round(1).tolist(),
    }
    make_folder(given.out)
    write_json(given.out / "class_obedience.json", found)
    sheet(model, given.out)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
