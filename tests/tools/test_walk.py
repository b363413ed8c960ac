"""The walk through the pages finds their commands, shortens them, and sees a subject that is cut off."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tools import walk

STEPS = [step for page in walk.PAGES for step in walk.steps_of(page)]


def test_commands_are_found_whole() -> None:
    texts = [step.text for step in STEPS if step.page == "README.md"]
    assert "hgs train --data critters64.zip --preset critters64 --out run" in texts, "without its comment"
    assert any("--match 'armchair|sofa' --vary-hue 20" in step.text for step in STEPS), "continued lines are joined"
    assert len([step for step in STEPS if not walk.reason(step)]) > 60


def test_long_work_is_shortened_and_nothing_else_is_changed() -> None:
    shown = {step.text: walk.walked(step.text) for step in STEPS if not walk.reason(step)}
    for text, short in shown.items():
        if text.startswith("hgs train"):
            assert short.count("--minutes 0.02") == 1
            assert "--kimg" not in short
        assert short.split()[:2] == text.split()[:2]
    assert shown["hgs export cat.hgs cat.rad"] == "hgs export cat.hgs cat.rad"


@pytest.mark.parametrize("place", ["inside", "at the border"])
def test_a_subject_at_the_border_is_seen(place: str, tmp_path: Path) -> None:
    pixels = np.zeros((24, 24, 4), np.uint8)
    pixels[8:16, (8 if place == "inside" else 0) : 16] = 255
    Image.fromarray(pixels).save(tmp_path / "clear.png")
    Image.fromarray(pixels[..., :3]).save(tmp_path / "opaque.png")
    for name in ("clear.png", "opaque.png"):
        assert walk.is_whole(tmp_path / name) == (place == "inside")
