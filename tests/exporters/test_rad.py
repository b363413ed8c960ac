"""Spark's .rad: its bytes, read here by the layout alone, and what they say of the scene."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from hgs_toolkit.encoding import quats_to_rotmats
from hgs_toolkit.errors import FormatError
from hgs_toolkit.exporters import export, load, rad
from hgs_toolkit.exporters.merge_tree import merge_tree
from hgs_toolkit.exporters.rad import covering, upright
from hgs_toolkit.gaussians import GaussianHierarchy

SceneFactory = Callable[..., GaussianHierarchy]

TYPES = {"f32": "<f4", "f16": "<f2", "ln_f16": "<f2", "u16": "<u2", "u32": "<u4"}


def described(data: bytes, magic: bytes) -> tuple[dict[str, Any], int]:
    """A JSON header and where it ends, padded to eight bytes."""
    assert data[:4] == magic
    (length,) = struct.unpack("<I", data[4:8])
    return json.loads(data[8 : 8 + length]), 8 + -(-length // 8) * 8


def parsed(path: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """The file's header and the columns (count, width) of all chunks."""
    data = path.read_bytes()
    header, start = described(data, b"RAD0")
    assert start + header["allChunkBytes"] == len(data)
    columns: dict[str, list[NDArray[Any]]] = {}
    for base, chunk in enumerate(header["chunks"]):
        part = data[start + chunk["offset"] :][: chunk["bytes"]]
        described_chunk, payload = described(part, b"RADC")
        assert struct.unpack("<Q", part[payload : payload + 8]) == (described_chunk["payloadBytes"],)
        assert payload + 8 + described_chunk["payloadBytes"] == len(part)
        assert described_chunk["base"] == base * header["chunkSize"]
        for entry in described_chunk["properties"]:
            assert entry["offset"] % 8 == 0
            raw = zlib.decompress(part[payload + 8 + entry["offset"] :][: entry["bytes"]], -15)
            values = np.frombuffer(raw, TYPES[entry["encoding"]]).reshape(-1, described_chunk["count"]).T
            columns.setdefault(entry["property"], []).append(values)
    return header, {name: np.concatenate(values) for name, values in columns.items()}


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_leaves_are_the_scene_and_the_tree_is_whole(degree: int, tmp_path: Path, scene_factory: SceneFactory) -> None:
    scene = scene_factory(background=5, degree=degree)
    export(scene, tmp_path / "a.rad")
    header, columns = parsed(tmp_path / "a.rad")
    tree = merge_tree(scene)
    leaves, order = tree.leaf >= 0, tree.leaf[tree.leaf >= 0]
    assert (header["version"], header["type"], header["lodTree"]) == (1, "gsplat", True)
    assert (header["count"], header["maxSh"]) == (177, degree)
    np.testing.assert_array_equal(columns["child_count"][:, 0], np.where(leaves, 0, 2))
    np.testing.assert_array_equal(columns["child_start"][~leaves, 0], tree.first_child[~leaves])
    np.testing.assert_allclose(columns["center"][leaves], scene.means[0, order])
    np.testing.assert_allclose(columns["scales"][leaves], scene.log_scales[0, order], atol=2e-3)
    np.testing.assert_allclose(columns["alpha"][leaves, 0], scene.opacity_logits[0, order].sigmoid(), atol=5e-4)
    rgb = 0.5 + 0.28209479177387814 * scene.sh[0, order, 0]
    np.testing.assert_allclose(columns["rgb"][leaves], rgb, atol=1e-3)
    for l_ in range(1, degree + 1):  # coefficient by coefficient, red, green, blue
        expected = scene.sh[0, order, l_ * l_ : (l_ + 1) ** 2].flatten(1)
        np.testing.assert_allclose(columns[f"sh{l_}"][leaves], expected, atol=2e-3)
    assert f"sh{degree + 1}" not in columns


def test_rotations_survive_without_their_fourth_component(tmp_path: Path, scene_factory: SceneFactory) -> None:
    scene = scene_factory((50,))
    export(scene, tmp_path / "a.rad")
    _, columns = parsed(tmp_path / "a.rad")
    tree = merge_tree(scene)
    leaves, order = tree.leaf >= 0, tree.leaf[tree.leaf >= 0]
    xyz = torch.from_numpy(columns["orientation"][leaves].astype(np.float32))
    found = torch.cat([(1 - (xyz * xyz).sum(-1, keepdim=True)).sqrt(), xyz], dim=-1)
    shape = quats_to_rotmats(found) * scene.log_scales[0, order].exp()[:, None]
    expected = quats_to_rotmats(scene.quats[0, order]) * scene.log_scales[0, order].exp()[:, None]
    torch.testing.assert_close(shape @ shape.mT, expected @ expected.mT, atol=2e-5, rtol=0)


def test_of_the_equal_ellipsoids_the_one_with_the_largest_w_is_taken() -> None:
    quats = torch.randn(500, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    quats = quats / quats.norm(dim=-1, keepdim=True)
    found = torch.from_numpy(upright(quats.numpy()))
    assert float(found[:, 0].min()) >= 0.5
    scales = torch.tensor([1.0, 2.0, 3.0]).double()
    before, after = (quats_to_rotmats(q) * scales for q in (quats, found))
    torch.testing.assert_close(after @ after.mT, before @ before.mT)


def test_alphas_above_one_cover_as_that_many_opaque_gaussians() -> None:
    density = np.array([0.0, 0.3, 1.0, 2.0, 50.0, 1e9])
    alpha = covering(density)
    np.testing.assert_array_equal(alpha[:3], density[:3])
    steepness = 4 * alpha[3:5] - 3  # as Spark's shader unfolds them
    np.testing.assert_allclose(np.exp((steepness**2 - 1) / np.e), density[3:5])
    assert alpha[5] == 2


def test_the_frame_is_y_up_unless_another_is_asked_for(tmp_path: Path, scene: GaussianHierarchy) -> None:
    export(scene, tmp_path / "a.rad")
    export(scene, tmp_path / "b.rad", frame="rdf")
    (header, own), (_, turned) = parsed(tmp_path / "a.rad"), parsed(tmp_path / "b.rad")
    assert "frame y_up" in header["comment"]
    np.testing.assert_allclose(np.sort(turned["center"][:, 1]), np.sort(-own["center"][:, 1]), atol=0.3)
    np.testing.assert_allclose(turned["center"].min(0)[1:], -own["center"].max(0)[1:], atol=1e-6)


def test_chunks_are_cut_at_the_pages_of_the_viewer(
    tmp_path: Path, scene: GaussianHierarchy, monkeypatch: pytest.MonkeyPatch
) -> None:
    export(scene, tmp_path / "a.rad")
    _, whole = parsed(tmp_path / "a.rad")
    monkeypatch.setattr(rad, "CHUNK", 64)
    export(scene, tmp_path / "b.rad")
    header, cut = parsed(tmp_path / "b.rad")
    assert len(header["chunks"]) == 3
    for name, values in whole.items():
        np.testing.assert_array_equal(cut[name], values)


def test_equal_scenes_give_equal_bytes(tmp_path: Path, scene: GaussianHierarchy) -> None:
    export(scene, tmp_path / "a.rad")
    export(scene, tmp_path / "b.rad")
    assert (tmp_path / "a.rad").read_bytes() == (tmp_path / "b.rad").read_bytes()


def test_it_is_written_not_read(tmp_path: Path, scene: GaussianHierarchy) -> None:
    export(scene, tmp_path / "a.rad")
    with pytest.raises(FormatError, match=r"\.rad files can be written, not read"):
        load(tmp_path / "a.rad")
