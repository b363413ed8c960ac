"""The README's picture and its film, from the model that ships."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

SCRIPT = Path(__file__).resolve().parents[2] / "tools" / "plot_overview.py"


@pytest.mark.slow
def test_one_command_makes_the_picture_and_the_film(tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPT), "overview.jpg", "--turn", "turn.gif"]
    subprocess.run(command, check=True, capture_output=True, cwd=tmp_path)
    with Image.open(tmp_path / "overview.jpg") as picture:
        assert picture.width == 8 * 160
        assert picture.height == 5 * 160  # two rows of seeds, a turn, the same turn as a solid, levels
    with Image.open(tmp_path / "turn.gif") as turn:
        assert turn.size == (160, 2 * 160)
        assert getattr(turn, "n_frames", 1) == 48
