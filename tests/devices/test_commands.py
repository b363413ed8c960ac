"""Commands with ``--device cuda`` on a pretended GPU: they mix no devices and read little back."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from hgs_toolkit.checkpoint import load_model, save_model
from hgs_toolkit.cli.main import app
from hgs_toolkit.config import Config
from hgs_toolkit.datasets.critters.drawing import make_critters
from hgs_toolkit.inversion.latent import LatentSettings
from hgs_toolkit.model.generator import Generator
from hgs_toolkit.viewer.choice import BESIDE, Choice, ModelSource, shown_scene

SYNTH = "synth make MODEL --out OUT/d --count 1 --views 2 --workers 0 --size 16"
EVAL = "eval MODEL --data DATA --count 20 --scenes 1 --extractor randconv --metrics"
INVERT = "invert IMAGE MODEL --out OUT/i --steps 2 --perceptual none"

COMMANDS = {
    "sample": ("sample MODEL --out OUT --force --seeds 0,1 --save png,hgs,ply", 40),
    "render": ("render MODEL@0 OUT/r.png --size 16", 24),
    "video": ("video MODEL OUT/v.gif --seeds 0,1 --frames 2 --size 16", 20),
    "mix": ("mix MODEL OUT/m.png --rows 0 --cols 1 --size 16", 12),
    "share": ("share MODEL@0 OUT/p.html", 20),
    "mesh": ("mesh MODEL@0 OUT/m.glb --resolution 16", 51),
    "synth": (f"{SYNTH} --annotations rgb,alpha,depth,normal,level,mask,bbox,camera,latent", 10),
    "invert": (f"{INVERT} --yaw 0", 68),
    "eval": (f"{EVAL} kid", 12),
}
"""Name to command and the most waits for the device; MODEL, DATA, IMAGE and OUT stand for files and a folder."""

MORE_COMMANDS = {
    "depth": ("render MODEL@0 OUT/r.png --size 16 --mode depth", 26),
    "export": ("export MODEL@0 OUT/m.ply", 20),
    "normal": ("render MODEL@0 OUT/r.png --size 16 --mode normal", 24),
    "level": ("render MODEL@0 OUT/r.png --size 16 --mode level", 25),
    "ellipsoid": ("render MODEL@0 OUT/r.png --size 16 --mode ellipsoid", 30),
    "anchors": ("render MODEL@0 OUT/r.png --size 16 --mode anchors", 36),
    "growing": ("render MODEL@0 OUT/r.gif --size 16 --frames 2 --animate grow", 33),
    "looks": ("render MODEL@0 OUT/r.png --size 16 --by-level --opaque --levels 0-1 --subtree 1", 24),
    "video-mix": ("video MODEL OUT/v.gif --seeds 0-2 --frames 3 --size 16 --kind mix", 20),
    "video-levels": ("video MODEL OUT/v.gif --seeds 0 --frames 2 --size 16 --kind levels", 26),
    "texture": ("mesh MODEL@0 OUT/m.glb --resolution 16 --color texture", 51),
    "shell": ("mesh MODEL@0 OUT/m.glb --resolution 16 --method shell", 40),
    "synth-eg3d": (f"{SYNTH} --format eg3d --exposure 0.5 --focal-jitter 0.1 --background random", 8),
    "tune": (f"{INVERT} --yaw 0 --space pti --tuning-steps 2 --refine", 160),
    "find-camera": (INVERT, 108),
    "eval-scenes": (f"{EVAL} diversity,consistency,timing", 64),
    "eval-distances": (f"{EVAL} fid,kid_3d,fid_3d,pose", 18),
}


@pytest.fixture
def words(tmp_path: Path, tiny_model: Generator, tiny_config: Config) -> dict[str, str]:
    """What the words of a command stand for."""
    save_model(tmp_path / "model.safetensors", tiny_model, tiny_config, {})
    make_critters(tmp_path / "data.zip", 20, 16)
    Image.fromarray(np.full((16, 16, 4), 255, np.uint8)).save(tmp_path / "image.png")
    (tmp_path / "out").mkdir()
    names = {"MODEL": "model.safetensors", "IMAGE": "image.png", "DATA": "data.zip", "OUT": "out"}
    return {word: str(tmp_path / name) for word, name in names.items()}


@pytest.fixture
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Searches and walks that look at a few scenes, not at hundreds."""

    def few_candidates(settings: LatentSettings) -> None:
        object.__setattr__(settings, "candidates", 2)

    monkeypatch.setattr(LatentSettings, "__post_init__", few_candidates)
    monkeypatch.setattr("hgs_toolkit.imaging.animation.PROBES", 2)
    for name, value in {"YAWS": 2, "PITCHES": 2, "FINALISTS": 2, "SHORT_SEARCH": 2, "IDENTITIES": 1}.items():
        monkeypatch.setattr(f"hgs_toolkit.inversion.poses.{name}", value)


@pytest.mark.usefixtures("_quick")
@pytest.mark.parametrize("name", [*COMMANDS, *(pytest.param(name, marks=pytest.mark.slow) for name in MORE_COMMANDS)])
def test_a_command_computes_on_the_device(name: str, words: dict[str, str], gpu: ModuleType) -> None:
    line, most = (COMMANDS | MORE_COMMANDS)[name]
    for word, value in words.items():
        line = line.replace(word, value)
    result = CliRunner().invoke(app, [*line.split(), "--device", "cuda"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert 0 < gpu.WAITS.total() <= most, gpu.WAITS


def test_the_viewer_shows_scenes_of_the_device(words: dict[str, str], gpu: ModuleType) -> None:
    source = ModelSource(load_model(words["MODEL"], "cuda"))
    scene = shown_scene(source, Choice(view=BESIDE, by_level=True, hidden=frozenset({0})))
    assert scene.device.type == "cpu", "it is sent to the browser"
    assert 0 < gpu.WAITS.total() <= 40, gpu.WAITS
