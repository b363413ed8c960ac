"""What goes wrong ends in one sentence, exit code 1 and no half-written file."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from hgs_toolkit import model_files

Hgs = Callable[..., Result]


@pytest.fixture
def folder(tmp_path: Path, asset_file: Path, model_file: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with good and broken files."""
    content = asset_file.read_bytes()
    (tmp_path / "short.hgs").write_bytes(content[: len(content) // 2])
    (tmp_path / "short.ply").write_text("ply\nformat ascii 1.0\nelement vertex 5\nproperty float x\nend_header\n1\n")
    (tmp_path / "short.safetensors").write_bytes(model_file.read_bytes()[:1000])
    (tmp_path / "text.txt").write_text("text")
    (tmp_path / "there.png").write_bytes(b"mine")
    (tmp_path / "there.ply").write_bytes(b"mine")
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "manifest.json").write_bytes(b"mine")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(model_files, "PRETRAINED", tmp_path / "none.safetensors")
    return tmp_path


FAILURES = [
    (["export", "a.hgs", "b.foo"], "'.foo', which is no known format; known: "),
    (["export", "missing.hgs", "b.ply"], "missing.hgs does not exist"),
    (["export", "short.hgs", "b.ply"], "short.hgs is truncated or no safetensors file"),
    (["export", "short.ply", "b.hgs"], "short.ply is truncated"),
    (["export", "text.txt", "b.hgs"], "'.txt', which is no known format"),
    (["export", "a.hgs", "there.ply"], "there.ply exists already; add --force"),
    (["export", "a.hgs", "text.txt/b.ply"], "cannot create the folder text.txt"),
    (["export", "a.hgs", "b.hgs", "--extras"], ".hgs files have no option 'extras'"),
    (["export", "a.hgs", "b.ply", "--levels", "9"], "no Gaussian has a level of [9]"),
    (["export", "a.hgs", "b.ply", "--levels", "x"], "levels 'x': 'x' is no number or range"),
    (["export", "run@1-2", "b.ply"], "'@1-2' names 2 seeds; expected one"),
    (["export", "run@x", "b.ply"], "seeds 'x': 'x' is no number or range"),
    (["export", "@1", "b.ply"], "no model was named and none ships"),
    (["export", "empty@1", "b.ply"], "the folder empty holds no model.safetensors"),
    (["export", "short.safetensors@1", "b.ply"], "short.safetensors is truncated"),
    (["sample", "--out", "s"], "no model was named and none ships"),
    (["sample", "run", "--out", "s", "--seeds", "5-1"], "'5-1' runs backwards"),
    (["sample", "run", "--out", "s", "--save", "gif"], "'.gif', which is no known format"),
    (["sample", "run", "--out", "there", "--seeds", "0"], "manifest.json exists already; add --force"),
    (["sample", "run", "--out", "text.txt", "--seeds", "0"], "cannot create the folder text.txt"),
    (["render", "a.hgs", "there.png"], "there.png exists already"),
    (["render", "a.hgs", "b.avi"], "b.avi has the suffix '.avi'; expected .png, .mp4 or .gif"),
    (["render", "a.hgs", "f-%q.png", "--frames", "2"], "no pattern of a sequence"),
    (["render", "a.hgs", "b.png", "--background", "reddish"], "background 'reddish' is no colour"),
    (["render", "a.hgs", "b.mp4", "--background", "transparent"], "a video has no transparency"),
    (
        ["train", "--init", "missing", "--data", "there", "--out", "o"],
        "missing does not exist; expected a file of 'hgs",
    ),
    (["train", "--init", "empty", "--data", "there", "--out", "o"], "holds neither state.pt nor model.safetensors"),
    (["train", "--init", "short.safetensors", "--data", "there", "--out", "o"], "short.safetensors is truncated"),
    (["import", "missing.pkl", "b.safetensors"], "cannot read missing.pkl"),
    (["import", "text.txt", "b.safetensors"], "text.txt is damaged, truncated or no pickle"),
    (["import", "text.txt", "b.pt"], "b.pt has the suffix '.pt'; expected .safetensors"),
    (["info", "missing"], "missing does not exist"),
    (["info", "text.txt"], "'.txt', which is no known format"),
    (["info", "short.safetensors"], "short.safetensors is truncated"),
    (["info", "empty"], "empty has no dataset.json"),
    (["demo", "--out", "text.txt"], "cannot create the folder text.txt"),
]


@pytest.mark.parametrize(("arguments", "message"), FAILURES, ids=lambda value: str(value)[:60])
def test_bad_input_is_one_sentence_and_changes_nothing(
    arguments: list[str], message: str, hgs: Hgs, folder: Path
) -> None:
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    result = hgs(*arguments)
    assert result.exit_code == 1
    assert message in result.stderr
    errors = [line for line in result.stderr.splitlines() if not line.endswith("...")]
    assert len(errors) == 1
    assert errors[0].startswith("error: ")
    assert result.stdout == ""
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("name", ["there.ply", "there.png"])
def test_force_replaces(name: str, hgs: Hgs, folder: Path) -> None:
    command = "export" if name.endswith("ply") else "render"
    assert hgs(command, "a.hgs", name, "--force").exit_code == 0
    assert (folder / name).read_bytes() != b"mine"


@pytest.mark.parametrize("out", ["there.ply", "new.hgs"])
def test_a_full_disk_leaves_the_old_file_and_no_rest(
    out: str, hgs: Hgs, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    names = sorted(path.name for path in folder.iterdir())
    monkeypatch.setattr(os, "fsync", full)
    result = hgs("export", "a.hgs", out, "--force")
    assert result.exit_code == 1
    assert result.stderr == f"error: cannot write {out}: {os.strerror(errno.ENOSPC)}; nothing was changed\n"
    assert (folder / "there.ply").read_bytes() == b"mine"
    assert sorted(path.name for path in folder.iterdir()) == names


STOPPED_WHILE_WRITING = """
import sys, time
from hgs_toolkit.cli.main import main
from hgs_toolkit.exporters.splats.ply import writer as ply

def blocks(scene):
    print("writing", flush=True)
    time.sleep(60)
    yield

ply.tensor_blocks = blocks
sys.argv = ["hgs", "export", "a.hgs", "there.ply", "--force"]
main()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals of this kind are POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_while_writing_leaves_the_old_file_and_no_rest(number: signal.Signals, folder: Path) -> None:
    names = sorted(path.name for path in folder.iterdir())
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", STOPPED_WHILE_WRITING], stdout=pipe, stderr=pipe, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "writing\n"
        child.send_signal(number)
        _, err = child.communicate(timeout=30)
    assert child.returncode == 1
    assert err == "error: stopped; nothing was written\n"
    assert (folder / "there.ply").read_bytes() == b"mine"
    assert sorted(path.name for path in folder.iterdir()) == names


def test_a_closed_pipe_is_no_error(folder: Path) -> None:
    shell = f'"{sys.executable}" -m hgs_toolkit.cli info a.hgs | head -1'
    done = subprocess.run(shell, shell=True, capture_output=True, text=True, check=True, cwd=folder)
    assert done.stdout.startswith("kind:")
    assert done.stderr == ""
