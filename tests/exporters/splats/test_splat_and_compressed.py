"""The .splat and the .compressed.ply: their bytes, what they cannot hold, and broken files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.lib.recfunctions import repack_fields
from plyfile import PlyData, PlyElement

from hgs_toolkit.errors import FormatError
from hgs_toolkit.exporters.table import export, load
from hgs_toolkit.gaussians import GaussianHierarchy
from tests.samples import sample_file

SceneFactory = Callable[..., GaussianHierarchy]


def test_a_row_of_splat_is_32_bytes_in_known_places(tmp_path: Path, scene_factory: SceneFactory) -> None:
    scene = scene_factory((1,)).replace(
        means=torch.tensor([[[1.0, 2.0, 3.0]]]), log_scales=torch.zeros(1, 1, 3), sh=torch.zeros(1, 1, 1, 3),
        quats=torch.tensor([[[1.0, 0.0, 0.0, 0.0]]]), opacity_logits=torch.full((1, 1), 99.0),
    )  # fmt: skip
    export(scene, tmp_path / "a.splat")
    data = (tmp_path / "a.splat").read_bytes()
    assert np.frombuffer(data[:24], "<f4").tolist() == [1, -2, -3, 1, 1, 1]
    assert list(data[24:]) == [128, 128, 128, 255, 255, 128, 128, 128]


def test_splats_come_most_important_first_and_losses_are_said(
    tmp_path: Path, scene_factory: SceneFactory, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    scene = scene_factory((200,), degree=2)
    export(scene, tmp_path / "a.splat")
    loaded = load(tmp_path / "a.splat")
    importance = loaded.log_scales[0].sum(-1).exp() * loaded.opacity_logits[0].sigmoid()
    assert bool((importance.diff() < importance.max() * 0.01).all())
    assert "do not keep spherical harmonics above degree 0" in caplog.text
    assert "colours lie beyond the range of .splat files and were clamped" in caplog.text


def test_a_splat_file_of_others_is_read() -> None:
    loaded = load(sample_file("st-fixtures/minimal.splat"))
    torch.testing.assert_close(loaded.log_scales.exp(), torch.full((1, 4, 3), 0.1))


@pytest.mark.parametrize(
    ("content", "message"),
    [(bytes(31), "expected a multiple of 32"), (b"", "holds no Gaussians"),
     (np.full(8, np.nan, "<f4").tobytes(), "non-finite"), (np.full(8, -1, "<f4").tobytes(), "negative standard")],
)  # fmt: skip
def test_broken_splat_files_are_refused_by_name(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.splat").write_bytes(content)
    with pytest.raises(FormatError, match=rf"a\.splat.*{message}"):
        load(tmp_path / "a.splat")


def test_a_compressed_file_has_its_elements_for_every_256(tmp_path: Path, scene_factory: SceneFactory) -> None:
    export(scene_factory((600,), degree=1), tmp_path / "a.compressed.ply")
    data = PlyData.read(tmp_path / "a.compressed.ply")
    assert [(element.name, element.count) for element in data] == [("chunk", 3), ("vertex", 600), ("sh", 600)]
    assert bool((data["chunk"]["min_x"] <= data["chunk"]["max_x"]).all())


@pytest.mark.filterwarnings("error")
def test_a_chunk_whose_extent_is_no_number_is_refused(tmp_path: Path, scene_factory: SceneFactory) -> None:
    scene = scene_factory((300,))
    means = scene.means.clone()
    means[0, :, 1] = torch.tensor([3.3e38, -3.3e38]).repeat(150)
    message = r"a\.compressed\.ply: coordinates from -3\.3e\+38 to 3\.3e\+38 in one chunk; .* write \.ply"
    with pytest.raises(FormatError, match=message):
        export(scene.replace(means=means), tmp_path / "a.compressed.ply")
    assert list(tmp_path.iterdir()) == []


def changed(path: Path, change: Callable[[dict[str, np.ndarray]], None]) -> None:
    data = PlyData.read(path)
    tables = {element.name: np.array(element.data) for element in data}
    change(tables)
    PlyData([PlyElement.describe(table, name) for name, table in tables.items()], byte_order="<").write(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("chunk"), "no element 'chunk'"),
        (lambda t: t.update(chunk=t["chunk"][:1]), "1 chunks for 600 Gaussians"),
        (lambda t: t.update(sh=t["sh"][:9]), "harmonics of 9 of its 600 Gaussians"),
        (lambda t: t["chunk"]["max_x"].fill(np.inf), "non-finite"),
        (
            lambda t: t.update(sh=t["sh"].astype([(n, "f4") for n in t["sh"].dtype.names])),
            "a column of the harmonics is no unsigned byte",
        ),
        (lambda t: t.update(vertex=t["vertex"].astype([(n, "f4") for n in t["vertex"].dtype.names])), "no unsigned"),
        (
            lambda t: t.update(vertex=repack_fields(t["vertex"][["packed_position"]])),
            "lacks the columns 'packed_rotation'",
        ),
        (
            lambda t: t.update(chunk=repack_fields(t["chunk"][list(t["chunk"].dtype.names[:-1])])),
            "lacks the columns 'max_b'",
        ),
    ],
)
def test_compressed_files_that_contradict_themselves_are_refused(
    change: Callable[[dict[str, np.ndarray]], None],
    message: str,
    tmp_path: Path,
    scene_factory: SceneFactory,
) -> None:
    export(scene_factory((600,), degree=1), tmp_path / "a.compressed.ply")
    changed(tmp_path / "a.compressed.ply", change)
    with pytest.raises(FormatError, match=message):
        load(tmp_path / "a.compressed.ply")


def test_a_ply_is_compressed_if_its_header_says_so_whatever_its_name(tmp_path: Path, scene: GaussianHierarchy) -> None:
    export(scene, tmp_path / "packed.compressed.ply")
    expected = load(tmp_path / "packed.compressed.ply")
    (tmp_path / "packed.compressed.ply").rename(tmp_path / "a.ply")
    assert torch.equal(load(tmp_path / "a.ply").means, expected.means)
    export(scene, tmp_path / "plain.ply")
    (tmp_path / "plain.ply").rename(tmp_path / "b.compressed.ply")
    assert torch.equal(load(tmp_path / "b.compressed.ply").means, scene.means)
