"""The .ksplat: every compression level and degree, files of other programs, and files that contradict themselves."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from hgs_toolkit.errors import FormatError
from hgs_toolkit.exporters.splats.stored import splats_of
from hgs_toolkit.exporters.table import export, load
from hgs_toolkit.gaussians import GaussianHierarchy
from tests.exporters.splats.accuracy import Errors, differences, reference_scene
from tests.exporters.splats.ksplat_files import write_ksplat
from tests.samples import sample_file

BOUNDS = (
    Errors(1e-6, 1e-6, 2e-7, 7e-3, 0, 2e-3), Errors(8e-6, 1e-3, 1e-6, 7e-3, 5e-4, 2e-3),
    Errors(8e-6, 1e-3, 1e-6, 7e-3, 6e-3, 2e-3),
)  # fmt: skip
"""What floats, half floats and bytes leave, by the compression level."""

LOOSER = Errors(0, 1e-6, 2e-7, 0.014, 0, 0.004)
"""What gaussforge leaves, which rounds bytes down."""


def crowd(degree: int, count: int = 230) -> GaussianHierarchy:
    """Gaussians of which 50 consecutive ones lie within a bucket."""
    scene = reference_scene(degree, count)
    along = torch.linspace(-0.5, 0.5, count)[:, None] * torch.tensor([1.0, 0, 0])
    return scene.replace(means=0.2 * scene.means + along)


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
@pytest.mark.parametrize("level", [0, 1, 2])
def test_every_level_and_degree_comes_in_right(level: int, degree: int, tmp_path: Path) -> None:
    scene = crowd(degree)
    write_ksplat(tmp_path / "a.ksplat", scene, level)
    differences(splats_of(load(tmp_path / "a.ksplat"), "y_up"), splats_of(scene, "y_up")).assert_within(BOUNDS[level])


def test_a_file_of_another_program_is_read() -> None:
    loaded = load(sample_file("st-fixtures/minimal.ksplat"))
    torch.testing.assert_close(loaded.means[0, :, 0], torch.tensor([-1.0, 0, -1, 0]))
    torch.testing.assert_close(loaded.log_scales.exp(), torch.full((1, 4, 3), 0.1))


@pytest.mark.parametrize("degree", [0, 1])  # of higher degrees, gaussforge orders the harmonics otherwise
def test_we_read_what_gaussforge_writes(degree: int, tmp_path: Path) -> None:
    gaussforge = pytest.importorskip("gaussforge")
    scene = reference_scene(degree, 300)
    export(scene, tmp_path / "a.ply")
    data = gaussforge.GaussForge().convert((tmp_path / "a.ply").read_bytes(), "ply", "ksplat")["data"]
    (tmp_path / "a.ksplat").write_bytes(data)
    differences(splats_of(load(tmp_path / "a.ksplat"), "y_up"), splats_of(scene, "y_up")).assert_within(LOOSER)


def test_the_frame_can_be_given(tmp_path: Path) -> None:
    write_ksplat(tmp_path / "a.ksplat", crowd(1), 0)
    own, turned = load(tmp_path / "a.ksplat"), load(tmp_path / "a.ksplat", frame="y_up")
    assert torch.equal(turned.means, own.means * torch.tensor([1.0, -1, -1]))


def test_it_is_only_read(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"\.ksplat files can be read, not written; writable: \.hgs, \.ply"):
        export(crowd(0), tmp_path / "a.ksplat")


def changed(data: bytes, at: int, kind: str, value: int) -> bytes:
    result = bytearray(data)
    struct.pack_into(kind, result, at, value)
    return bytes(result)


@pytest.mark.parametrize(
    ("at", "kind", "value", "message"),
    [
        (0, "B", 7, "it is version 7.1"),
        (20, "<H", 3, "of compression level 3"),
        (4, "<I", 10**9, "promises 1000000000"),
        (4096, "<I", 10**9, "a section has 1000000000 Gaussians"),
        (4100, "<I", 10**9, "it is truncated: a section ends"),
        (4104, "<I", 10**6, "a bucket has more than"),
        (4108, "<I", 10**8, "it is truncated"),
        (4116, "<H", 4, "a bucket has 4 bytes"),
        (4128, "<I", 1, "buckets hold"),
        (4136, "<H", 9, "of SH degree 9"),
        (4096, "<I", 0, "holds no Gaussians"),
    ],
)
def test_files_that_contradict_themselves_are_refused(
    at: int, kind: str, value: int, message: str, tmp_path: Path
) -> None:
    write_ksplat(tmp_path / "a.ksplat", crowd(1), 1)
    (tmp_path / "a.ksplat").write_bytes(changed((tmp_path / "a.ksplat").read_bytes(), at, kind, value))
    with pytest.raises(FormatError, match=rf"a\.ksplat.*{message}"):
        load(tmp_path / "a.ksplat")


def test_a_file_that_is_cut_short_is_refused(tmp_path: Path) -> None:
    write_ksplat(tmp_path / "a.ksplat", crowd(0), 0)
    whole = (tmp_path / "a.ksplat").read_bytes()
    for length in (0, 100, 4096, 5120, len(whole) - 1):
        (tmp_path / "a.ksplat").write_bytes(whole[:length])
        with pytest.raises(FormatError, match=r"a\.ksplat"):
            load(tmp_path / "a.ksplat")


def test_values_that_are_not_finite_are_counted(tmp_path: Path) -> None:
    write_ksplat(tmp_path / "a.ksplat", crowd(0), 0)
    data = (tmp_path / "a.ksplat").read_bytes()
    (tmp_path / "a.ksplat").write_bytes(data[:-44] + np.float32(np.nan).tobytes() + data[-40:])
    with pytest.raises(FormatError, match=r"\(1 in means\), in 1 of 230"):
        load(tmp_path / "a.ksplat")
