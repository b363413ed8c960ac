"""Niantic's own .spz library (npm @adobe/spz) reads ours in our frame, and we read its versions 3 and 4."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from hgs_toolkit.exporters.splats.stored import StoredSplats, splats_of
from hgs_toolkit.exporters.table import export, load
from tests.exporters.splats.accuracy import BOUNDS, differences, reference_scene
from tests.oracles.conftest import RunNode

pytestmark = pytest.mark.oracle

XYZW, WXYZ = [1, 2, 3, 0], [3, 0, 1, 2]


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_it_reads_ours_and_turns_it_as_we_do(degree: int, node: RunNode, tmp_path: Path) -> None:
    scene = reference_scene(degree, 1000)
    export(scene, tmp_path / "a.spz")
    node("spz.mjs", "read", tmp_path / "a.spz", "RDF", tmp_path / "a.json")
    cloud = json.loads((tmp_path / "a.json").read_text())
    arrays = {name: np.array(values, np.float32) for name, values in cloud.items()}
    rest, quats = arrays["sh"].reshape(1000, -1, 3), arrays["rotations"].reshape(-1, 4)[:, WXYZ]
    theirs = StoredSplats(
        arrays["positions"].reshape(-1, 3), arrays["scales"].reshape(-1, 3), quats,
        np.concatenate([arrays["colors"].reshape(-1, 1, 3), rest], axis=1), arrays["alphas"].clip(-16, 16),
    )  # fmt: skip
    differences(theirs, splats_of(scene, "rdf")).assert_within(BOUNDS[".spz"])


@pytest.mark.parametrize("version", [3, 4])
@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_we_read_what_it_writes(degree: int, version: int, node: RunNode, tmp_path: Path) -> None:
    scene = reference_scene(degree, 1000)
    splats = splats_of(scene, "rdf")
    cloud = {
        "numPoints": 1000, "shDegree": degree, "positions": splats.means.ravel().tolist(),
        "scales": splats.log_scales.ravel().tolist(), "rotations": splats.quats[:, XYZW].ravel().tolist(),
        "alphas": splats.logits.tolist(), "colors": splats.sh[:, 0].ravel().tolist(),
        "sh": splats.sh[:, 1:].ravel().tolist(),
    }  # fmt: skip
    (tmp_path / "a.json").write_text(json.dumps(cloud))
    node("spz.mjs", "write", tmp_path / "a.json", "RDF", version, tmp_path / "a.spz")
    differences(splats_of(load(tmp_path / "a.spz"), "rdf"), splats).assert_within(BOUNDS[".spz"])
