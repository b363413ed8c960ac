"""Commands with ``--device cuda`` make the images of ``--device cpu``. Untested on hardware."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from hgs_toolkit.cli.main import app

pytestmark = pytest.mark.gpu

LEAST_PSNR = 45.0
"""Decibels between the two devices' images."""

COMMANDS = {
    "sample": ("sample", "{out}", "--seeds", "0", "--save", "png"),
    "mix": ("mix", "{out}/m.png", "--rows", "0", "--cols", "1", "--size", "64"),
}


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.usefixtures("cuda")
def test_images_are_those_of_the_cpu(name: str, tmp_path: Path) -> None:
    made = {}
    for device in ("cpu", "cuda"):
        folder = tmp_path / device
        folder.mkdir()
        words = [word.format(out=folder) for word in COMMANDS[name]]
        if name == "sample":
            words[1:2] = ["--out", str(folder), "--force"]
        result = CliRunner().invoke(app, [*words, "--device", device], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        made[device] = sorted(folder.rglob("*.png"))
    for here, there in zip(made["cpu"], made["cuda"], strict=True):
        pixels = [np.asarray(Image.open(path).convert("RGB"), dtype=float) / 255 for path in (here, there)]
        error = float(np.square(pixels[0] - pixels[1]).mean())
        assert -10 * np.log10(max(error, 1e-12)) >= LEAST_PSNR, here.name
