"""Every format that is written and read: what comes back, for every degree, and through another format and back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hgs_toolkit.exporters import FORMATS, export, load
from hgs_toolkit.exporters.splats import Splats, splats_of
from hgs_toolkit.gaussians import GaussianHierarchy
from tests.exporters.accuracy import BOUNDS, Errors, differences, file_order, matched, reference_scene

SUFFIXES = sorted(BOUNDS)
SAMPLES = Path(__file__).resolve().parents[3] / "shared" / "samples"
"""Real files of other programs, beside the checkout."""

SPZ_COLOUR = 127.5 / (0.15 * 255)
DISPLAY_COLOUR = 0.5 / 0.28209479177387814
RANGES = {".spz": (-10.0, 5.9375, SPZ_COLOUR), ".splat": (-np.inf, np.inf, DISPLAY_COLOUR)}
"""What a file can hold: log scales from and to, and the magnitude of constant coefficients."""


def test_every_format_of_the_table_has_a_bound_here() -> None:
    assert {row.suffix for row in FORMATS if row.suffix in BOUNDS} == set(BOUNDS)


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_scene_comes_back_within_the_bound(suffix: str, degree: int, tmp_path: Path) -> None:
    scene = reference_scene(degree)
    export(scene, tmp_path / f"a{suffix}")
    found = splats_of(load(tmp_path / f"a{suffix}"), "y_up")
    assert found.sh_degree == (0 if suffix == ".splat" else degree)
    expected = splats_of(scene, "y_up").take(file_order(suffix, scene))
    differences(found, expected).assert_within(BOUNDS[suffix])


@pytest.mark.parametrize("suffix", [row.suffix for row in FORMATS if "frame" in row.options and row.suffix in BOUNDS])
def test_the_other_frame_comes_back_too_where_it_is_told(suffix: str, tmp_path: Path) -> None:
    scene = reference_scene(2, 300)
    export(scene, tmp_path / f"a{suffix}")
    other = "rdf" if suffix == ".spz" else "y_up"
    export(scene, tmp_path / f"b{suffix}", frame=other)
    told = other if suffix in (".spz", ".splat") else None  # the others say it themselves
    own, turned = (splats_of(load(tmp_path / f"{n}{suffix}", f), "y_up") for n, f in (("a", None), ("b", told)))
    differences(matched(turned, own), own).assert_within(BOUNDS[suffix].times(2))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_one_gaussian_is_a_scene(suffix: str, tmp_path: Path) -> None:
    scene = reference_scene(1, 1)
    export(scene, tmp_path / f"a{suffix}")
    found = splats_of(load(tmp_path / f"a{suffix}"), "y_up")
    differences(found, splats_of(scene, "y_up")).assert_within(BOUNDS[suffix])


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_extremes_stay_finite(suffix: str, tmp_path: Path) -> None:
    scene = reference_scene(0, 50)
    logits, quats = scene.opacity_logits.clone(), scene.quats.clone()
    logits[0, :2] = logits.new_tensor([-1e9, 1e9])
    quats[0, 3] = 0
    export(scene.replace(opacity_logits=logits, quats=quats), tmp_path / f"a{suffix}")
    found = load(tmp_path / f"a{suffix}")  # checks every value
    assert float(found.opacity_logits.abs().max()) <= 16 or suffix == ".hgs"


def clipped(splats: Splats, suffix: str) -> Splats:
    """What a format holds of a scene that exceeds its range."""
    low, high, colour = RANGES.get(suffix, (-np.inf, np.inf, np.inf))
    sh = splats.sh.copy()
    sh[:, 0] = sh[:, 0].clip(-colour, colour)
    return Splats(splats.means, splats.log_scales.clip(low, high), splats.quats, sh, splats.logits)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["biker.spz", "guitar.compressed.ply"])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_real_scenes_survive_every_other_format_and_the_way_back(suffix: str, name: str, tmp_path: Path) -> None:
    source = SAMPLES / name
    if not source.is_file():
        pytest.skip(f"{name} is not beside the checkout (../shared/samples)")
    own = ".spz" if name.endswith(".spz") else ".compressed.ply"
    scene = load(source)
    export(scene, tmp_path / f"a{suffix}")
    between = load(tmp_path / f"a{suffix}")
    export(between, tmp_path / f"b{own}")
    back = load(tmp_path / f"b{own}")
    assert between.num_gaussians == back.num_gaussians == scene.num_gaussians

    there = clipped(splats_of(scene, "y_up").take(file_order(suffix, scene)), suffix)
    differences(splats_of(between, "y_up"), there, "rms").assert_within(_bound(suffix, scene))
    again = clipped(splats_of(between, "y_up").take(file_order(own, between)), own)
    differences(splats_of(back, "y_up"), again, "rms").assert_within(_bound(own, scene))


def _bound(suffix: str, scene: GaussianHierarchy) -> Errors:
    """The bound of the reference scene, for one whose positions and scales spread further."""
    reference = reference_scene()
    wider = [
        float((values.amax(1) - values.amin(1)).max() / (own.amax(1) - own.amin(1)).max())
        for values, own in ((scene.means, reference.means), (scene.log_scales, reference.log_scales))
    ]
    bound = BOUNDS[suffix]
    # Steps between bounds grow with them; those of a codebook or a fixed grid must not.
    scales = bound.log_scales * (wider[1] if suffix == ".compressed.ply" else 1)
    return replace(bound, means=bound.means * wider[0], log_scales=scales)
