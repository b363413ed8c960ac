"""gsplat's kernels: their compilation is announced, one process does it, and the backend asked for reaches training."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from filelock import FileLock
from typer.testing import CliRunner

from hgs_toolkit.cli.console import reporting
from hgs_toolkit.cli.kernels import compile_kernels
from hgs_toolkit.cli.main import app
from hgs_toolkit.datasets.critters.drawing import make_critters
from hgs_toolkit.rendering import choose_backend, gsplat_build


@pytest.mark.usefixtures("gpu")
def test_compiling_is_announced(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for compiled in (True, False):
        monkeypatch.setattr(gsplat_build, "kernels_are_compiled", lambda compiled=compiled: compiled)
        with reporting(False) as report:
            compile_kernels(report, "cuda")
        announced = "compiling gsplat's CUDA kernels, once on this machine" in capsys.readouterr().err
        assert announced != compiled


def test_a_process_waits_while_another_compiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = pytest.importorskip("gsplat.cuda")
    built = ModuleType("gsplat.cuda._backend")
    built._C = object()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, built.__name__, built)
    monkeypatch.setattr(cuda, "_backend", built, raising=False)
    state = gsplat_build.KernelState("1.5.3", None, True, tmp_path / "gsplat_cuda", None)
    monkeypatch.setattr(gsplat_build, "kernel_state", lambda: state)
    waiting = threading.Thread(target=gsplat_build.load_kernels)
    with FileLock(tmp_path / "gsplat_cuda.hgs.lock"):
        waiting.start()
        waiting.join(0.3)
        assert waiting.is_alive()
    waiting.join(30)
    assert not waiting.is_alive()


def test_the_backend_asked_for_reaches_a_preset_of_stages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn_with: list[str] = []

    def plan(*_: object, **__: object) -> SimpleNamespace:
        drawn_with.append(choose_backend("cpu").name)
        return SimpleNamespace(model_file=tmp_path / "none")

    monkeypatch.setattr("hgs_toolkit.training.stages.plan.train_plan", plan)
    make_critters(tmp_path / "data.zip", 2, 16)
    words = (
        "train", "--data", str(tmp_path / "data.zip"), "--out", str(tmp_path / "run"), "--preset", "critters64",
        "--device", "cpu", "--backend", "torch",
    )  # fmt: skip
    result = CliRunner().invoke(app, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert drawn_with == ["torch"]
