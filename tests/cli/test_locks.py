"""Two commands never write into one output: the second one names the first; a lock of a dead process is no lock."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import Result

from hgs_toolkit.cli.locks import locked
from hgs_toolkit.errors import HgsError

Hgs = Callable[..., Result]

HOLDER = """
import sys, time
from pathlib import Path
from hgs_toolkit.cli.locks import locked

with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@contextmanager
def held(out: Path) -> Iterator[int]:
    """Another process that holds ``out`` until it is killed; its id."""
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(out)], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        try:
            yield child.pid
        finally:
            child.kill()


COMMANDS = [
    "export A OUT.ply", "render A OUT.png", "share A OUT.html", "mesh A OUT.glb", "mix M OUT.png", "video M OUT.mp4",
    "sample M --out OUT", "invert critter:1 M --out OUT", "dataset demo --out OUT.zip --count 1",
    "train --data DATA --preset critters32 --out OUT", "eval M --data DATA --out OUT.json",
]  # fmt: skip


def test_every_command_respects_what_another_process_writes(
    hgs: Hgs, asset_file: Path, model_file: Path, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    for line in COMMANDS:
        names = {"A": asset_file, "M": model_file.parent, "DATA": tmp_path / "data"}
        words = [str(names.get(word, word)).replace("OUT", str(tmp_path / "out")) for word in line.split()]
        out = Path(next(word for word in reversed(words) if str(tmp_path / "out") in word))
        with held(out) as process:
            result = hgs(*words)
        assert result.exit_code == 1, line
        expected = rf"error: \S+ is being written by process {process}, which began at \d{{4}}-[-\d: ]+; wait for it"
        assert re.match(expected, result.stderr.splitlines()[-1]), (line, result.stderr)
        assert not out.exists(), line


def test_a_lock_of_a_killed_process_is_taken_over(hgs: Hgs, asset_file: Path, tmp_path: Path) -> None:
    with held(tmp_path / "b.ply"):
        pass
    assert hgs("export", asset_file, tmp_path / "b.ply").exit_code == 0


def test_a_lock_is_given_back_and_parts_do_not_exclude_each_other(tmp_path: Path) -> None:
    busy = pytest.raises(HgsError, match=f"process {os.getpid()}")
    with locked(tmp_path, "0/2"), locked(tmp_path, "1/2"), busy, locked(tmp_path, "0/2"):
        pass
    with locked(tmp_path, "0/2"):
        pass
    assert list(tmp_path.iterdir()) == []
