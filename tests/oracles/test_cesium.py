"""CesiumJS (npm) draws our 3D Tiles in headless Chromium: from near all levels as we do, from afar the coarsest."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from hgs_toolkit.cameras import Cameras, look_at, make_intrinsics
from hgs_toolkit.checkpoint import load_model
from hgs_toolkit.exporters.table import export
from hgs_toolkit.gaussians import GaussianHierarchy
from hgs_toolkit.rendering.scene import render
from hgs_toolkit.sampling import sample

CHROMIUM = shutil.which("chromium")

pytestmark = [
    pytest.mark.oracle,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (Debian: apt-get install chromium)"),
]

SIZE, FOV = 480, 28.0
"""Pixels and degrees: from EYE the coarser levels' errors are well above 16 pixels, where Cesium takes the next."""

LEAST_PSNR = 38
EYE = (0.67, 0.13, 2.61)

Picture = NDArray[np.float64]


def drawn_by_cesium(node: Callable[..., str], folder: Path, distances: list[float]) -> list[tuple[int, int, Picture]]:
    """Gaussians, tiles and the picture (SIZE, SIZE, 3) from EYE times each of the distances."""
    x, y, z = EYE
    views = [
        {"eye": [d * x, -d * z, d * y], "up": [0, 0, 1], "out": str(folder / f"{index}.png")}  # z up
        for index, d in enumerate(distances)
    ]
    job = {"chromium": CHROMIUM, "folder": str(folder), "size": SIZE, "fov": FOV, "views": views}
    (folder / "job.json").write_text(json.dumps(job))
    results = json.loads(node("cesium.mjs", folder / "job.json"))
    pictures = []
    for index, result in enumerate(results):
        with Image.open(folder / f"{index}.png") as image:
            pictures.append((result["drawn"], result["tiles"], np.asarray(image.convert("RGB"), np.float64) / 255))
    return pictures


def drawn_by_us(scene: GaussianHierarchy) -> Picture:
    focal = 0.5 / np.tan(np.radians(FOV) / 2)
    camera = Cameras(look_at(torch.tensor([EYE]), torch.zeros(1, 3)), make_intrinsics(focal)[None])
    image, _ = render(scene, camera, SIZE, SIZE)
    return np.asarray(image[0, 0], np.float64)


def test_cesium_draws_all_levels_near_and_the_coarsest_from_afar(node: Callable[..., str], tmp_path: Path) -> None:
    scene = sample(load_model(None, "cpu"), [0])
    export(scene, tmp_path / "tileset.json")
    near, far = drawn_by_cesium(node, tmp_path, [1, 10])
    assert near[:2] == (scene.num_gaussians, scene.num_levels)
    assert far[:2] == (scene.level_counts[0], 1)
    error = np.square(near[2] - drawn_by_us(scene)).mean()
    assert 10 * np.log10(1 / error) >= LEAST_PSNR
