"""``hgs eval`` as a user meets it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hgs_toolkit.datasets.critters.drawing import make_critters
from hgs_toolkit.datasets.eg3d import open_dataset
from tests.cli.conftest import Hgs

QUICK = ("--extractor", "randconv", "--count", "20", "--metrics", "kid,fid_3d,diversity")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    make_critters(tmp_path / "real.zip", 40, 16)
    return tmp_path / "real.zip"


def test_numbers_are_a_table_and_a_file(hgs: Hgs, model_file: Path, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "numbers.json"
    result = hgs("eval", model_file, "--data", data, "--out", out, *QUICK)
    assert result.exit_code == 0, result.stderr
    stored = json.loads(out.read_text())
    for name in ("kid_randconv", "fid_3d_randconv", "spread_randconv", "coverage_randconv"):
        assert name in result.stdout
        assert name in [figure["name"] for figure in stored["figures"]]
    assert stored["model"]["sha256"] == stored["figures"][0]["conditions"]["model_sha256"]
    digest = open_dataset(data).digest
    assert stored["data"] == {"path": "real.zip", "images": 40, "stored_resolution": 16, "sha256": digest}


def test_numbers_are_events_for_programs(hgs: Hgs, model_file: Path, data: Path) -> None:
    result = hgs("eval", model_file, "--data", data, "--json-progress", *QUICK)
    events = [json.loads(line) for line in result.stdout.splitlines()]
    (table,) = [event for event in events if event["event"] == "result"]
    first = table["rows"][0]
    assert first["measure"] == "kid_randconv"
    assert isinstance(first["value"], float)
    assert (first["count"], set(first)) == (20, {"measure", "value", "std", "real_or_true", "unit", "count"})
    assert events[-1]["event"] == "done"


def test_nothing_is_replaced_without_force(hgs: Hgs, model_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "numbers.json"
    out.write_text("mine")
    result = hgs("eval", model_file, "--out", out, "--metrics", "timing")
    assert result.exit_code == 1
    assert out.read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--metrics", "kid"), "--data"),
        (("--data", "missing.zip", "--extractor", "randconv"), "missing.zip"),
    ],
)
def test_mistakes_are_one_sentence(hgs: Hgs, model_file: Path, tmp_path: Path, arguments: tuple[str, ...],
                                   message: str) -> None:  # fmt: skip
    out = tmp_path / "numbers.json"
    result = hgs("eval", model_file, "--out", out, *arguments)
    assert result.exit_code == 1
    (sentence,) = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert message in sentence
    assert "Traceback" not in result.stderr
    assert not out.exists()


ALONE = "is compared with real images, so nothing would change"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--metrics timing --inception none --count 100 --extractor randconv",
         f"--count, --extractor, --inception: without --data nothing {ALONE}"),
        ("--resolution 16", f"--resolution: without --data nothing {ALONE}"),
        ("--metrics consistency --data DATA --resolution 16", f"--data, --resolution: none of consistency {ALONE}"),
        ("--metrics kid --data DATA --extractor ,", "'--extractor': it names nothing"),
        ("--metrics ,", "'--metrics': it names nothing"),
    ],
)  # fmt: skip
def test_options_that_would_change_nothing_are_refused(
    hgs: Hgs, model_file: Path, data: Path, arguments: str, message: str
) -> None:
    result = hgs("eval", model_file, *arguments.replace("DATA", str(data)).split())
    assert (result.exit_code, message in result.stderr) == (2, True), result.stderr


def test_a_folder_in_place_of_the_report_is_refused_before_measuring(
    hgs: Hgs, model_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hgs_toolkit.evaluation.evaluate", lambda *_, **__: pytest.fail("it measures"))
    result = hgs("eval", model_file, "--metrics", "timing", "--out", tmp_path, "--force")
    assert result.exit_code == 1
    assert f"{tmp_path} is a folder; expected the name of a JSON file" in result.stderr


def test_a_metric_that_too_few_images_allow_is_said_and_no_empty_report_is_written(
    hgs: Hgs, model_file: Path, data: Path, tmp_path: Path
) -> None:
    quick = ("--extractor", "randconv", "--metrics", "sectors", "--out", tmp_path / "numbers.json")
    result = hgs("eval", model_file, "--data", data, "--count", 20, *quick)
    assert result.exit_code == 1
    assert "nothing of sectors could be measured" in result.stderr
    assert not (tmp_path / "numbers.json").exists()
