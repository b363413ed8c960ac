"""Snapshots that are cut short, lack something or hold something else: one error that names it, whatever the bytes."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch
from torch import Tensor

from hgs_toolkit.errors import CheckpointError
from hgs_toolkit.gsgan.snapshot import import_gsgan
from tests.parity import lookalike
from tests.parity.snapshots import STATES, mutate, small_snapshot, write


@pytest.mark.parametrize("part", [0.001, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_snapshot_ends_in_one_error(tmp_path: Path, snapshot_file: Path, part: float) -> None:
    data = snapshot_file.read_bytes()
    path = tmp_path / "a.pkl"
    path.write_bytes(data[: int(len(data) * part)])
    with pytest.raises(CheckpointError, match=r"a\.pkl"):
        import_gsgan(path)


def changed(state: dict[str, Tensor], **changes: Tensor | None) -> dict[str, Tensor]:
    merged = state | {name.replace("__", "."): value for name, value in changes.items()}
    return {name: value for name, value in merged.items() if value is not None}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"point_gen__blocks__block_8__0__conv_w__0__weight": None}, "lacks"),
        ({"point_gen__blocks__block_8__0__surprise": torch.zeros(2)}, "surprise"),
        ({"point_gen__out_layers__xyz__block_8__0__weight": torch.zeros(3, 24)}, "block_8|shape|expected"),
        ({"mapping_network__fc1__weight": torch.zeros(16)}, "fc1"),
        ({"_xyz": torch.zeros(32)}, "_xyz"),
        ({"point_gen__conv_in__const_pe__const_pe": torch.zeros(())}, "fit"),
    ],
)
def test_a_generator_of_another_layout_is_refused_by_name(
    tmp_path: Path, changes: dict[str, Tensor | None], message: str
) -> None:
    state = changed(STATES["G"], **changes)
    path = write(tmp_path / "a.pkl", lambda: lookalike.snapshot(state, state, STATES["D"]))
    with pytest.raises(CheckpointError, match=message):
        import_gsgan(path)


@pytest.mark.parametrize("missing", ["G", "D", "G_ema"])
def test_a_missing_network_is_named(tmp_path: Path, missing: str) -> None:
    path = write(tmp_path / "a.pkl", lambda: {k: v for k, v in small_snapshot().items() if k != missing})
    with pytest.raises(CheckpointError, match=f"'{missing}'"):
        import_gsgan(path)


def test_a_missing_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"nothing\.pkl"):
        import_gsgan(tmp_path / "nothing.pkl")


def run_mutations(data: bytes, path: Path, count: int, seed: int) -> int:
    """Imports of mutated files that failed, all of them cleanly."""
    rng, failures = random.Random(seed), 0
    for _ in range(count):
        path.write_bytes(mutate(data, rng))
        try:
            import_gsgan(path)
        except CheckpointError:
            failures += 1
    return failures


def test_two_thousand_mutations_of_a_tiny_snapshot_give_clean_errors_only(tmp_path: Path) -> None:
    tiny = {"a.weight": torch.ones(2, 2), "b.0.w_avg": torch.zeros(3)}
    path = write(tmp_path / "a.pkl", lambda: lookalike.snapshot(tiny, tiny, tiny))
    assert run_mutations(path.read_bytes(), path, 2000, seed=0) == 2000  # it lacks all that a generator needs


def test_mutations_of_a_whole_snapshot_give_clean_errors_or_a_whole_import(tmp_path: Path, snapshot_file: Path) -> None:
    assert run_mutations(snapshot_file.read_bytes(), tmp_path / "a.pkl", 40, seed=1) > 0
