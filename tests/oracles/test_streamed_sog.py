"""PlayCanvas' splat-transform (npm) and streamed SOG: it reads each of our levels, we read what it writes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hgs_toolkit.exporters.splats import streamed_sog
from hgs_toolkit.exporters.splats.stored import splats_of
from hgs_toolkit.exporters.table import export, load
from hgs_toolkit.gaussians import GaussianHierarchy
from tests.exporters.splats.accuracy import BOUNDS, differences, matched, reference_scene

pytestmark = pytest.mark.oracle

Tool = Callable[..., str]


def layered(counts: tuple[int, ...], degree: int) -> GaussianHierarchy:
    """The reference scene with a tree of levels."""
    scene = reference_scene(degree, sum(counts))
    level = scene.level.clone()
    for depth in range(1, len(counts)):
        level[sum(counts[:depth]) :] = depth
    return scene.replace(level=level)


@pytest.mark.parametrize("degree", [0, 3])
@pytest.mark.parametrize("box", [65_536, 300])
def test_it_reads_each_level_of_ours(
    degree: int, box: int, splat_transform: Tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streamed_sog, "BOX", box)
    scene = layered((50, 200, 800), degree)
    export(scene, tmp_path / "lod-meta.json")
    for level in range(3):
        splat_transform("-L", str(level), tmp_path / "lod-meta.json", tmp_path / f"{level}.ply")
        found = splats_of(load(tmp_path / f"{level}.ply"), "rdf")
        expected = splats_of(scene.levels(range(3 - level)), "rdf")
        differences(matched(found, expected), expected).assert_within(BOUNDS[".sog"])


def test_we_read_what_it_writes(splat_transform: Tool, tmp_path: Path) -> None:
    scene = reference_scene(0, 1000)
    export(scene, tmp_path / "a.ply")
    splat_transform(tmp_path / "a.ply", "--tag-lod", "0", tmp_path / "out/lod-meta.json")
    found, expected = splats_of(load(tmp_path / "out/lod-meta.json"), "rdf"), splats_of(scene, "rdf")
    near = matched(found, expected)
    np.testing.assert_allclose(near.means, expected.means, atol=5e-5)
    np.testing.assert_allclose(near.log_scales, expected.log_scales, atol=0.1)
