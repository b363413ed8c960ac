"""One splat file to another without torch: the same files, the same repairs and the same refusals as with it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from hgs_toolkit.asset import Asset, AssetMetadata, save_asset
from hgs_toolkit.encoding import normalize_quats
from hgs_toolkit.errors import FormatError, HgsError
from hgs_toolkit.exporters.convert import convert
from hgs_toolkit.exporters.splats.packing.morton import morton_order
from hgs_toolkit.exporters.splats.stored import StoredSplats, unit_quats
from hgs_toolkit.exporters.table import export, load, read_asset, read_file
from hgs_toolkit.gaussians import GaussianHierarchy

SceneFactory = Callable[..., GaussianHierarchy]

PLAIN = (".ply", ".spz", ".splat", ".compressed.ply", ".sog")
"""Formats that numpy alone reads and writes, .sog without higher harmonics."""

WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None  # an import of it fails
from hgs_toolkit.cli.main import main
for line in open("lines.txt"):
    sys.argv = ["hgs", *line.split()]
    try:
        main()
    except SystemExit as ended:
        assert not ended.code, line
"""


@pytest.fixture
def flat(scene_factory: SceneFactory) -> GaussianHierarchy:
    """300 Gaussians in one level."""
    return scene_factory((300,))


@pytest.mark.parametrize("source", PLAIN)
@pytest.mark.parametrize("target", PLAIN)
def test_converting_writes_the_bytes_of_reading_and_exporting(
    source: str, target: str, flat: GaussianHierarchy, tmp_path: Path
) -> None:
    export(flat, tmp_path / f"a{source}")
    assert isinstance(read_file(tmp_path / f"a{source}").content, StoredSplats)
    convert(tmp_path / f"a{source}", tmp_path / f"direct{target}")
    asset = read_asset(tmp_path / f"a{source}")
    export(asset.scene, tmp_path / f"by-tensors{target}", metadata=asset.metadata)
    assert (tmp_path / f"direct{target}").read_bytes() == (tmp_path / f"by-tensors{target}").read_bytes()


def test_the_usual_conversions_and_infos_run_where_torch_cannot_be_imported(
    scene_factory: SceneFactory, flat: GaussianHierarchy, tmp_path: Path
) -> None:
    export(scene_factory((300,), degree=3), tmp_path / "a.ply")
    export(flat, tmp_path / "b.spz")
    lines = [
        "export a.ply c.spz", "export c.spz d.ply", "export a.ply e.compressed.ply", "export e.compressed.ply f.splat",
        "export b.spz g.sog", "export g.sog h.ply --sh-degree 0", "info e.compressed.ply", "info d.ply",
    ]  # fmt: skip
    (tmp_path / "lines.txt").write_text("\n".join(lines))
    done = subprocess.run([sys.executable, "-c", WITHOUT_TORCH], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert load(tmp_path / "d.ply").sh_degree == 3
    torch.testing.assert_close(load(tmp_path / "f.splat").means, load(tmp_path / "e.compressed.ply").means.float()[
        :, _order(load(tmp_path / "f.splat").means, load(tmp_path / "e.compressed.ply").means)
    ])  # fmt: skip


def _order(ordered: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """The rows of ``other`` (1, N, 3) in the order of ``ordered`` (1, N, 3)."""
    return torch.cdist(ordered[0], other[0]).argmin(1)


def test_a_degree_is_cut_as_export_cuts_it(scene_factory: SceneFactory, tmp_path: Path) -> None:
    export(scene_factory((50,), degree=3), tmp_path / "a.ply")
    convert(tmp_path / "a.ply", tmp_path / "direct.ply", sh_degree=1)
    export(load(tmp_path / "a.ply"), tmp_path / "by-tensors.ply", sh_degree=1)
    assert (tmp_path / "direct.ply").read_bytes() == (tmp_path / "by-tensors.ply").read_bytes()


def test_a_tree_and_levels_go_by_way_of_tensors(scene: GaussianHierarchy, tmp_path: Path) -> None:
    export(scene, tmp_path / "a.ply", extras=True)
    convert(tmp_path / "a.ply", tmp_path / "b.ply", extras=True)
    assert torch.equal(load(tmp_path / "b.ply").parent, scene.parent)
    convert(tmp_path / "a.ply", tmp_path / "coarse.splat", levels=[0])
    assert load(tmp_path / "coarse.splat").num_gaussians == int((scene.level == 0).sum() + scene.is_background.sum())


@pytest.mark.parametrize("levels", [None, [0, 1]])
def test_a_native_file_keeps_the_latent_that_it_was_made_from(
    levels: list[int] | None, scene: GaussianHierarchy, tmp_path: Path
) -> None:
    save_asset(tmp_path / "a.hgs", Asset(scene, AssetMetadata(seed=3), torch.ones(2, 8)))
    convert(tmp_path / "a.hgs", tmp_path / "b.hgs", levels)
    asset = read_asset(tmp_path / "b.hgs")
    assert asset.metadata.seed == 3
    assert asset.latent is not None
    assert torch.equal(asset.latent, torch.ones(2, 8))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_value_that_is_not_finite_is_refused_or_dropped(
    value: float, flat: GaussianHierarchy, tmp_path: Path
) -> None:
    export(flat, tmp_path / "a.ply")
    data = bytearray((tmp_path / "a.ply").read_bytes())
    start = data.index(b"end_header\n") + len(b"end_header\n")
    data[start : start + 4] = np.float32(value).tobytes()
    (tmp_path / "a.ply").write_bytes(data)
    with pytest.raises(FormatError, match=r"non-finite values .* in 1 of 300"):
        convert(tmp_path / "a.ply", tmp_path / "b.spz")
    assert not (tmp_path / "b.spz").exists()
    convert(tmp_path / "a.ply", tmp_path / "b.spz", drop_invalid=True)
    assert load(tmp_path / "b.spz").num_gaussians == 299


def test_another_frame_is_turned_and_a_file_is_not_replaced(flat: GaussianHierarchy, tmp_path: Path) -> None:
    export(flat, tmp_path / "a.spz")
    convert(tmp_path / "a.spz", tmp_path / "b.ply", source_frame="rdf")
    turned = load(tmp_path / "a.spz").means * torch.tensor([1.0, -1, -1])
    torch.testing.assert_close(load(tmp_path / "b.ply").means, turned)
    with pytest.raises(HgsError, match="exists"):
        convert(tmp_path / "a.spz", tmp_path / "b.ply")


def test_unit_quaternions_are_those_of_the_encoding() -> None:
    quats = torch.randn(100, 4, generator=torch.Generator().manual_seed(0))
    quats[3] = 0
    quats[4] *= 1e-12
    torch.testing.assert_close(torch.from_numpy(unit_quats(quats.numpy())), normalize_quats(quats))


@pytest.mark.parametrize("length", [1e-40, 1e-25, 1e-12, 1e20, 5e37])
def test_quaternions_of_any_length_keep_their_rotation(length: float) -> None:
    quats = np.array([[1, 2, 3, 4], [0, 0, 0, 0], [4, -3, 2, -1]], np.float32) * np.float32(length)
    expected = np.array([[1, 2, 3, 4], [30**0.5, 0, 0, 0], [4, -3, 2, -1]]) / 30**0.5
    tolerance = 1e-4 if length < 1e-38 else 1e-6  # such short ones have fewer digits
    np.testing.assert_allclose(unit_quats(quats), expected, atol=tolerance)
    np.testing.assert_allclose(normalize_quats(torch.from_numpy(quats)), expected, atol=tolerance)


def test_points_of_one_cell_keep_their_order_along_the_curve() -> None:
    means = np.random.default_rng(0).uniform(-1, 1, (50, 3)).astype(np.float32)
    doubled = np.repeat(means, 3, axis=0)
    order = morton_order(doubled)
    assert (np.diff(order.reshape(50, 3)) == 1).all()
