"""hgs video, hgs mix and the looks of hgs render: what they write, and that a stop leaves nothing half written."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import av
import imageio.v3
import pytest
import torch
from typer.testing import Result

from hgs_toolkit import model_files
from hgs_toolkit.asset import load_asset
from hgs_toolkit.cli.sources import open_scene
from hgs_toolkit.imaging.images import load_image
from hgs_toolkit.imaging.looks import subtree

Hgs = Callable[..., Result]


def frames_and_size(path: Path) -> tuple[int, int, int]:
    """Decoded frames, width and height, by the av library."""
    with av.open(str(path)) as container:
        decoded = [(frame.width, frame.height) for frame in container.decode(video=0)]
    assert len(set(decoded)) == 1
    return len(decoded), *decoded[0]


@pytest.mark.parametrize("kind", ["interpolate", "grow", "shrink", "levels", "mix"])
@pytest.mark.parametrize("suffix", [".mp4", ".gif"])
def test_every_kind_of_film_opens_with_all_its_frames(
    kind: str, suffix: str, hgs: Hgs, model_file: Path, tmp_path: Path
) -> None:
    out = tmp_path / f"film{suffix}"
    result = hgs("video", model_file, out, "--kind", kind, "--seeds", "0-2", "--frames", 7, "--size", 32)
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{out}\n"
    assert frames_and_size(out) == (7, 64 if kind == "levels" else 32, 32)


def test_panes_and_numbered_pictures(hgs: Hgs, model_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "p-%02d.png"
    result = hgs("video", model_file, out, "--seeds", "0-3", "--panes", 2, "--frames", 3, "--size", 16)
    assert result.exit_code == 0, result.output
    assert [load_image(tmp_path / f"p-{i:02d}.png").shape for i in range(3)] == [(16, 32, 3)] * 3


def test_the_model_that_ships_is_the_default(
    hgs: Hgs, model_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_files, "PRETRAINED", model_file)
    assert hgs("video", tmp_path / "a.mp4", "--frames", 2, "--size", 16).exit_code == 0
    assert hgs("mix", tmp_path / "a.png", "--rows", "0", "--cols", "1").exit_code == 0
    assert hgs("mix", tmp_path / "a", tmp_path / "b", tmp_path / "c.png").exit_code == 2


def test_mix_writes_one_labelled_sheet(hgs: Hgs, model_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "mix.png"
    arguments = ("mix", model_file, out, "--rows", "0,1", "--cols", "2-4", "--levels", "1-2", "--size", 32)
    assert hgs(*arguments).stdout == f"{out}\n"
    height, width, channels = load_image(out).shape
    assert (height, channels) == (3 * 34 - 2 + 18, 3)
    assert width > 4 * 34
    assert hgs(*arguments).exit_code == 1  # it is there already
    assert hgs(*arguments, "--force").exit_code == 0


@pytest.mark.parametrize("mode", ["ellipsoid", "anchors"])
def test_render_draws_ellipsoids_and_anchors_of_a_model_and_seed(
    mode: str, hgs: Hgs, model_file: Path, tmp_path: Path
) -> None:
    out = tmp_path / "a.gif"
    result = hgs("render", f"{model_file}@1", out, "--mode", mode, "--frames", 3, "--size", 32, "--opaque")
    assert result.exit_code == 0, result.output
    film = imageio.v3.imread(out)
    assert film.shape == (3, 32, 32, 3)
    assert film.std() > 1


def test_render_animates_a_file(hgs: Hgs, asset_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "grow.mp4"
    result = hgs("render", asset_file, out, "--animate", "grow", "--frames", 6, "--size", 32)
    assert result.exit_code == 0, result.output
    assert frames_and_size(out) == (6, 32, 32)


def test_a_subtree_is_chosen_before_its_levels(hgs: Hgs, asset_file: Path, tmp_path: Path) -> None:
    scene = load_asset(asset_file).scene
    below = subtree(scene, 2).levels(2)
    shown = open_scene(str(asset_file), 0.7, "cpu", "2", "white", root=2).scene
    assert torch.equal(shown.means, below.means)
    refused = hgs("render", asset_file, tmp_path / "a.png", "--subtree", 5, "--levels", 0)
    assert refused.exit_code == 1
    assert "the scene's levels are 1, 2" in refused.stderr


def test_a_per_cent_sign_in_a_films_name_is_part_of_it(hgs: Hgs, asset_file: Path, tmp_path: Path) -> None:
    result = hgs("render", asset_file, tmp_path / "100%d.gif", "--frames", 2, "--size", 16)
    assert result.exit_code == 0, result.stderr
    assert [file.name for file in tmp_path.glob("100*")] == ["100%d.gif"]
    assert (tmp_path / "100%d.gif").read_bytes().startswith(b"GIF")


def test_render_of_a_subtree_and_of_levels_colours(hgs: Hgs, asset_file: Path, tmp_path: Path) -> None:
    pictures = []
    for index, options in enumerate([(), ("--subtree", 2), ("--by-level",), ("--opaque",)]):
        out = tmp_path / f"{index}.png"
        result = hgs("render", asset_file, out, "--size", 32, "--background", "white", *options)
        assert result.exit_code == 0, result.output
        pictures.append(load_image(out).astype(float))
    assert pictures[1].mean() > pictures[0].mean()  # more of the white shows
    assert pictures[3].mean() < pictures[0].mean()
    assert abs(pictures[2] - pictures[0]).max() > 30


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("video", "M", "a.avi"), "expected .png, .mp4 or .gif"),
        (("video", "M", "a.mp4", "--seeds", "1"), "needs 2"),
        (("video", "M", "a.mp4", "--background", "transparent"), "a video has no transparency"),
        (("video", "M", "a.mp4", "--kind", "mix", "--levels", "9"), "levels [9] cannot be mixed"),
        (("mix", "M", "a.mp4"), "expected .png"),
        (("mix", "M", "a.png", "--levels", "7"), "levels [7] cannot be mixed"),
        (("mix", "M", "a.png", "--rows", "0-99"), "expected at most 64"),
        (("render", "A", "a.png", "--mode", "anchors"), "carries no anchors"),
        (("render", "A", "a.png", "--subtree", "89"), "Gaussian 89; expected 0 to 88"),
    ],
)  # fmt: skip
def test_bad_input_is_one_sentence_and_leaves_nothing(
    arguments: tuple[str, ...], message: str, hgs: Hgs, model_file: Path, asset_file: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    names = {"M": str(model_file), "A": str(asset_file)}
    result = hgs(*(names.get(argument, argument) for argument in arguments))
    assert result.exit_code == 1
    assert message in result.stderr
    assert sorted(tmp_path.rglob("*")) == before


STOPPED_WHILE_FILMING = """
import sys, time
from hgs_toolkit.imaging import animation as films
from hgs_toolkit.cli.main import main

draw = films._draw
count = 0

def slowly(*arguments):
    global count
    count += 1
    if count == 4:
        print("filming", flush=True)
        time.sleep(60)
    return draw(*arguments)

films._draw = slowly
sys.argv = ["hgs", "video", sys.argv[1], sys.argv[2], "--kind", "grow", "--frames", "9", "--size", "32"]
main()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals of this kind are POSIX")
@pytest.mark.parametrize("out", ["film.mp4", "film.gif", "p-%d.png"])
def test_ctrl_c_leaves_no_half_film(out: str, model_file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    command = [sys.executable, "-c", STOPPED_WHILE_FILMING, str(model_file), str(folder / out)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        while "filming" not in (line := child.stdout.readline()):
            assert line
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=60)
    assert child.returncode == 1
    left = sorted(path.name for path in folder.iterdir()) if folder.exists() else []
    if out.endswith(".png"):
        assert left == ["p-0.png", "p-1.png", "p-2.png"]
        assert "stopped; already there: " in err
        assert load_image(folder / "p-2.png").shape == (32, 32, 3)
    else:
        assert left == []
        assert err.endswith("error: stopped; nothing was written\n")
