"""What goes wrong while a command writes ends in one sentence, exit code 1 and no half-written file."""

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
    """A working folder with an asset, a model and files of the user."""
    (tmp_path / "there.png").write_bytes(b"mine")
    (tmp_path / "there.ply").write_bytes(b"mine")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(model_files, "PRETRAINED", tmp_path / "none.safetensors")
    return tmp_path


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

ply.bounded_blocks = blocks
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
