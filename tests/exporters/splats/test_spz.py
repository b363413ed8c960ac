"""The .spz: its bytes, the versions it is read in, and files that promise what they do not hold."""

from __future__ import annotations

import gzip
import logging
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from hgs_toolkit.asset import AssetMetadata
from hgs_toolkit.encoding import quats_to_rotmats
from hgs_toolkit.errors import FormatError
from hgs_toolkit.exporters.splats.spz.axes import axes_matrix
from hgs_toolkit.exporters.table import export, load, read_asset
from hgs_toolkit.gaussians import GaussianHierarchy
from hgs_toolkit.parsing.spz_axes import AXES, EXTENSION
from tests.samples import sample_file

SceneFactory = Callable[..., GaussianHierarchy]


def packed(version: int, planes: bytes, count: int = 1, degree: int = 0, bits: int = 8, flags: int = 0) -> bytes:
    # No time in the stream: bytes become names of tests, which must be the same in every process.
    header = b"NGSP" + struct.pack("<IIBBBB", version, count, degree, bits, flags, 0)
    return gzip.compress(header + planes, mtime=0)


def test_the_bytes_are_those_of_version_3(tmp_path: Path, scene_factory: SceneFactory) -> None:
    scene = scene_factory((1,))
    scene = scene.replace(
        means=torch.tensor([[[1.0, -0.5, 0.25]]]), opacity_logits=torch.zeros(1, 1), sh=torch.zeros(1, 1, 1, 3),
        log_scales=torch.full((1, 1, 3), -4.0), quats=torch.tensor([[[0.0, 0.0, -1.0, 0.0]]]),
    )  # fmt: skip
    export(scene, tmp_path / "a.spz")
    data = gzip.decompress((tmp_path / "a.spz").read_bytes())
    assert data[:16] == b"NGSP" + struct.pack("<IIBBBB", 3, 1, 0, 20, 0, 0)
    fixed = [int.from_bytes(data[16 + i : 19 + i], "little", signed=True) / 2**20 for i in (0, 3, 6)]
    assert fixed == [1.0, -0.5, 0.25]
    assert list(data[25:32]) == [128, 128, 128, 128, 96, 96, 96]
    assert struct.unpack("<I", data[32:]) == (1 << 30,)  # y was the largest; the others are 0


@pytest.mark.parametrize(("largest", "bits"), [(0.5, 20), (7.9, 20), (8.1, 19), (1000, 13), (2**21, 1)])
def test_as_many_fractional_bits_as_the_bounds_leave(
    largest: float, bits: int, tmp_path: Path, scene_factory: SceneFactory
) -> None:
    scene = scene_factory((2,))
    means = torch.zeros(1, 2, 3)
    means[0, 0, 0] = -largest
    export(scene.replace(means=means), tmp_path / "a.spz")
    assert gzip.decompress((tmp_path / "a.spz").read_bytes())[13] == bits
    torch.testing.assert_close(load(tmp_path / "a.spz").means, means, atol=0.5**bits, rtol=0)


def test_coordinates_that_do_not_fit_are_refused(tmp_path: Path, scene_factory: SceneFactory) -> None:
    scene = scene_factory((2,))
    with pytest.raises(FormatError, match=r"a\.spz: a coordinate of 1e\+07; \.spz files hold less than 4194304"):
        export(scene.replace(means=torch.full((1, 2, 3), 1e7)), tmp_path / "a.spz")
    assert not list(tmp_path.iterdir())


def test_values_beyond_the_range_are_clamped_and_counted(
    tmp_path: Path, scene_factory: SceneFactory, caplog: pytest.LogCaptureFixture
) -> None:
    scene = scene_factory((2,))
    export(scene.replace(log_scales=torch.full((1, 2, 3), -14.0)), tmp_path / "a.spz")
    assert "6 of 6 scales lie beyond the range of .spz files and were clamped" in caplog.text
    assert load(tmp_path / "a.spz").log_scales.max() == -10


def test_version_1_has_half_floats_and_xyz_of_the_quaternion(tmp_path: Path) -> None:
    planes = np.array([1, -2, 0.5], "<f2").tobytes() + bytes([255, 0, 128, 255, 160, 160, 160, 255, 128, 128])
    (tmp_path / "a.spz").write_bytes(packed(1, planes))
    loaded = load(tmp_path / "a.spz")
    assert loaded.means[0].tolist() == [[1, -2, 0.5]]
    torch.testing.assert_close(loaded.quats[0], torch.tensor([[0, 1, 0.004, 0.004]]), atol=1e-3, rtol=0)


@pytest.mark.parametrize("version", [2, 3, 4])
def test_files_of_others_hold_the_same_scene_in_each_version(version: int) -> None:
    loaded = load(sample_file(f"st-fixtures/minimal-v{version}.spz"))
    assert loaded.num_gaussians == 4
    torch.testing.assert_close(loaded.means[0, :, 0], torch.tensor([-1.0, 0, -1, 0]))
    torch.testing.assert_close(loaded.log_scales, torch.full((1, 4, 3), -2.3125))


def test_degree_4_is_said_to_be_lost_and_antialiasing_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    planes = bytes(9 + 1 + 3 + 3 + 4) + bytes(range(72))
    (tmp_path / "a.spz").write_bytes(packed(3, planes, degree=4, flags=1))
    loaded = load(tmp_path / "a.spz")
    assert loaded.sh_degree == 3
    assert loaded.sh[0, 0, 15, 2] == (44 - 128) / 128
    assert "those above degree 3 are not kept" in caplog.text
    assert "made for antialiased rendering" in caplog.text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "neither a gzip stream nor NGSP"),
        (gzip.compress(b"NGSP", mtime=0), "truncated: 16 bytes promised, 4 follow"),
        (gzip.compress(bytes(40), mtime=0), "does not start with the letters NGSP"),
        (packed(7, bytes(20)), "version is 7; expected 1 to 3"),
        (packed(3, bytes(20), degree=5), "SH degree 5"),
        (packed(3, bytes(20), bits=30), "30 fractional bits"),
        (packed(3, bytes(19)), "truncated: 4 bytes promised, 3 follow"),
        (packed(3, bytes(20), count=2**32 - 1), "taken for a decompression bomb"),
        (packed(3, bytes(20))[:-3], "truncated"),
        (packed(3, bytes(2**22)), "far more than it promises"),
        (packed(3, b"", count=0), "holds no Gaussians"),
        (packed(3, b"", count=0, degree=2), "holds no Gaussians"),
        (b"NGSP" + struct.pack("<IIBBBBI", 4, 0, 1, 8, 0, 0, 32) + bytes(12), "holds no Gaussians"),
        (b"NGSP" + bytes(10), "truncated: 14 bytes"),
        (b"NGSP" + struct.pack("<IIBBBBI", 4, 1, 0, 8, 0, 5, 10**9) + bytes(12), "its table ends at byte 1000000080"),
        (b"NGSP" + struct.pack("<IIBBBBI", 4, 1, 0, 8, 0, 5, 32) + bytes(92), "stream 0 promises 0 bytes for 0"),
        (b"NGSP" + struct.pack("<IIBBBBI", 4, 1, 0, 8, 0, 5, 32) + bytes(12)
         + b"".join(struct.pack("<QQ", 4, size) for size in (9, 1, 3, 3, 4)) + bytes(20), "Zstandard stream"),
    ],
)  # fmt: skip
def test_files_that_lie_are_refused_by_name(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.spz").write_bytes(content)
    with pytest.raises(FormatError, match=rf"a\.spz.*{message}"):
        load(tmp_path / "a.spz")


def test_version_4_holds_the_same_values_and_declares_its_axes(
    tmp_path: Path, scene_factory: SceneFactory, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    scene = scene_factory(degree=2)
    for frame in ("y_up", "rdf"):
        export(scene, tmp_path / "a.spz", spz_version=4, frame=frame, overwrite=True)
        export(scene, tmp_path / "b.spz", frame=frame, overwrite=True)
        third = load(tmp_path / "b.spz", frame=frame)
        found = load(tmp_path / "a.spz")  # without being told the frame
        for name, value in third.parameters().items():
            assert torch.equal(getattr(found, name), value), name
    assert (tmp_path / "a.spz").read_bytes()[:8] == b"NGSP" + struct.pack("<I", 4)
    assert "a.spz declares its axes: RDF" in caplog.text
    with pytest.raises(FormatError, match="declares its own axes, RDF; read it without naming a frame"):
        load(tmp_path / "a.spz", frame="rdf")


def declared(path: Path, number: int) -> None:
    """Let a version-4 file of ours declare other axes."""
    data = bytearray(path.read_bytes())
    at = data.index(struct.pack("<II", EXTENSION, 4)) + 8
    data[at : at + 4] = struct.pack("<I", number)
    path.write_bytes(data)


@pytest.mark.parametrize("axes", AXES[1:])
def test_declared_axes_place_each_ellipsoid_and_its_colours(
    axes: str, tmp_path: Path, scene_factory: SceneFactory
) -> None:
    from hgs_toolkit.rendering.harmonics import sh_basis

    scene = scene_factory((30,), degree=3)
    export(scene, tmp_path / "a.spz", spz_version=4)
    plain = load(tmp_path / "a.spz")
    declared(tmp_path / "a.spz", AXES.index(axes))
    found = load(tmp_path / "a.spz")
    matrix = torch.from_numpy(axes_matrix(axes)).float()
    torch.testing.assert_close(found.means, plain.means @ matrix.T)

    def covariances(scene: GaussianHierarchy) -> torch.Tensor:
        factor = quats_to_rotmats(scene.quats[0]) * scene.log_scales[0].exp()[:, None]
        return factor @ factor.mT

    torch.testing.assert_close(covariances(found), matrix @ covariances(plain) @ matrix.T)
    directions = torch.nn.functional.normalize(torch.randn(20, 3, generator=torch.Generator().manual_seed(0)), dim=-1)
    colours = torch.einsum("mk,nkc->mnc", sh_basis(directions @ matrix.T, 3), found.sh[0])
    torch.testing.assert_close(colours, torch.einsum("mk,nkc->mnc", sh_basis(directions, 3), plain.sh[0]), atol=1e-4,
                               rtol=1e-4)  # fmt: skip


def test_undeclared_or_unknown_axes_are_those_of_the_specification(tmp_path: Path, scene: GaussianHierarchy) -> None:
    export(scene, tmp_path / "a.spz", spz_version=4)
    expected = load(tmp_path / "a.spz")
    for number in (0, 17, 2**32 - 1):
        declared(tmp_path / "a.spz", number)
        assert torch.equal(load(tmp_path / "a.spz").means, expected.means)


@pytest.mark.parametrize("version", [3, 4])
def test_the_antialiasing_flag_is_kept(version: int, tmp_path: Path, scene: GaussianHierarchy) -> None:
    export(scene, tmp_path / "a.spz", metadata=AssetMetadata(antialiased=True), spz_version=version)
    asset = read_asset(tmp_path / "a.spz")
    assert asset.metadata.antialiased
    export(asset.scene, tmp_path / "b.ply", metadata=asset.metadata)
    assert b"comment SplatRenderMode: mip\n" in (tmp_path / "b.ply").read_bytes()
    assert read_asset(tmp_path / "b.ply").metadata.antialiased
    export(asset.scene, tmp_path / "c.hgs", metadata=asset.metadata)
    assert read_asset(tmp_path / "c.hgs").metadata.antialiased


def test_planes_that_were_never_packed_are_read(tmp_path: Path) -> None:
    planes = bytes(9) + bytes([255, 160, 160, 160, 255, 128, 128, 255, 128, 128])
    whole = packed(2, planes)
    (tmp_path / "a.spz").write_bytes(whole)
    (tmp_path / "b.spz").write_bytes(gzip.decompress(whole))
    first, second = load(tmp_path / "a.spz"), load(tmp_path / "b.spz")
    assert all(torch.equal(value, getattr(second, name)) for name, value in first.parameters().items())
    (tmp_path / "b.spz").write_bytes(gzip.decompress(whole)[:-1])
    with pytest.raises(FormatError, match="truncated: 35 bytes promised, it has 34"):
        load(tmp_path / "b.spz")


def test_an_unknown_version_is_not_written(tmp_path: Path, scene: GaussianHierarchy) -> None:
    with pytest.raises(FormatError, match=r"version 5 of \.spz is not written; expected 3 or 4"):
        export(scene, tmp_path / "a.spz", spz_version=5)
