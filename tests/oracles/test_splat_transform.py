"""PlayCanvas' splat-transform (npm) reads what we write, and we read what it writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from hgs_toolkit.exporters.splats.stored import splats_of
from hgs_toolkit.exporters.table import export, load
from tests.exporters.splats.accuracy import BOUNDS, differences, file_order, matched, reference_scene
from tests.oracles.conftest import RunNode
from tests.oracles.test_pip_oracles import RAW, SAME

pytestmark = pytest.mark.oracle


@pytest.mark.parametrize("suffix", [".ply", ".spz", ".sog", ".compressed.ply", ".splat"])
@pytest.mark.parametrize("degree", [0, 3])
def test_it_reads_ours_as_we_do(suffix: str, degree: int, splat_transform: RunNode, tmp_path: Path) -> None:
    scene = reference_scene(degree)
    ours = tmp_path / f"ours{suffix}"
    export(scene, ours, frame="rdf")
    splat_transform(ours, tmp_path / "theirs.ply")
    theirs = splats_of(load(tmp_path / "theirs.ply"), "rdf")
    differences(theirs, splats_of(load(ours, RAW.get(suffix)), "rdf")).assert_within(SAME)
    differences(theirs, splats_of(scene, "rdf").take(file_order(suffix, scene))).assert_within(BOUNDS[suffix])


@pytest.mark.parametrize("suffix", [".spz", ".sog", ".compressed.ply"])
@pytest.mark.parametrize("degree", [0, 3])
def test_we_read_what_it_writes(suffix: str, degree: int, splat_transform: RunNode, tmp_path: Path) -> None:
    scene = reference_scene(degree, 2000)
    export(scene, tmp_path / "ours.ply")
    splat_transform(tmp_path / "ours.ply", tmp_path / f"theirs{suffix}")
    splat_transform(tmp_path / f"theirs{suffix}", tmp_path / "back.ply")
    found = splats_of(load(tmp_path / f"theirs{suffix}", RAW.get(suffix)), "rdf")
    back = splats_of(load(tmp_path / "back.ply"), "rdf")
    differences(matched(found, back), back).assert_within(SAME)
