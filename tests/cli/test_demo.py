"""The demo: every link of the chain, on a model and data small enough for a test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import imageio.v3
import pytest
from typer.testing import Result

from hgs_toolkit import model_files, settings_io
from hgs_toolkit.asset import Asset
from hgs_toolkit.cli import demo
from hgs_toolkit.cli.console import Reporter
from hgs_toolkit.config import Config
from hgs_toolkit.errors import HgsError
from hgs_toolkit.exporters.table import FORMATS, load
from hgs_toolkit.gaussians import GaussianHierarchy
from hgs_toolkit.imaging.images import load_image
from hgs_toolkit.settings_io import config_from_dict, config_to_dict
from hgs_toolkit.training.state import RunFolder

Hgs = Callable[..., Result]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tiny_config: Config) -> None:
    values = config_to_dict(tiny_config)
    values["training"] |= {"batch": 2, "grid": 1, "knn_neighbors": 2}
    monkeypatch.setattr(settings_io, "load_preset", lambda name, overrides=None: config_from_dict(values))
    monkeypatch.setattr(model_files, "PRETRAINED", tmp_path / "none.safetensors")
    for name, value in {
        "IMAGES": 4,
        "SEEDS": [0, 1],
        "PICTURE_SIZE": 16,
        "TURNTABLE_FRAMES": 3,
        "WORKERS": 1,
        "MESH_RESOLUTION": 32,
    }.items():
        monkeypatch.setattr(demo, name, value)


def test_the_demo_makes_everything_it_lists_and_nothing_twice(small: None, hgs: Hgs, tmp_path: Path) -> None:
    out = tmp_path / "demo"
    result = hgs("demo", "--out", out, "--minutes", 0.05)
    assert result.exit_code == 0, result.stderr
    table = result.stdout[result.stdout.index("made ") :]
    listed = [Path(line.split()[0]) for line in table.splitlines()[1:]]
    assert all(path.exists() for path in listed)
    suffixes = [".zip", ".png", ".mp4", ".html", ".glb", *(f.suffix for f in FORMATS if f.writer)]
    assert all(any(path.name.endswith(suffix) for path in listed) for suffix in suffixes)
    samples = out / "samples"
    assert load_image(samples / "contact.png").shape == (16, 32, 3)
    assert imageio.v3.imread(samples / "turntable.mp4").shape == (3, 16, 16, 3)
    assert load(samples / "seed0000.ply").num_gaussians == load(samples / "seed0000.hgs").num_gaussians

    again = hgs("demo", "--out", out, "--minutes", 0.05)
    assert again.exit_code == 1
    assert "critters.zip exists already; add --force" in again.stderr


@pytest.mark.parametrize("file", ["run/model.safetensors", "samples/seed0000.png"])
def test_what_is_there_is_not_replaced(file: str, hgs: Hgs, tmp_path: Path) -> None:
    (tmp_path / file).parent.mkdir()
    (tmp_path / file).write_text("mine")
    refused = hgs("demo", "--out", tmp_path, "--minutes", 0.05)
    assert refused.exit_code == 1
    assert "--force" in refused.stderr
    assert (tmp_path / file).read_text() == "mine"


def test_force_makes_way_for_a_new_run(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    run.path.mkdir()
    run.state_file.write_bytes(b"old")
    with pytest.raises(HgsError, match=r"state\.pt exists already; add --force"):
        demo.refuse_leftovers(tmp_path, run, force=False)
    demo.refuse_leftovers(tmp_path, run, force=True)
    assert run.state_file.read_bytes() == b"old"  # until the new run begins


def test_a_scene_without_a_shape_makes_no_mesh_and_no_failure(
    tmp_path: Path, scene: GaussianHierarchy, capsys: pytest.CaptureFixture[str]
) -> None:
    clear = scene.replace(opacity_logits=scene.opacity_logits - 20)
    assert demo._mesh(Reporter(), tmp_path / "mesh.glb", Asset(clear)) == {}
    assert "no mesh: 0 of 89 Gaussians can form a surface" in capsys.readouterr().err
    assert list(demo._mesh(Reporter(), tmp_path / "mesh.glb", Asset(scene))) == [tmp_path / "mesh.glb"]
