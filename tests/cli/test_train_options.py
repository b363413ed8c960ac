"""Options of ``hgs train`` that are refused before anything is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Hgs


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--minutes", "-3"), "-3; expected more than 0"),
        (("--minutes", "0"), "0; expected more than 0"),
        (("--minutes", "nan"), "nan; expected more than 0"),
        (("--snap", "-1"), "'--snap' is '-1'; expected at least 0"),
    ],
)
def test_limits_and_intervals_out_of_range_are_wrong_usage(
    options: tuple[str, ...], message: str, hgs: Hgs, tmp_path: Path
) -> None:
    result = hgs("train", "--data", "none.zip", "--preset", "critters32", "--out", tmp_path / "run", *options)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
    assert not (tmp_path / "run").exists()


def test_a_resolution_that_no_stage_has_is_refused_before_anything_is_converted(hgs: Hgs, tmp_path: Path) -> None:
    result = hgs("train", "--data", tmp_path, "--out", tmp_path / "run", "--resolution", "48")
    assert result.exit_code == 2
    assert "48; expected one of 16, 32, 64, 128, 256, 512" in " ".join(result.stderr.split())
    assert not (tmp_path / "run").exists()


def test_a_negative_measuring_interval_is_named(hgs: Hgs, tmp_path: Path) -> None:
    (tmp_path / "set.zip").touch()
    result = hgs(
        "train", "--data", tmp_path / "set.zip", "--preset", "critters32", "--out", tmp_path / "run",
        "--set", "training.metric_kimg=-1",
    )  # fmt: skip
    assert result.exit_code == 1
    assert "training.metric_kimg is -1.0; expected 0 or more" in result.stderr


def test_under_torchrun_only_the_first_process_tells_of_wrong_usage(
    hgs: Hgs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for rank, said in (("0", 1), ("1", 0)):
        monkeypatch.setenv("RANK", rank)
        for wrong in (("--minutes", "-3"), ("--nonsense",)):
            result = hgs("train", "--data", "none.zip", "--preset", "critters32", "--out", tmp_path / "run", *wrong)
            assert (result.exit_code, len(result.stderr.splitlines())) == (2, said)
