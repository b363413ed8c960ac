"""``hgs train --processes``: several processes train as one, speak with one voice, and end together."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from typer.testing import Result

from hgs_toolkit.datasets.critters.drawing import make_critters
from hgs_toolkit.settings_io import config_from_dict, config_to_yaml
from tests.training.conftest import TINY

Hgs = Callable[..., Result]

pytestmark = pytest.mark.skipif(os.name != "posix", reason="asks /proc and sends signals")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set of 16 pixels and the settings of a small and of a long run."""
    root = tmp_path_factory.mktemp("together")
    make_critters(root / "set.zip", 8, 16)
    for name, kimg in (("tiny", 0.04), ("long", 100)):
        training = TINY["training"] | {"kimg": kimg}
        (root / f"{name}.yaml").write_text(config_to_yaml(config_from_dict(TINY | {"training": training})))
    return root


def start(folder: Path, out: str, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "hgs_toolkit.cli", "train", "--data", "set.zip", "--out", out, "--processes", "2"]
    return subprocess.Popen(
        [*command, *words], cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )  # fmt: skip


def children(process: subprocess.Popen[str]) -> list[int]:
    """Process ids of the two that train, in their order."""
    text = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    return [int(word) for word in text.split()]


def wait_for_steps(process: subprocess.Popen[str], folder: Path) -> list[int]:
    """Wait until a run has its first tick; returns :func:`children`."""
    while not (folder / "state.pt").is_file():
        assert process.poll() is None
        time.sleep(0.1)
    return children(process)


def steps_in(run: Path) -> list[int]:
    return [json.loads(line)["step"] for line in (run / "log.jsonl").read_text().splitlines()]


@pytest.fixture
def long_run(folder: Path, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], Path, list[int]]]:
    """A run of two processes that has made its first tick."""
    process = start(folder, str(tmp_path / "run"), "--config", "long.yaml")
    pids = wait_for_steps(process, tmp_path / "run")
    yield process, tmp_path / "run", pids
    process.kill()


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.slow
def test_two_processes_train_and_one_speaks(folder: Path) -> None:
    process = start(folder, "run", "--config", "tiny.yaml")
    stdout, stderr = process.communicate(timeout=300)
    assert (process.returncode, stdout) == (0, "run/model.safetensors\n")
    assert stderr.count("poses measured") == 1
    assert "error:" not in stderr
    assert steps_in(folder / "run")[-1] == 10
    again = start(folder, "run", "--config", "tiny.yaml")
    stdout, stderr = again.communicate(timeout=300)
    assert (again.returncode, stdout) == (1, "")
    assert [line for line in stderr.splitlines() if not re.match("poses|warning", line)] == [
        "error: run holds a run already; add --resume to continue it or choose another folder"
    ]


@pytest.mark.slow
def test_an_interruption_saves_and_ends_all(long_run: tuple[subprocess.Popen[str], Path, list[int]]) -> None:
    process, run, pids = long_run
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=120)
    assert (process.returncode, stdout) == (0, f"{run / 'model.safetensors'}\n")
    assert stderr.count("stopping after this step, the state is being saved") == 1
    assert not any(map(is_running, pids))


@pytest.mark.slow
def test_a_process_that_is_killed_ends_all_with_one_sentence(
    long_run: tuple[subprocess.Popen[str], Path, list[int]],
) -> None:
    process, run, pids = long_run
    os.kill(pids[1], signal.SIGKILL)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 1
    assert [line for line in stderr.splitlines() if not re.match("step|poses|warning", line)] == [
        "error: process 1 of 2 was ended by SIGKILL; --resume goes on from what was saved last"
    ]
    assert not is_running(pids[0])
    assert steps_in(run)


@pytest.mark.slow
def test_without_its_launcher_a_run_is_saved_and_ends(
    long_run: tuple[subprocess.Popen[str], Path, list[int]],
) -> None:
    process, run, pids = long_run
    process.kill()
    process.communicate()
    limit = time.monotonic() + 60
    while any(map(is_running, pids)) and time.monotonic() < limit:
        time.sleep(0.1)
    assert not any(map(is_running, pids))
    assert (run / "model.safetensors").is_file()


def test_wrong_usage_starts_no_process(hgs: Hgs, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr(subprocess, "Popen", refuse)
    for words in (["--processes", "0"], ["--processes", "2", "--minutes", "-1"]):
        result = hgs("train", "--data", "none.zip", "--preset", "critters32", "--out", "run", *words)
        assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1)
    result = hgs("train", "--data", "none.zip", "--preset", "critters32", "--out", "run", "--processes", "2")
    assert (result.exit_code, result.stderr.split(";")[0]) == (1, "error: none.zip does not exist")


def test_the_processes_are_given_the_words_of_the_command(
    hgs: Hgs, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[str] = []

    def run(words: Sequence[str], count: int) -> int:
        given.extend(words)
        return 10 + count

    monkeypatch.setattr("hgs_toolkit.cli.train.run_processes", run)
    words = ["--data", str(folder / "set.zip"), "--out", "run", "--preset", "critters32", "--set", "training.batch=8",
             "--set", "training.kimg=1", "--snap", "2.5", "--resume"]  # fmt: skip
    (folder / "run").mkdir(exist_ok=True)
    monkeypatch.chdir(folder)
    (folder / "run" / "state.pt").touch()
    assert hgs("train", *words, "--processes", "3").exit_code == 13
    assert given[0] == "train"
    assert sorted(given[1:]) == sorted(words)


def test_under_torchrun_no_further_processes_are_started(
    hgs: Hgs, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    words = ["--data", folder / "set.zip", "--preset", "critters32", "--out", folder / "new", "--processes", "2"]
    result = hgs("train", *words)
    assert result.exit_code == 2
    assert "torchrun has started the processes already" in result.stderr
