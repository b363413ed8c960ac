"""The gallery's one command, on a tiny model."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from hgs_toolkit.checkpoint import save_model
from hgs_toolkit.config import Config
from hgs_toolkit.model.generator import Generator

SCRIPT = Path(__file__).resolve().parents[2] / "tools" / "gallery.py"


@pytest.mark.slow
def test_one_command_makes_the_page_and_every_picture_on_it(
    tmp_path: Path, tiny_model: Generator, tiny_config: Config
) -> None:
    save_model(tmp_path / "model.safetensors", tiny_model, tiny_config, {"kimg": "4.0"})
    command: list[str | Path] = [
        sys.executable,
        SCRIPT,
        "--model",
        tmp_path / "model.safetensors",
        "--docs",
        tmp_path,
        "--size",
        "24",
    ]
    subprocess.run(command, check=True, capture_output=True, cwd=SCRIPT.parents[1])
    text = (tmp_path / "gallery.md").read_text()
    pictures = re.findall(r"!\[.*?\]\((.*?)\)", text)
    assert len(pictures) == 11
    for name in pictures:
        with Image.open(tmp_path / name) as picture:
            assert min(picture.size) >= 24
            assert getattr(picture, "n_frames", 1) == (48 if name.endswith(".gif") else 1)
    assert "4 thousand images shown" in text
    assert "{" not in text
