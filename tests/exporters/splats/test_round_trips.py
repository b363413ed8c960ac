"""Every format that is written and read: what comes back, for every degree, and through another format and back."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hgs_toolkit.exporters.splats.stored import splats_of
from hgs_toolkit.exporters.table import FORMATS, export, load
from tests.exporters.splats.accuracy import BOUNDS, differences, expected_in, matched, reference_scene, turned_as
from tests.exporters.splats.journeys import NAMES, there_and_back
from tests.samples import sample_file

SUFFIXES = sorted(BOUNDS)


def test_every_format_of_the_table_has_a_bound_here() -> None:
    assert {row.suffix for row in FORMATS if row.reader and row.writer} == set(BOUNDS)


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_scene_comes_back_within_the_bound(suffix: str, degree: int, tmp_path: Path) -> None:
    scene = reference_scene(degree)
    export(scene, tmp_path / f"a{suffix}")
    found = splats_of(load(tmp_path / f"a{suffix}"), "y_up")
    assert found.sh_degree == (0 if suffix == ".splat" else degree)
    differences(found, expected_in(suffix, scene, found)).assert_within(BOUNDS[suffix])


@pytest.mark.parametrize("suffix", [row.suffix for row in FORMATS if "frame" in row.options and row.suffix in BOUNDS])
def test_the_other_frame_comes_back_too_where_it_is_told(suffix: str, tmp_path: Path) -> None:
    scene = reference_scene(2, 300)
    export(scene, tmp_path / f"a{suffix}")
    other = "rdf" if suffix == ".spz" else "y_up"
    export(scene, tmp_path / f"b{suffix}", frame=other)
    told = other if suffix in (".spz", ".splat") else None  # the others say it themselves
    own, turned = (splats_of(load(tmp_path / f"{n}{suffix}", f), "y_up") for n, f in (("a", None), ("b", told)))
    found = matched(turned, own)
    differences(found, turned_as(found, own) if suffix == ".rad" else own).assert_within(BOUNDS[suffix].times(2))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_one_gaussian_is_a_scene(suffix: str, tmp_path: Path) -> None:
    scene = reference_scene(1, 1)
    export(scene, tmp_path / f"a{suffix}")
    found = splats_of(load(tmp_path / f"a{suffix}"), "y_up")
    differences(found, expected_in(suffix, scene, found)).assert_within(BOUNDS[suffix])


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_extremes_stay_finite(suffix: str, tmp_path: Path) -> None:
    scene = reference_scene(0, 50)
    logits, quats = scene.opacity_logits.clone(), scene.quats.clone()
    logits[0, :2] = logits.new_tensor([-1e9, 1e9])
    quats[0, 3] = 0
    export(scene.replace(opacity_logits=logits, quats=quats), tmp_path / f"a{suffix}")
    found = load(tmp_path / f"a{suffix}")  # checks every value
    assert float(found.opacity_logits.abs().max()) <= 16 or suffix == ".hgs"


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_sizes_beyond_a_format_are_clamped_and_counted(
    suffix: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    scene = reference_scene(0, 1100)  # merged to a second level by the formats that have some
    log_scales = scene.log_scales.clone()
    log_scales[0, :2] = log_scales.new_tensor([[100.0], [-800.0]])
    export(scene.replace(log_scales=log_scales), tmp_path / f"a{suffix}")
    found = load(tmp_path / f"a{suffix}")  # checks every value
    assert found.num_gaussians == 1100
    counted = re.search(r"6 of 3300 (log )?scales lie beyond the range of .* files and were clamped", caplog.text)
    assert bool(counted) == (suffix not in (".hgs", ".ply", ".sog"))


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_real_scenes_survive_every_other_format_and_the_way_back(suffix: str, name: str, tmp_path: Path) -> None:
    source = sample_file(name)
    legs = there_and_back(source, suffix, tmp_path)
    assert {leg.count for leg in legs} == {load(source).num_gaussians}
    for leg in legs:
        leg.errors.assert_within(leg.bound)
