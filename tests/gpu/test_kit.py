"""The kit of ``gpu/`` in its dry mode on the CPU: steps, time limits, logs, collection."""

from __future__ import annotations

import importlib.util
import json
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest
import torch
from safetensors.torch import load_file, save_file

ROOT = Path(__file__).resolve().parents[2]


def load(name: str) -> ModuleType:
    """A script of ``gpu/`` as a module."""
    spec = importlib.util.spec_from_file_location(f"gpu_kit_{name}", ROOT / "gpu" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def steps() -> ModuleType:
    """``gpu/steps.py``."""
    return load("steps")


def python(code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", code)


def test_a_failing_step_and_a_slow_one_stop_neither_the_others_nor_the_table(
    steps: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "GRACE_SECONDS", 1.0)
    child = "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {!r}]); time.sleep(60)".format(
        f"import time; time.sleep(4); open({str(tmp_path / 'survived')!r}, 'w')"
    )
    planned = [
        steps.Step("fails", python("print('so far'); raise SystemExit(3)"), 30),
        steps.Step("hangs", python(child), 1.5),
        steps.Step("works", python("print('first'); print('42 images a second')"), 30),
    ]
    notes: list[str] = []
    outcomes = steps.run_steps(planned, tmp_path, notes.append)
    assert [outcome.state for outcome in outcomes] == ["failed", "timeout", "ok"]
    assert outcomes[0].code == 3
    lines = [json.loads(line) for line in (tmp_path / "steps.jsonl").read_text().splitlines()]
    assert [line["name"] for line in lines] == ["fails", "hangs", "works"]
    assert lines[2]["last"] == "42 images a second"
    assert (tmp_path / "works.log").read_text().startswith("first")
    assert json.loads((tmp_path / "now.json").read_text())["step"] == "works"
    assert "timeout" in notes[-1]
    time.sleep(4)
    assert not (tmp_path / "survived").exists(), "a step's children end with it"


def test_the_plan_fits_its_time_and_the_dry_plan_is_the_same_on_the_cpu(steps: ModuleType, tmp_path: Path) -> None:
    real, dry = steps.check_steps(tmp_path, dry=False), steps.check_steps(tmp_path, dry=True)
    assert [step.name for step in real] == [step.name for step in dry]
    assert sum(step.seconds for step in real) <= 10 * 60
    assert not any("cuda" in word for step in dry for word in step.command)
    (train, _collect) = steps.train_steps(tmp_path, dry=False, minutes=8)
    assert "--dry" not in train.command


def test_the_table_of_times_is_measured_in_dry_mode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["bench.py", "--dry", "--out", str(tmp_path / "bench.json")])
    assert load("bench").main() == 0
    report = json.loads((tmp_path / "bench.json").read_text())
    assert report["device"] == "CPU, dry"
    assert report["rows"][0]["eager_ms"] > 0


def test_a_report_fills_its_page_between_the_marks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report, page = load("report"), tmp_path / "page.md"
    page.write_text(f"# Title\n{report.BEGIN}\nNot run yet.\n{report.END}\nthe rest\n")
    steps = [
        {"name": "parity", "state": "failed", "code": 1, "seconds": 9.0, "last": "old"},
        {"name": "parity", "state": "ok", "code": 0, "seconds": 31.24, "last": "35 passed | /home/someone/x"},
    ]
    (tmp_path / "steps.jsonl").write_text("".join(json.dumps(step) + "\n" for step in steps))
    rows = [{"what": "GPU", "state": "a card", "remark": "CUDA 13"}, {"what": "disk", "state": "x", "remark": ""}]
    (tmp_path / "doctor.log").write_text("a warning\n" + json.dumps({"event": "result", "rows": rows}) + "\n")
    (tmp_path / "bench.json").write_text(json.dumps({"rows": [{"size": 256, "eager_ms": 2.50001}]}))
    monkeypatch.setattr(sys, "argv", ["report.py", str(tmp_path), "--page", str(page)])
    assert report.main() == 0
    text = page.read_text()
    assert text.startswith("# Title\n")
    assert text.endswith("the rest\n")
    for line in ("| GPU | a card | CUDA 13 |", "| parity | ok | 31.2 | 35 passed   ... |", "| 256 | 2.5 |"):
        assert line in text
    assert "old" not in text
    assert "disk" not in text
    before = text
    monkeypatch.setattr(sys, "argv", ["report.py", str(tmp_path), "--page", str(page), "--dry"])
    assert report.main() == 0
    assert page.read_text() == before, "a dry run says nothing about hardware"
    assert "Dry run" in (tmp_path / "gpu.md").read_text()


def test_the_page_of_results_has_the_marks_and_claims_no_hardware() -> None:
    report, text = load("report"), (ROOT / "docs" / "results" / "gpu.md").read_text()
    found = text.partition(report.BEGIN)[2].partition(report.END)[0].strip()
    assert found == "Not run yet." or "Run on the GPU named here" in found


def test_memory_is_that_of_the_tensors_that_live_at_once() -> None:
    counter = load("memory").LiveTensors()
    with counter:
        kept = torch.zeros(1000)
        for _ in range(3):
            passing = kept.repeat(10)
            passing.view(-1).add_(1)  # no new memory
            del passing
    assert counter.peak == 44_000
    assert counter.live == 4_000


def test_what_is_taken_home_is_small_and_in_half_precision(tmp_path: Path) -> None:
    from PIL import Image

    run, out = tmp_path / "run", tmp_path / "collected"
    (run / "samples").mkdir(parents=True)
    save_file({"a": torch.full((4,), 1 / 3), "n": torch.arange(3)}, run / "model.safetensors", {"kimg": "4"})
    (run / "log.jsonl").write_text("{}\n")
    for number in range(6):
        Image.new("RGB", (8, 8), (number, 0, 0)).save(run / "samples" / f"kimg-{number:09.3f}.png")
    made = load("collect").collect(tmp_path, out)
    assert {path.name for path in made} == {"model.safetensors", "log.jsonl", "samples.jpg"}
    tensors = load_file(out / "model.safetensors")
    assert tensors["a"].dtype == torch.float16
    assert tensors["n"].dtype == torch.int64
    with Image.open(out / "samples.jpg") as row:
        assert row.size == (32, 8)
