"""Damaged files of every format that is read: a clear error or a scene, quickly and in little memory."""

from __future__ import annotations

import logging
import signal
from pathlib import Path

import pytest

from hgs_toolkit.exporters.splat_format import SplatFormat
from tests.exporters.splats.mutations import CASES, USD, check

ALL_MUTATIONS = 20_000
FEW_MUTATIONS = (150, 60, 60, 60)
"""Number of mutations of a format's first and further kinds of files."""


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Readers may warn of what they skip; thousands of records would be kept otherwise."""
    caplog.set_level(logging.CRITICAL)


@pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="needs POSIX signals")
@pytest.mark.parametrize(("row", "kind"), CASES, ids=lambda value: getattr(value, "suffix", value))
def test_a_few_damaged_files_are_refused_or_read(row: SplatFormat, kind: int, tmp_path: Path) -> None:
    check(row, FEW_MUTATIONS[kind], tmp_path, kind)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="needs POSIX signals")
@pytest.mark.parametrize(("row", "kind"), CASES, ids=lambda value: getattr(value, "suffix", value))
def test_twenty_thousand_damaged_files_are_refused_or_read(row: SplatFormat, kind: int, tmp_path: Path) -> None:
    check(row, -(-ALL_MUTATIONS // len(CASES)), tmp_path, kind)


@pytest.mark.parametrize("row", USD, ids=lambda row: row.suffix)
def test_a_few_damaged_files_of_usd_are_refused_or_read(row: SplatFormat, tmp_path: Path) -> None:
    pytest.importorskip("pxr")
    check(row, 10, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("row", USD, ids=lambda row: row.suffix)
def test_damaged_files_of_usd_are_refused_or_read(row: SplatFormat, tmp_path: Path) -> None:
    pytest.importorskip("pxr")
    check(row, 120, tmp_path)
