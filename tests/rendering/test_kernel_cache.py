"""Several processes and one cache of machine code."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest

from hgs_toolkit.rendering import locking
from hgs_toolkit.rendering.cpu import jit

KERNEL = """
import sys, time
from pathlib import Path
import numpy as np
from hgs_toolkit.rendering.cpu.jit import cached

def add_one(worker, workers, value):
    value[0] += 1

compiled = cached(add_one)
Path(sys.argv[2] + ".ready").touch()
while len(list(Path(sys.argv[1]).glob("*.ready"))) < int(sys.argv[3]):  # all begin together
    time.sleep(0.01)
for kind in sys.argv[4:]:
    value = np.zeros(1, kind)
    compiled(0, 1, value)
    assert value[0] == 1, (kind, value)
print(sum(compiled.stats.cache_hits.values()))
"""

WARM_UP = """
import hgs_toolkit.rendering as r
r.warm_up()
assert not r.needs_compiling()
from hgs_toolkit.rendering.cpu import jit
print(sum(sum(k.stats.cache_misses.values()) for k in jit._kernels))
"""


def start(cache: Path, *arguments: object) -> subprocess.Popen[str]:
    """A Python of its own."""
    environment = os.environ | {"NUMBA_CACHE_DIR": str(cache)}
    return subprocess.Popen([sys.executable, *map(str, arguments)], env=environment, stdout=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> str:
    out, _ = process.communicate(timeout=240)
    assert process.returncode == 0
    return out.strip()


def test_processes_that_compile_other_variants_at_the_same_moment_keep_all_of_them(tmp_path: Path) -> None:
    file, cache = tmp_path / "kernel.py", tmp_path / "cache"
    file.write_text(KERNEL)
    kinds = ("float32", "float64", "int32")
    processes = [start(cache, file, tmp_path, tmp_path / kind, len(kinds), kind) for kind in kinds]
    assert [finish(process) for process in processes] == ["0", "0", "0"]
    assert finish(start(cache, file, tmp_path, tmp_path / "last", 1, *kinds)) == "3", "all three are found"


@pytest.mark.slow
def test_of_two_processes_on_a_fresh_cache_one_compiles_and_the_other_waits_for_it(tmp_path: Path) -> None:
    misses = sorted(int(finish(process)) for process in [start(tmp_path, "-c", WARM_UP) for _ in range(2)])
    assert misses[0] == 0
    assert misses[1] > 0


def test_code_that_cannot_be_kept_or_read_is_compiled_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    compiled = jit.cached(count_up)
    folder = Path(compiled.stats.cache_path)
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    folder.write_text("not a folder any more")
    value = np.zeros(1)
    with caplog.at_level(logging.WARNING):
        compiled(value)
    assert value[0] == 1
    assert "cannot be kept" in caplog.text

    folder.unlink()
    jit.cached(count_up)(value)
    (index,) = folder.glob("*.nbi")
    index.write_bytes(b"")  # as after a power failure
    jit.cached(count_up)(value)
    assert index.stat().st_size > 0
    assert value[0] == 3


def test_a_lock_that_cannot_be_made_does_not_stop_the_work(tmp_path: Path) -> None:
    with locking.locked(tmp_path / "no folder" / "x.lock"):
        pass
    with locking.locked(tmp_path / "x.lock"):
        assert (tmp_path / "x.lock").exists()


def count_up(value: np.ndarray[tuple[int], np.dtype[np.float64]]) -> None:
    value[0] += 1
