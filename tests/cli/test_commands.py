"""What the commands make of good input."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import imageio.v3
import numpy as np
import pytest
import torch
from plyfile import PlyData
from typer.testing import Result

from hgs_toolkit.asset import load_asset
from hgs_toolkit.checkpoint import load_model
from hgs_toolkit.exporters.table import export, load
from hgs_toolkit.files import sha256
from hgs_toolkit.imaging.images import load_image
from hgs_toolkit.sampling import sample

Hgs = Callable[..., Result]


def made(result: Result) -> list[Path]:
    """The files a successful command says it made; they are there."""
    assert result.exit_code == 0, result.output
    files = [Path(line) for line in result.stdout.splitlines()]
    assert all(path.is_file() for path in files)
    return files


def test_export_writes_the_suffix_format_with_its_options(hgs: Hgs, asset_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.ply"
    assert made(hgs("export", asset_file, out, "--extras", "--no-normals", "--pad-sh", 3, "--levels", "0-1")) == [out]
    vertex = PlyData.read(str(out))["vertex"]
    names = [p.name for p in vertex.properties]
    assert names[3:6] == ["f_dc_0", "f_dc_1", "f_dc_2"]
    assert names[-2:] == ["level", "parent"]
    assert "f_rest_44" in names
    assert set(vertex["level"]) == {-1, 0, 1}


def test_export_there_and_back_keeps_the_scene(hgs: Hgs, asset_file: Path, tmp_path: Path) -> None:
    made(hgs("export", asset_file, tmp_path / "a.ply", "--extras", "--frame", "y_up"))
    made(hgs("export", tmp_path / "a.ply", tmp_path / "b.hgs"))
    back, scene = load(tmp_path / "b.hgs"), load(asset_file)
    torch.testing.assert_close(back.means, scene.means)
    assert torch.equal(back.parent, scene.parent)


def test_a_device_that_is_not_needed_is_said(hgs: Hgs, asset_file: Path, tmp_path: Path) -> None:
    result = hgs("export", asset_file, tmp_path / "a.ply", "--device", "cpu")
    assert result.exit_code == 0
    assert "--device cpu is not used: files are converted without a device" in result.stderr
    assert "--device" not in hgs("export", asset_file, tmp_path / "b.ply").stderr


def test_export_of_a_model_and_seed_is_that_seeds_scene(hgs: Hgs, model_file: Path, tmp_path: Path) -> None:
    made(hgs("export", f"{model_file}@5", tmp_path / "a.hgs", "--psi", 0.5))
    asset = load_asset(tmp_path / "a.hgs")
    assert torch.equal(asset.scene.means, sample(load_model(model_file), [5], psi=0.5).means)
    assert (asset.metadata.seed, asset.metadata.psi, asset.metadata.generator) == (5, 0.5, "tiny")
    assert asset.metadata.model == sha256(model_file)
    assert asset.metadata.focal == 1.5


@pytest.mark.skipif(sys.platform != "linux", reason="names of other systems are text")
def test_a_name_need_not_be_utf_8(asset_file: Path, tmp_path: Path) -> None:
    """In a process of its own, because pytest-xdist cannot send logs that hold such a name."""
    out = Path(os.fsdecode(os.fsencode(tmp_path) + b"/out\xfe.spz"))

    def export(*options: str) -> bytes:
        command = [sys.executable, "-m", "hgs_toolkit.cli", "export", str(asset_file), str(out), *options]
        done = subprocess.run(command, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode(errors="replace")
        return done.stdout

    assert export() == os.fsencode(out) + b"\n"
    (tmp_path / "plain.spz").write_bytes(out.read_bytes())
    assert load(tmp_path / "plain.spz").num_gaussians == load(asset_file).num_gaussians
    lines = export("--force", "--json-progress").splitlines()
    assert json.loads(lines[-1]) == {"event": "done", "files": [str(out)]}


def test_sample_writes_scenes_pictures_a_sheet_and_a_manifest(hgs: Hgs, model_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "s"
    files = made(
        hgs("sample", model_file.parent, "--seeds", "7,2", "--out", out, "--save", "hgs,ply,png",
            "--views", 3, "--size", 16)
    )  # fmt: skip
    assert {path.name for path in files} == {
        "seed0007.hgs", "seed0007.ply", "seed0007.png", "seed0002.hgs", "seed0002.ply", "seed0002.png",
        "contact.png", "manifest.json",
    }  # fmt: skip
    assert {path.name for path in out.iterdir()} == {path.name for path in files}
    assert load_image(out / "seed0002.png").shape == (16, 48, 3)
    assert load_image(out / "contact.png").shape == (32, 48, 3)
    manifest = json.loads((out / "manifest.json").read_text())
    assert (manifest["generator"], manifest["model"]) == ("tiny", sha256(model_file))
    assert [entry["seed"] for entry in manifest["scenes"]] == [7, 2]
    assert manifest["scenes"][0]["files"]["ply"] == "seed0007.ply"
    latent = load_asset(out / "seed0007.hgs").latent
    assert latent is not None
    assert latent.shape == (16,)


def test_formats_of_samples_may_have_a_dot_and_capitals(hgs: Hgs, model_file: Path, tmp_path: Path) -> None:
    words = ("sample", model_file, "--seeds", "0", "--out", tmp_path / "s", "--save", "HGS, .ply,hgs")
    assert [path.name for path in made(hgs(*words))] == ["seed0000.hgs", "seed0000.ply", "manifest.json"]
    assert load_asset(tmp_path / "s" / "seed0000.hgs").latent is not None


def test_what_is_true_of_many_files_is_said_of_two(hgs: Hgs, model_file: Path, tmp_path: Path) -> None:
    words = ("sample", model_file, "--seeds", "0-3", "--out", tmp_path / "out", "--save", "ply")
    told = [line for line in hgs(*words).stderr.splitlines() if ".ply: " in line]
    assert [line.split(": ")[0] for line in told] == [str(tmp_path / "out" / f"seed000{i}.ply") for i in (0, 1)]
    assert ".ply files do not keep the tree" in told[0]
    assert told[1].endswith(".ply: the same; it is not said again of the files that follow")
    every = [json.loads(line) for line in hgs(*words, "--force", "--json-progress").stdout.splitlines()]
    assert len([line for line in every if "do not keep the tree" in line.get("text", "")]) == 4


def test_sample_gives_the_same_bytes_again(hgs: Hgs, model_file: Path, tmp_path: Path) -> None:
    made(hgs("sample", model_file, "--seeds", "0-2", "--out", tmp_path / "a", "--size", 16))
    made(hgs("sample", model_file, "--seeds", "1", "--out", tmp_path / "b", "--size", 16))
    for name in ("seed0001.hgs", "seed0001.png"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_render_draws_pictures_grids_sequences_and_films(hgs: Hgs, asset_file: Path, tmp_path: Path) -> None:
    def draw(name: str, *options: object) -> list[Path]:
        return made(hgs("render", asset_file, tmp_path / name, "--size", 16, *options))

    draw("a.png")
    assert load_image(tmp_path / "a.png").shape == (16, 16, 3)
    draw("grid.png", "--frames", 4)
    assert load_image(tmp_path / "grid.png").shape == (32, 32, 3)
    assert [path.name for path in draw("f-%02d.png", "--frames", 3)] == ["f-00.png", "f-01.png", "f-02.png"]
    for suffix in ("mp4", "gif"):
        draw(f"a.{suffix}", "--frames", 5)
        assert imageio.v3.imread(tmp_path / f"a.{suffix}").shape == (5, 16, 16, 3)


@pytest.mark.parametrize("mode", ["rgb", "depth", "alpha", "normal", "level"])
def test_render_shows_every_side_of_a_scene(mode: str, hgs: Hgs, asset_file: Path, tmp_path: Path) -> None:
    made(hgs("render", asset_file, tmp_path / "a.png", "--size", 32, "--mode", mode))
    assert load_image(tmp_path / "a.png").std() > 1


def test_render_without_background_is_transparent_where_nothing_is(hgs: Hgs, asset_file: Path, tmp_path: Path) -> None:
    scene = load(asset_file)
    # Bytes with straight alpha hold colours up to 1.
    export(scene.replace(sh=scene.sh.clamp(-1.7, 1.7)), asset_file, overwrite=True)
    made(hgs("render", asset_file, tmp_path / "a.png", "--size", 32, "--background", "transparent"))
    made(hgs("render", asset_file, tmp_path / "b.png", "--size", 32, "--background", "#ff0000"))
    rgba, on_red = load_image(tmp_path / "a.png").astype(float) / 255, load_image(tmp_path / "b.png").astype(float)
    assert rgba[0, 0, 3] == 0
    composed = rgba[..., :3] * rgba[..., 3:] + np.array([1.0, 0, 0]) * (1 - rgba[..., 3:])
    np.testing.assert_allclose(composed * 255, on_red, atol=3)


def test_render_frames_a_foreign_scene_wherever_it_lies(hgs: Hgs, asset_file: Path, tmp_path: Path) -> None:
    scene = load(asset_file)
    moved = scene.replace(means=scene.means * 50 + 700, log_scales=scene.log_scales + torch.tensor(50.0).log())
    export(scene, tmp_path / "near.ply")
    export(moved, tmp_path / "far.ply")
    for name in ("near", "far"):
        made(hgs("render", tmp_path / f"{name}.ply", tmp_path / f"{name}.png", "--size", 32))
    difference = load_image(tmp_path / "near.png").astype(int) - load_image(tmp_path / "far.png")
    assert abs(difference).max() <= 3


def test_info_knows_scenes_models_runs_and_data(hgs: Hgs, asset_file: Path, model_file: Path) -> None:
    scene = hgs("info", asset_file).stdout
    assert "levels:     4 16 64" in scene
    assert "seed:       3" in scene
    assert "license:    CC0" in scene
    assert "model 'tiny'" in hgs("info", model_file).stdout
    run = hgs("info", model_file.parent).stdout
    assert "kimg:       4.0" in run
    assert "resumable:  False" in run
    facts = json.loads(hgs("info", asset_file, "--json-progress").stdout.splitlines()[0])
    assert (facts["event"], facts["gaussians"]) == ("result", 89)


def test_figures_of_a_run_that_are_no_numbers_are_null_in_json(hgs: Hgs, model_file: Path) -> None:
    (model_file.parent / "log.jsonl").write_text('{"kimg": 1, "loss": NaN, "psnr": Infinity}\n')

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    line = hgs("info", model_file.parent, "--json-progress").stdout.splitlines()[0]
    facts = json.loads(line, parse_constant=refuse)
    assert facts["last_tick"] == {"kimg": 1, "loss": None, "psnr": None}


def test_doctor_lists_what_is_there_and_how_to_get_the_rest(hgs: Hgs) -> None:
    result = hgs("doctor")
    assert result.exit_code == 0
    for word in ("torch", "CUDA", "renderer", "CPU kernels", "disk", "[meshes]"):
        assert word in result.stdout
    rows = json.loads(hgs("doctor", "--json-progress").stdout.splitlines()[-2])["rows"]
    assert all("pip install" in row["remark"] for row in rows if row["state"] == "missing")


def test_render_draws_a_grid_of_directions_nearer_on_request(hgs: Hgs, asset_file: Path, tmp_path: Path) -> None:
    size = ("--size", 32, "--background", "transparent")
    assert hgs("render", asset_file, tmp_path / "a.png", "--yaw", "0,90,180", "--pitch", "0,60", *size).exit_code == 0
    assert load_image(tmp_path / "a.png").shape[:2] == (64, 96)
    for name, zoom in (("whole", 0.5), ("near", 1.5)):
        assert hgs("render", asset_file, tmp_path / f"{name}.png", "--zoom", zoom, *size).exit_code == 0
    whole, near = (load_image(tmp_path / f"{name}.png")[..., 3].mean() for name in ("whole", "near"))
    assert near > 1.5 * whole
    for options in (("--yaw", "left"), ("--yaw", "0,90", "--frames", 3), ("--pitch", "10", "--trajectory", "orbit")):
        assert hgs("render", asset_file, tmp_path / "b.png", *options).exit_code == 2


@pytest.mark.parametrize("suffix", [".ply", ".spz", ".sog"])
def test_an_asset_looks_alike_whatever_its_format(suffix: str, hgs: Hgs, tmp_path: Path) -> None:
    # Not @3: the camera steps back in sixteenths, and .spz rounds that critter's sizes across the border of two.
    assert hgs("export", "@0", tmp_path / "a.hgs").exit_code == 0
    assert hgs("export", tmp_path / "a.hgs", tmp_path / f"a{suffix}").exit_code == 0
    images = []
    for name in ("a.hgs", f"a{suffix}"):
        out = tmp_path / f"{name}.png"
        assert hgs("render", tmp_path / name, out, "--size", 64).exit_code == 0
        images.append(load_image(out).astype(float))
    error = ((images[0] - images[1]) ** 2).mean()
    assert 10 * np.log10(255**2 / max(error, 1e-9)) >= 45
