"""GaussianSplats3D (npm) writes .ksplat files, its own format, of every compression level; we read them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hgs_toolkit.encoding import sh_bases
from hgs_toolkit.exporters.splats.stored import splats_of
from hgs_toolkit.exporters.table import export, load
from tests.exporters.splats.accuracy import Errors, differences, matched, reference_scene

pytestmark = pytest.mark.oracle

CUT = 0.0142
"""Error of a constant colour whose byte is cut off, not rounded: 1 / 255 / 0.282 and the rounding of floats."""

BOUNDS = (
    Errors(1e-6, 1e-6, 2e-7, CUT, 1e-6, 4e-3), Errors(4e-5, 1e-3, 1e-6, CUT, 5e-4, 4e-3),
    Errors(4e-5, 1e-3, 1e-6, CUT, 5e-3, 4e-3),
)  # fmt: skip
"""What each compression level leaves: 65,535 steps across a bucket of 5, half floats, bytes."""

GREATEST_DEGREE = 2
"""Greatest degree of harmonics that the format's own program keeps."""


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_every_compression_level_comes_in_right(degree: int, node: Callable[..., str], tmp_path: Path) -> None:
    scene = reference_scene(degree, 1000)
    export(scene, tmp_path / "a.ply")
    node("ksplat.mjs", tmp_path / "a.ply", tmp_path / "a", str(degree))
    kept = min(degree, GREATEST_DEGREE)
    expected = splats_of(scene.replace(sh=scene.sh[:, :, : sh_bases(kept)]), "rdf")
    for level, bounds in enumerate(BOUNDS):
        loaded = load(tmp_path / f"a{level}.ksplat")
        assert (loaded.num_gaussians, loaded.sh_degree) == (1000, kept)
        differences(matched(splats_of(loaded, "rdf"), expected), expected).assert_within(bounds)
