"""The README's picture and its film, from the model that ships."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tools import plot_overview
from tools.plot_overview import COLUMNS, FRAMES, SIZE


@pytest.mark.slow
def test_one_command_makes_the_picture_and_the_film(tmp_path: Path) -> None:
    command = [sys.executable, plot_overview.__file__, "overview.jpg", "--turn", "turn.gif"]
    subprocess.run(command, check=True, capture_output=True, cwd=tmp_path)
    with Image.open(tmp_path / "overview.jpg") as picture:
        assert picture.width == COLUMNS * SIZE
        assert picture.height == 5 * SIZE  # two rows of seeds, a turn, the same turn as a solid, levels
    with Image.open(tmp_path / "turn.gif") as turn:
        assert turn.size == (SIZE, 2 * SIZE)
        assert getattr(turn, "n_frames", 1) == FRAMES
