"""gaussforge and gsply (pip) read our packed files, and we read theirs."""

from __future__ import annotations

from pathlib import Path

import gaussforge
import gsply
import numpy as np
import pytest
from gsply.spz import read_spz, write_spz

from hgs_toolkit.exporters.splats.stored import StoredSplats, splats_of
from hgs_toolkit.exporters.table import export, load
from tests.exporters.splats.accuracy import BOUNDS, Errors, differences, file_order, matched, reference_scene

PACKED = (".spz", ".sog", ".compressed.ply", ".splat")
RAW = {".spz": "rdf"}
"""The frame in which programs that turn nothing take a file for a .ply's."""

SAME = Errors(2e-6, 2e-5, 1e-4, 2e-6, 2e-6, 1e-5)
"""Two readers of one file: rounding, and 127.5 or 128 as the middle of a quaternion's byte."""


def by_gaussforge(source: Path, target: Path) -> None:
    formats = [path.name.split(".", 1)[1] for path in (source, target)]
    target.write_bytes(gaussforge.GaussForge().convert(source.read_bytes(), *formats)["data"])


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
@pytest.mark.parametrize("suffix", PACKED)
def test_gaussforge_reads_ours_as_we_do(suffix: str, degree: int, tmp_path: Path) -> None:
    scene = reference_scene(degree)
    export(scene, tmp_path / f"ours{suffix}", frame="rdf")
    by_gaussforge(tmp_path / f"ours{suffix}", tmp_path / "theirs.ply")
    theirs = splats_of(load(tmp_path / "theirs.ply"), "rdf")
    differences(theirs, splats_of(load(tmp_path / f"ours{suffix}", RAW.get(suffix)), "rdf")).assert_within(SAME)
    source = splats_of(scene, "rdf").take(file_order(suffix, scene))
    differences(theirs, source).assert_within(BOUNDS[suffix])


@pytest.mark.parametrize("suffix", PACKED)
def test_we_read_what_gaussforge_writes(suffix: str, tmp_path: Path) -> None:
    scene = reference_scene(0)
    export(scene, tmp_path / "ours.ply")
    by_gaussforge(tmp_path / "ours.ply", tmp_path / f"theirs{suffix}")
    by_gaussforge(tmp_path / f"theirs{suffix}", tmp_path / "back.ply")
    found = splats_of(load(tmp_path / f"theirs{suffix}", RAW.get(suffix)), "rdf")
    differences(found, splats_of(load(tmp_path / "back.ply"), "rdf")).assert_within(SAME)


@pytest.mark.parametrize("degree", [0, 3])
def test_gaussforge_reads_our_version_4(degree: int, tmp_path: Path) -> None:
    export(reference_scene(degree), tmp_path / "ours.spz", frame="rdf", spz_version=4)
    by_gaussforge(tmp_path / "ours.spz", tmp_path / "theirs.ply")
    theirs = splats_of(load(tmp_path / "theirs.ply"), "rdf")
    differences(theirs, splats_of(load(tmp_path / "ours.spz"), "rdf")).assert_within(SAME)


def as_gsply(splats: StoredSplats) -> gsply.GSData:
    return gsply.GSData(
        means=splats.means, scales=splats.log_scales, quats=splats.quats, opacities=splats.logits,
        sh0=splats.sh[:, 0].copy(), shN=splats.sh[:, 1:].copy(),
    )  # fmt: skip


def of_gsply(data: gsply.GSData) -> StoredSplats:
    rest = (
        np.zeros((len(data.means), 0, 3)) if data.shN is None else np.asarray(data.shN).reshape(len(data.means), -1, 3)
    )
    sh = np.concatenate([data.sh0[:, None], rest], axis=1)
    return StoredSplats(data.means, data.scales, data.quats, sh.astype(np.float32), data.opacities.reshape(-1))


@pytest.mark.parametrize("version", [3, 4])
@pytest.mark.parametrize("degree", [0, 3])
def test_gsply_reads_our_spz(degree: int, version: int, tmp_path: Path) -> None:
    scene = reference_scene(degree)
    export(scene, tmp_path / "a.spz", spz_version=version)
    theirs = of_gsply(read_spz(tmp_path / "a.spz"))
    differences(theirs, splats_of(load(tmp_path / "a.spz"), "y_up")).assert_within(SAME)
    differences(theirs, splats_of(scene, "y_up")).assert_within(BOUNDS[".spz"])


@pytest.mark.parametrize("version", [3, 4])
@pytest.mark.parametrize("degree", [0, 3])
def test_we_read_gsplys_spz(degree: int, version: int, tmp_path: Path) -> None:
    scene = reference_scene(degree)
    write_spz(tmp_path / "a.spz", as_gsply(splats_of(scene, "y_up")), version=version)
    found = splats_of(load(tmp_path / "a.spz"), "y_up")
    differences(found, splats_of(scene, "y_up")).assert_within(BOUNDS[".spz"])


def test_gsply_reads_our_compressed_ply(tmp_path: Path) -> None:
    scene = reference_scene(0)
    export(scene, tmp_path / "a.compressed.ply")
    theirs = of_gsply(gsply.plyread(str(tmp_path / "a.compressed.ply")))
    found = splats_of(load(tmp_path / "a.compressed.ply"), "rdf")
    differences(matched(theirs, found), found).assert_within(SAME)
