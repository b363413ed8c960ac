"""Spark's .rad: its bytes, read here by the layout alone, and what they say of the scene."""

from __future__ import annotations

import json
import logging
import struct
import tracemalloc
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
from hgs_toolkit.exporters.splats.merge_tree import MergeTree, merge_tree
from hgs_toolkit.exporters.splats.offsets import NO_OFFSET
from hgs_toolkit.exporters.splats.rad import writer as rad
from hgs_toolkit.exporters.splats.rad.encodings import bytes_a_value, decoded, rotations
from hgs_toolkit.exporters.splats.rad.writer import covering, least_size, openable, upright
from hgs_toolkit.exporters.table import export, load, read_asset
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


def sizes(tree: MergeTree) -> NDArray[np.float64]:
    """As Spark computes them, where alphas are at most 1."""
    found: NDArray[np.float64] = 2 * tree.scales.mean(axis=1)
    return found


def test_no_inner_node_is_too_small_to_be_opened_and_each_covers_what_it_did(scene: GaussianHierarchy) -> None:
    before = merge_tree(scene)
    inner = before.leaf < 0
    least = float(np.median(sizes(before)[inner]))
    after = openable(before, least)
    small = inner & (sizes(before) < least)
    assert 0 < small.sum() < inner.sum()
    np.testing.assert_allclose(sizes(after)[small], least)
    np.testing.assert_allclose(after.density * sizes(after) ** 2, before.density * sizes(before) ** 2)
    for name in ("scales", "density"):
        np.testing.assert_array_equal(getattr(after, name)[~small], getattr(before, name)[~small])
    np.testing.assert_allclose(after.scales[:, 1] / after.scales[:, 0], before.scales[:, 1] / before.scales[:, 0])


def test_points_without_extent_can_be_opened_too(scene_factory: SceneFactory) -> None:
    scene = scene_factory((8,))
    tree = openable(merge_tree(scene.replace(means=0 * scene.means, log_scales=0 * scene.log_scales - 200)), 0.1)
    assert np.isfinite(tree.scales).all()
    assert np.isfinite(tree.density).all()


def test_the_least_size_follows_the_subject_and_leaves_dense_scenes_sharp(scene_factory: SceneFactory) -> None:
    scene = scene_factory((400,))
    least = least_size(scene)
    assert least_size(scene.replace(means=3 * scene.means)) == pytest.approx(3 * least)
    far = scene_factory((400,), background=19)
    far.means[:, 400:] *= 100  # the background does not count
    assert least_size(far) < 2 * least
    assert least_size(scene_factory((400_000,))) < 0.9 * least


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


def rewritten(path: Path, change: Callable[[dict[str, Any]], None], described_by: bytes = b"RAD0") -> None:
    """Replace the header of the file, or of its only chunk, by a changed one; the chunk is what follows the header."""
    data = path.read_bytes()
    at = data.index(described_by)
    header, length = described(data[at:], described_by)
    change(header)
    text = json.dumps(header).encode()
    new = described_by + struct.pack("<I", len(text)) + text + bytes(-len(text) % 8)
    data = data[:at] + new + data[at + length :]
    path.write_bytes(data)
    if described_by == b"RADC":
        rewritten(path, lambda header: header["chunks"][0].update(bytes=len(data) - at))


def test_the_gaussians_come_back_without_the_merged_nodes(
    tmp_path: Path, scene: GaussianHierarchy, caplog: pytest.LogCaptureFixture
) -> None:
    export(scene, tmp_path / "a.rad")
    caplog.set_level(logging.INFO)
    assert load(tmp_path / "a.rad").num_gaussians == 89
    assert caplog.messages == [f"{tmp_path}/a.rad: 89 Gaussians read; 88 nodes that stand for several were left out"]


def test_several_chunks_are_one_scene(
    tmp_path: Path, scene: GaussianHierarchy, monkeypatch: pytest.MonkeyPatch
) -> None:
    export(scene, tmp_path / "a.rad")
    monkeypatch.setattr(rad, "CHUNK", 64)
    export(scene, tmp_path / "b.rad")
    assert torch.equal(load(tmp_path / "a.rad").means, load(tmp_path / "b.rad").means)


def test_a_file_without_tree_is_read_whole(tmp_path: Path, scene: GaussianHierarchy) -> None:
    export(scene, tmp_path / "a.rad")

    def untree(header: dict[str, Any]) -> None:
        header["properties"] = [entry for entry in header["properties"] if not entry["property"].startswith("child")]

    rewritten(tmp_path / "a.rad", untree, b"RADC")
    assert load(tmp_path / "a.rad").num_gaussians == 177


@pytest.mark.parametrize(
    ("change", "part", "message"),
    [
        (lambda header: header.update(version=2), b"RAD0", "not of version 1"),
        (lambda header: header.update(type="mesh"), b"RAD0", "of type 'mesh'"),
        (lambda header: header.update(maxSh=4), b"RAD0", "SH degree 4"),
        (lambda header: header.update(count=10**9), b"RAD0", "its chunks hold 177 Gaussians; 1000000000 promised"),
        (lambda header: header.update(chunks=7), b"RAD0", "no list of chunks"),
        (lambda header: header["chunks"][0].update(filename="x.radc"), b"RAD0", "chunks are files of their own"),
        (lambda header: header["chunks"][0].update(offset=10**9), b"RAD0", "lies beyond"),
        (lambda header: header["chunks"].append(header["chunks"][0]), b"RAD0", "its chunks overlap"),
        (lambda header: header.update(count=2**31), b"RADC", "taken for a decompression bomb"),
        (lambda header: header.update(count=178), b"RADC", "its chunks hold 178 Gaussians; 177 promised"),
        (lambda header: header["properties"][0].update(bytes=20), b"RADC", "'center' has fewer than the 2124 bytes"),
        (
            lambda header: header["properties"][0].update(encoding="f16"),
            b"RADC",
            "'center' has more than the 1062 bytes",
        ),
        (lambda header: header["properties"].pop(0), b"RADC", "lacks the property 'center'"),
        (lambda header: header["properties"][0].update(bytes=10**9), b"RADC", "'center' lies beyond its chunk"),
        (lambda header: header["properties"][0].update(property=["center"]), b"RADC", "lacks the property 'center'"),
        (lambda header: header["properties"][0].update(encoding="q7"), b"RADC", "encoded as 'q7'; expected f32"),
        (lambda header: header["properties"][0].update(encoding="ln_f16"), b"RADC", "which is for scales"),
        (lambda header: header["properties"][0].update(encoding="oct88r8"), b"RADC", "which is for orientation"),
        (lambda header: header["properties"][0].update(encoding="r8"), b"RADC", "expected two numbers"),
        (lambda header: header["properties"][0].update(compression="xz"), b"RADC", "compressed by 'xz'"),
        (lambda header: header["properties"][0].update(offset=8), b"RADC", "'center' is broken"),
    ],
)
def test_a_header_that_lies_is_refused(
    change: Callable[[dict[str, Any]], None], part: bytes, message: str, tmp_path: Path, scene: GaussianHierarchy
) -> None:
    export(scene, tmp_path / "a.rad")
    rewritten(tmp_path / "a.rad", change, part)
    with pytest.raises(FormatError, match=rf"a\.rad: .*{message}"):
        load(tmp_path / "a.rad")


@pytest.mark.parametrize(
    ("name", "value"), [("center", np.nan), ("alpha", np.inf), ("scales", np.nan), ("orientation", np.inf)]
)
def test_values_that_are_not_finite_are_refused(
    name: str, value: float, tmp_path: Path, scene: GaussianHierarchy, monkeypatch: pytest.MonkeyPatch
) -> None:
    columns = rad._columns

    def spoiled(*arguments: Any) -> rad.Columns:
        result = columns(*arguments)
        encoding, values = result[name]
        return result | {name: (encoding, np.full_like(values, value))}

    monkeypatch.setattr(rad, "_columns", spoiled)
    export(scene, tmp_path / "a.rad")
    with pytest.raises(FormatError, match=r"a\.rad: .*non-finite|NaN|infinit"):
        load(tmp_path / "a.rad")


VALUES = np.array([[-0.9, 0.0, 2.0], [0.25, 1.5, 0.0], [0.5, -0.5, 0.125]], np.float32)
"""Three Gaussians, columns x y z."""


UNSIGNED = np.round((VALUES.T + 2) / 4 * 255).astype(np.uint8)
SIGNED = np.round(VALUES.T / 2 * 127).astype(np.int8).view(np.uint8)
NOTHING = np.uint8(0)


@pytest.mark.parametrize(
    ("encoding", "columns", "bound"),
    [
        ("f32", VALUES.T, 0),
        ("f16", VALUES.T.astype("<f2"), 1e-3),
        ("f32_lebytes", VALUES.T.reshape(-1, 1).view(np.uint8).T, 0),
        ("f16_lebytes", VALUES.T.astype("<f2").reshape(-1, 1).view(np.uint8).T, 1e-3),
        ("r8", UNSIGNED, 4 / 510),
        ("r8_delta", np.diff(UNSIGNED, prepend=NOTHING), 4 / 510),
        ("s8", SIGNED, 1 / 127),
        ("s8_delta", np.diff(SIGNED, prepend=NOTHING), 1 / 127),
        ("ln_0r8", 1 + np.round((VALUES.T + 2) / 4 * 254).astype(np.uint8), 4 / 508),
    ],
)
def test_the_encodings_of_sparks_own_tools_are_read(encoding: str, columns: NDArray[Any], bound: float) -> None:
    raw = columns.tobytes()
    assert len(raw) == VALUES.size * bytes_a_value(encoding)
    np.testing.assert_allclose(decoded(encoding, raw, 3, (-2.0, 2.0)), VALUES, atol=bound + 1e-6)


def test_a_scale_of_nothing_is_the_byte_zero() -> None:
    assert decoded("ln_0r8", b"\0\1\xff", 3, (-12.0, 9.0))[:, 0].tolist() == [-np.inf, -12.0, 9.0]


@pytest.mark.parametrize(
    ("code", "quat"),
    [
        ((255, 128, 255), (0, 1, 0, 0)),
        ((128, 255, 255), (0, 0, 1, 0)),
        ((128, 128, 255), (0, 0, 0, 1)),
        ((255, 255, 255), (0, 0, 0, -1)),  # the corners of the square are the lower end of the third axis
        ((255, 128, 128), (0.5**0.5, 0.5**0.5, 0, 0)),
        ((7, 99, 0), (1, 0, 0, 0)),
    ],
)
def test_rotations_in_three_bytes_are_an_axis_and_an_angle(code: tuple[int, ...], quat: tuple[float, ...]) -> None:
    np.testing.assert_allclose(rotations("oct88r8", bytes(code), 1)[0], quat, atol=1e-2)


def test_a_chunk_without_properties_allocates_nothing(tmp_path: Path, scene: GaussianHierarchy) -> None:
    export(scene, tmp_path / "a.rad")
    rewritten(tmp_path / "a.rad", lambda header: header.update(count=100_000_000, properties=[]), b"RADC")
    rewritten(tmp_path / "a.rad", lambda header: header.update(count=100_000_000))
    tracemalloc.start()
    with pytest.raises(FormatError, match="lacks the property 'center'"):
        load(tmp_path / "a.rad")
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 2**20


@pytest.mark.parametrize(
    ("stated", "found"),
    [("1e-05 -500000.0 3e+20", (1e-05, -500000.0, 3e20)), ("1.2.3 4 5", NO_OFFSET), ("1 nan 5", NO_OFFSET)],
)
def test_an_offset_is_three_numbers_of_the_comment(
    stated: str, found: tuple[float, ...], tmp_path: Path, scene: GaussianHierarchy
) -> None:
    export(scene, tmp_path / "a.rad")
    rewritten(tmp_path / "a.rad", lambda header: header.update(comment=f"frame y_up, offset {stated}"))
    assert read_asset(tmp_path / "a.rad").metadata.offset == found
