"""Commands with ``--device cuda`` make what ``--device cpu`` makes. Untested on hardware."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import trimesh
from numpy.typing import NDArray
from PIL import Image, ImageSequence
from typer.testing import CliRunner

from hgs_toolkit.cli.main import app
from hgs_toolkit.datasets.critters.drawing import make_critters
from hgs_toolkit.gaussians import GaussianHierarchy
from hgs_toolkit.metrics import lite0

pytestmark = pytest.mark.gpu

LEAST_PSNR = 45.0
"""Decibels between the two devices' images."""

LEAST_PSNR_OF_A_SEARCH = 30.0
"""Decibels between images that are the ends of an optimisation, and between frames of 256 colours."""

FIGURE_TOLERANCE = 0.02
"""Largest relative difference of a measured figure."""

VOLUME_TOLERANCE = 0.02
"""Largest relative difference of a mesh's extents."""


@dataclass(frozen=True)
class Case:
    """A command and how its files are compared.

    Attributes:
        words: MODEL, DATA, IMAGE and OUT stand for files and the folder.
        compare: raises if the folders differ by more than they may.
    """

    words: str
    compare: Callable[[Path, Path], None]


def pixels(path: Path) -> NDArray[np.float64]:
    """All frames of an image file, (F, H, W, 4) in 0..1."""
    with Image.open(path) as image:
        frames = [np.asarray(frame.convert("RGBA"), dtype=float) / 255 for frame in ImageSequence.Iterator(image)]
    return np.stack(frames)


def images_agree(least: float) -> Callable[[Path, Path], None]:
    """Every image of the two folders is within ``least`` decibels."""

    def compare(here: Path, there: Path) -> None:
        names = [sorted(p.relative_to(f) for s in ("png", "gif") for p in f.rglob(f"*.{s}")) for f in (here, there)]
        assert names[0] == names[1]
        assert names[0]
        for name in names[0]:
            error = float(np.square(pixels(here / name) - pixels(there / name)).mean())
            assert -10 * np.log10(max(error, 1e-12)) >= least, name

    return compare


def meshes_agree(here: Path, there: Path) -> None:
    """The extents of the meshes agree."""
    extents = [trimesh.load(folder / "m.glb").extents for folder in (here, there)]
    np.testing.assert_allclose(extents[1], extents[0], rtol=VOLUME_TOLERANCE)


def scenes_agree(here: Path, there: Path) -> None:
    """The scenes written as .hgs hold the same numbers but for rounding."""
    from hgs_toolkit.asset import load_asset

    scenes: list[GaussianHierarchy] = [load_asset(folder / "s.hgs").scene for folder in (here, there)]
    for name in ("means", "log_scales", "sh", "opacity_logits"):
        torch.testing.assert_close(getattr(scenes[1], name), getattr(scenes[0], name), rtol=1e-2, atol=1e-3)


def pages_agree(here: Path, there: Path) -> None:
    """The pages are about as large: they hold as many Gaussians."""
    sizes = [(folder / "p.html").stat().st_size for folder in (here, there)]
    assert sizes[1] == pytest.approx(sizes[0], rel=FIGURE_TOLERANCE)


def figures_agree(here: Path, there: Path) -> None:
    """The figures of the two files agree, but for times."""
    found: list[dict[str, Any]] = []
    for folder in (here, there):
        figures = json.loads((folder / "e.json").read_text())["figures"]
        found.append({figure["name"]: figure["value"] for figure in figures if not figure["name"].startswith("ms_")})
    assert found[0]
    assert found[1] == pytest.approx(found[0], rel=FIGURE_TOLERANCE, abs=1e-3)


CASES = {
    "sample": Case("sample MODEL --out OUT --force --seeds 0 --save png", images_agree(LEAST_PSNR)),
    "export": Case("export MODEL@0 OUT/s.hgs", scenes_agree),
    "render": Case("render MODEL@0 OUT/r%d.png --size 128 --frames 2", images_agree(LEAST_PSNR)),
    "normals": Case("render MODEL@0 OUT/n.png --size 128 --mode normal", images_agree(LEAST_PSNR_OF_A_SEARCH)),
    "video": Case("video MODEL OUT/v.gif --seeds 0,1 --frames 3 --size 64", images_agree(LEAST_PSNR_OF_A_SEARCH)),
    "mix": Case("mix MODEL OUT/m.png --rows 0 --cols 1 --size 64", images_agree(LEAST_PSNR)),
    "share": Case("share MODEL@0 OUT/p.html", pages_agree),
    "mesh": Case("mesh MODEL@0 OUT/m.glb --resolution 64", meshes_agree),
    "synth": Case(
        "synth make MODEL --out OUT/d --count 2 --views 2 --workers 0 --annotations rgb,depth,normal,level,mask,camera",
        images_agree(LEAST_PSNR_OF_A_SEARCH),
    ),
    "invert": Case(
        "invert IMAGE MODEL --out OUT/i --yaw 0 --steps 10 --perceptual none", images_agree(LEAST_PSNR_OF_A_SEARCH)
    ),
    "tune": Case(
        "invert IMAGE MODEL --out OUT/i --yaw 0 --steps 4 --space pti --tuning-steps 4 --perceptual none",
        images_agree(LEAST_PSNR_OF_A_SEARCH),
    ),
    "eval": Case(
        "eval MODEL --data DATA --out OUT/e.json --count 20 --scenes 1 --extractor randconv "
        "--metrics kid_3d,diversity,consistency,timing",
        figures_agree,
    ),
}


def run(line: str, device: str) -> str:
    """What a command says."""
    result = CliRunner().invoke(app, [*line.split(), "--device", device], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture
def words(tmp_path: Path, model_file: Path, dry: bool) -> dict[str, str]:
    """The files that the commands read: a model, real images, one image of a subject."""
    size = 16 if dry else 64
    make_critters(tmp_path / "data.zip", 20, size)
    yy, xx = np.mgrid[:size, :size] / size - 0.5
    disc = np.where(xx**2 + yy**2 < 0.1, 255, 0).astype(np.uint8)
    Image.fromarray(np.dstack([disc, disc // 2, 0 * disc, disc])).save(tmp_path / "image.png")
    return {"MODEL": str(model_file), "DATA": str(tmp_path / "data.zip"), "IMAGE": str(tmp_path / "image.png")}


@pytest.mark.parametrize("name", CASES)
def test_a_command_makes_what_it_makes_on_the_cpu(
    name: str, words: dict[str, str], tmp_path: Path, cuda: torch.device
) -> None:
    case, folders = CASES[name], (tmp_path / "here", tmp_path / "there")
    for folder, device in zip(folders, ("cpu", cuda.type), strict=True):
        folder.mkdir()
        line = case.words
        for word, value in (words | {"OUT": str(folder)}).items():
            line = line.replace(word, value)
        run(line, device)
    case.compare(*folders)


def test_training_stops_and_goes_on(words: dict[str, str], tmp_path: Path, cuda: torch.device, dry: bool) -> None:
    settings = ("batch=4", "tick_seconds=0", "tick_kimg=0.004", "grid=2", "metric_kimg=0")
    flags = " ".join(f"--set training.{setting}" for setting in settings)
    if not lite0.is_installed():
        flags += " --set discriminator.kind=residual"
    base = f"train --data {words['DATA']} --out {tmp_path / 'run'}"
    preset = "critters64-at16" if dry else "critters64-at64"
    run(f"{base} --preset {preset} {flags} --kimg 0.008", cuda.type)
    run(f"{base} --resume --set training.kimg=0.016", cuda.type)
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3, 4]
    assert all(np.isfinite(line["loss_g"]) for line in lines)
