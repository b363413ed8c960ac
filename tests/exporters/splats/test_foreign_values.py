"""What other people's files hold in place of what the reference writes: read right and said, or refused."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from plyfile import PlyData, PlyElement

from hgs_toolkit.asset import AssetMetadata
from hgs_toolkit.encoding import SH_C0
from hgs_toolkit.errors import FormatError
from hgs_toolkit.exporters.table import FORMATS, export, load, read_asset
from hgs_toolkit.gaussians import GaussianHierarchy
from hgs_toolkit.parsing.distance import LEAST_LOG_SCALE, far_offset

SceneFactory = Callable[..., GaussianHierarchy]
Columns = dict[str, np.ndarray]

FAR = np.array([500_000.0, 5_400_000.0, 300.0])


def rewritten(path: Path, change: Callable[[Columns], Columns | None]) -> None:
    """Give the columns of a .ply to ``change``, and write what it returns, or what it changed."""
    data = PlyData.read(path)
    columns = {name: np.array(data["vertex"].data[name]) for name in data["vertex"].data.dtype.names}
    columns = change(columns) or columns
    table = np.empty(len(columns["x"]), [(name, values.dtype) for name, values in columns.items()])
    for name, values in columns.items():
        table[name] = values
    PlyData([PlyElement.describe(table, "vertex")], byte_order="<", comments=data.comments).write(path)


@pytest.fixture
def caplog_info(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO)
    return caplog


def test_a_log_scale_of_minus_infinity_is_the_smallest_size(
    tmp_path: Path, scene: GaussianHierarchy, caplog_info: pytest.LogCaptureFixture
) -> None:
    export(scene, tmp_path / "a.ply")
    rewritten(tmp_path / "a.ply", lambda c: c["scale_1"][:5].fill(-np.inf))
    loaded = load(tmp_path / "a.ply")
    assert (loaded.log_scales[0, :, 1] == LEAST_LOG_SCALE).nonzero().flatten().tolist() == [0, 1, 2, 3, 4]
    assert torch.equal(loaded.log_scales[0, 5:], scene.log_scales[0, 5:])
    assert "a.ply: 5 Gaussians have a log scale of -inf" in caplog_info.text


def test_invalid_rows_are_refused_by_count_or_dropped_with_their_parents_mended(
    tmp_path: Path, scene: GaussianHierarchy, caplog_info: pytest.LogCaptureFixture
) -> None:
    export(scene, tmp_path / "a.ply", extras=True)

    def damage(columns: Columns) -> None:
        columns["y"][[0, 30]] = np.nan
        columns["rot_2"][30] = np.inf

    rewritten(tmp_path / "a.ply", damage)
    expected = r"non-finite values in the Gaussians \(2 in means, 1 in quats\), in 2 of \d+;.*--drop-invalid"
    with pytest.raises(FormatError, match=expected):
        load(tmp_path / "a.ply")
    loaded = load(tmp_path / "a.ply", drop_invalid=True)
    keep = torch.ones(scene.num_gaussians, dtype=torch.bool)
    keep[[0, 30]] = False
    wanted = scene.select(keep)
    assert torch.equal(loaded.means, wanted.means)
    assert torch.equal(loaded.parent, wanted.parent)
    assert f"2 of {scene.num_gaussians} Gaussians have NaN or infinite values" in caplog_info.text


@pytest.mark.parametrize("suffix", [row.suffix for row in FORMATS if row.suffix in (".hgs", ".glb", ".splat", ".usda")])
def test_invalid_rows_of_other_formats_are_treated_alike(suffix: str, tmp_path: Path, scene: GaussianHierarchy) -> None:
    if suffix == ".usda":
        pytest.importorskip("pxr")
    marked = scene.means.clone()
    marked[0, 3, 0] = 0.123456789
    export(scene.replace(means=marked), tmp_path / f"a{suffix}")
    data = (tmp_path / f"a{suffix}").read_bytes()
    number = np.float32(marked[0, 3, 0])
    wanted, broken = (b"0.12345679", b"nan") if suffix == ".usda" else (number.tobytes(), np.float32(np.nan).tobytes())
    assert wanted in data
    (tmp_path / f"a{suffix}").write_bytes(data.replace(wanted, broken))
    with pytest.raises(FormatError, match=r"non-finite values in the Gaussians \(1 in means\), in 1 of"):
        load(tmp_path / f"a{suffix}")
    assert load(tmp_path / f"a{suffix}", drop_invalid=True).num_gaussians == scene.num_gaussians - 1


def test_a_size_of_nothing_is_mended_beside_a_value_that_is_dropped(tmp_path: Path, scene: GaussianHierarchy) -> None:
    export(scene, tmp_path / "a.ply")

    def damage(columns: Columns) -> None:
        columns["scale_0"][1:3] = -np.inf
        columns["scale_0"][5] = np.nan

    rewritten(tmp_path / "a.ply", damage)
    assert load(tmp_path / "a.ply", drop_invalid=True).num_gaussians == scene.num_gaussians - 1


def test_a_file_without_a_valid_row_is_refused(tmp_path: Path, scene: GaussianHierarchy) -> None:
    export(scene, tmp_path / "a.ply")
    rewritten(tmp_path / "a.ply", lambda c: c["x"].fill(np.nan))
    with pytest.raises(FormatError, match="holds no valid Gaussians"):
        load(tmp_path / "a.ply", drop_invalid=True)
    rewritten(tmp_path / "a.ply", lambda c: {name: np.zeros_like(values) for name, values in c.items()})
    with pytest.raises(FormatError, match="holds no valid Gaussians"):
        load(tmp_path / "a.ply")


def test_rows_of_zeros_are_left_out_and_zero_quaternions_do_not_turn(
    tmp_path: Path, scene: GaussianHierarchy, caplog_info: pytest.LogCaptureFixture
) -> None:
    export(scene, tmp_path / "a.ply")

    def damage(columns: Columns) -> None:
        for values in columns.values():
            values[:7] = 0
        for i in range(4):
            columns[f"rot_{i}"][7:10] = 0

    rewritten(tmp_path / "a.ply", damage)
    loaded = load(tmp_path / "a.ply")
    assert loaded.num_gaussians == scene.num_gaussians - 7
    assert loaded.quats[0, :3].tolist() == [[1, 0, 0, 0]] * 3
    assert f"7 of {scene.num_gaussians} rows are zeros" in caplog_info.text
    assert "3 of" in caplog_info.text


def test_two_sizes_are_discs_with_a_thin_third_one(
    tmp_path: Path, scene: GaussianHierarchy, caplog_info: pytest.LogCaptureFixture
) -> None:
    export(scene, tmp_path / "a.ply")
    rewritten(tmp_path / "a.ply", lambda c: {name: values for name, values in c.items() if name != "scale_2"})
    loaded = load(tmp_path / "a.ply")
    assert torch.equal(loaded.log_scales[..., :2], scene.log_scales[..., :2])
    thin = scene.log_scales[..., :2].amin(-1) + math.log(1e-3)
    torch.testing.assert_close(loaded.log_scales[..., 2], thin)
    assert "a.ply has two sizes (2D Gaussian splatting)" in caplog_info.text


@pytest.mark.parametrize(("kind", "greatest"), [("u1", 255), ("u2", 65535), ("f4", 1)])
def test_red_green_and_blue_stand_in_for_coefficients(
    kind: str, greatest: int, tmp_path: Path, scene: GaussianHierarchy
) -> None:
    export(scene, tmp_path / "a.ply")
    rgb = np.linspace(0, 1, 3 * scene.num_gaussians).reshape(3, -1)

    def recoloured(columns: Columns) -> Columns:
        kept = {name: values for name, values in columns.items() if not name.startswith("f_dc")}
        return kept | {c: (v * greatest).astype(kind) for c, v in zip(("red", "green", "blue"), rgb, strict=True)}

    rewritten(tmp_path / "a.ply", recoloured)
    found = 0.5 + SH_C0 * load(tmp_path / "a.ply").sh[0, :, 0]
    torch.testing.assert_close(
        found, torch.from_numpy(rgb.T).float(), atol=1e-6 if kind == "f4" else 1.01 / greatest, rtol=0
    )


def test_the_filter_of_mip_splatting_is_fused_into_sizes_and_opacities(
    tmp_path: Path, scene: GaussianHierarchy, caplog_info: pytest.LogCaptureFixture
) -> None:
    export(scene, tmp_path / "a.ply")
    width = np.linspace(0, 0.1, scene.num_gaussians, dtype=np.float32)
    rewritten(tmp_path / "a.ply", lambda c: c | {"filter_3D": width})
    asset = read_asset(tmp_path / "a.ply")
    variances = (2 * scene.log_scales[0].double()).exp()
    fused = variances + torch.from_numpy(width).double()[:, None] ** 2
    torch.testing.assert_close(asset.scene.log_scales[0].exp(), fused.sqrt().float(), rtol=1e-5, atol=0)
    dimmed = scene.opacity_logits[0].double().sigmoid() * (variances.prod(-1) / fused.prod(-1)).sqrt()
    torch.testing.assert_close(asset.scene.opacity_logits[0].sigmoid(), dimmed.float(), rtol=1e-4, atol=1e-6)
    assert asset.metadata.antialiased
    assert "3D filter: it is fused" in caplog_info.text


def far_file(path: Path, scene: GaussianHierarchy) -> None:
    """A .ply of ``scene`` (in RDF) moved by FAR, in doubles."""
    export(scene, path)
    rewritten(path, lambda c: c | {axis: c[axis].astype(np.float64) + FAR[i] for i, axis in enumerate("xyz")})


def test_far_coordinates_are_recentred_in_double_precision(
    tmp_path: Path, scene: GaussianHierarchy, caplog_info: pytest.LogCaptureFixture
) -> None:
    far_file(tmp_path / "a.ply", scene)
    asset = read_asset(tmp_path / "a.ply")
    world = asset.scene.means[0].double() + torch.tensor(asset.metadata.offset, dtype=torch.float64)
    expected = scene.means[0].double() + torch.tensor(FAR * [1, -1, -1])
    torch.testing.assert_close(world, expected, atol=1e-6, rtol=0)
    assert "a.ply lies far from the origin: its coordinates are now relative to (500000, 5400000, 300" in (
        caplog_info.text
    )


KEPT = [row.suffix for row in FORMATS if row.keeps_offset]


@pytest.mark.parametrize("suffix", KEPT)
def test_the_offset_is_given_back_where_the_format_can_hold_it(
    suffix: str, tmp_path: Path, scene: GaussianHierarchy
) -> None:
    if suffix.startswith(".usd"):
        pytest.importorskip("pxr")
    metadata = AssetMetadata(offset=(500_000.0, -5_400_000.0, -300.5))
    export(scene, tmp_path / f"near{suffix}")
    export(scene, tmp_path / f"a{suffix}", metadata=metadata)
    near, back = load(tmp_path / f"near{suffix}"), read_asset(tmp_path / f"a{suffix}")
    world = back.scene.means[0].double() + torch.tensor(back.metadata.offset, dtype=torch.float64)
    torch.testing.assert_close(
        world, near.means[0].double() + torch.tensor(metadata.offset, dtype=torch.float64), atol=2e-6, rtol=0
    )


def test_the_world_option_writes_doubles(tmp_path: Path, scene: GaussianHierarchy) -> None:
    metadata = AssetMetadata(offset=(500_000.0, -5_400_000.0, -300.0))
    export(scene, tmp_path / "a.ply", metadata=metadata, world=True, extras=True)
    vertex = PlyData.read(tmp_path / "a.ply")["vertex"].data
    assert vertex.dtype["x"] == np.dtype("<f8")
    assert vertex.dtype["scale_0"] == np.dtype("<f4")
    np.testing.assert_array_equal(vertex["y"], 5_400_000 - scene.means[0, :, 1].double().numpy())
    back = read_asset(tmp_path / "a.ply")
    world = back.scene.means[0].double() + torch.tensor(back.metadata.offset, dtype=torch.float64)
    torch.testing.assert_close(
        world, scene.means[0].double() + torch.tensor(metadata.offset, dtype=torch.float64), atol=1e-6, rtol=0
    )
    assert torch.equal(back.scene.parent, scene.parent)


@pytest.mark.parametrize("suffix", [".spz", ".splat"])
def test_a_format_that_cannot_hold_the_offset_says_so(
    suffix: str, tmp_path: Path, scene: GaussianHierarchy, caplog_info: pytest.LogCaptureFixture
) -> None:
    export(scene, tmp_path / f"a{suffix}", metadata=AssetMetadata(offset=(5.0, 0.0, 0.0)))
    assert "do not keep" in caplog_info.text
    assert "that the coordinates are relative to (5, 0, 0)" in caplog_info.text


@pytest.mark.parametrize(
    ("centre", "size", "recentred"), [(0, 0.01, False), (100, 0.01, False), (2000, 0.01, True), (4.5e6, 1.0, True)]
)
def test_only_what_single_precision_spoils_is_recentred(centre: float, size: float, recentred: bool) -> None:
    means = np.random.default_rng(0).normal(centre, 1, (1000, 3))
    offset = far_offset(means, np.full((1000, 3), math.log(size), np.float32))
    assert bool(offset.any()) == recentred
    assert not recentred or np.abs(offset - centre).max() < 1


def test_a_wide_scene_around_the_origin_is_left_where_it_is() -> None:
    means = np.random.default_rng(0).uniform(-1e5, 1e5, (1000, 3))
    assert not far_offset(means, np.full((1000, 3), -8, np.float32)).any()
