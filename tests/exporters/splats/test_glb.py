"""The .glb with KHR_gaussian_splatting: its bytes by the specification, levels as nodes, placement, broken files."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hgs_toolkit.encoding import quats_to_rotmats, rotmats_to_quats
from hgs_toolkit.errors import FormatError
from hgs_toolkit.exporters.options import ExportOptions
from hgs_toolkit.exporters.splats.gltf import write_chunks
from hgs_toolkit.exporters.splats.spz.writer import pack_spz
from hgs_toolkit.exporters.splats.tiles.writer import tile_glb
from hgs_toolkit.exporters.splats.transform import multiply_quats, transform_scene, turn_harmonics
from hgs_toolkit.exporters.table import export, load
from hgs_toolkit.gaussians import GaussianHierarchy
from hgs_toolkit.rendering.harmonics import sh_basis

SceneFactory = Callable[..., GaussianHierarchy]
Json = dict[str, Any]

PREFIX = "KHR_gaussian_splatting:"


def parts(path: Path) -> tuple[Json, bytes]:
    """JSON and binary chunk, by the layout of glTF 2.0, 4.4."""
    data = path.read_bytes()
    assert struct.unpack("<4sII", data[:12]) == (b"glTF", 2, len(data))
    length, kind = struct.unpack("<II", data[12:20])
    assert kind == 0x4E4F534A
    return json.loads(data[20 : 20 + length]), data[28 + length :]


def column(path: Path, name: str, primitive: int = 0) -> np.ndarray[Any, Any]:
    """The values of an attribute of floats."""
    document, binary = parts(path)
    accessor = document["accessors"][document["meshes"][primitive]["primitives"][0]["attributes"][name]]
    view = document["bufferViews"][accessor["bufferView"]]
    width = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}[accessor["type"]]
    start, stride = view["byteOffset"] + accessor["byteOffset"], view["byteStride"]
    return np.ndarray((accessor["count"], width), "<f4", binary, start, (stride, 4))


def rewrite(path: Path, change: Callable[[Json], object]) -> None:
    """The same file with its JSON changed."""
    document, binary = parts(path)
    change(document)
    write_chunks(path, document, [np.frombuffer(binary, np.uint8)], len(binary))


def test_attributes_are_what_the_specification_says(tmp_path: Path, scene_factory: SceneFactory) -> None:
    scene = scene_factory((7,), degree=3)
    path = tmp_path / "a.glb"
    export(scene, path)
    document, _ = parts(path)
    (mesh,) = document["meshes"]
    (primitive,) = mesh["primitives"]
    assert document["extensionsUsed"] == ["KHR_gaussian_splatting"]
    assert primitive["mode"] == 0
    assert primitive["extensions"]["KHR_gaussian_splatting"] == {
        "kernel": "ellipse", "colorSpace": "srgb_rec709_display",
        "projection": "perspective", "sortingMethod": "cameraDistance",
    }  # fmt: skip
    np.testing.assert_array_equal(column(path, "POSITION"), scene.means[0])
    np.testing.assert_allclose(column(path, PREFIX + "SCALE"), scene.log_scales[0].exp(), rtol=1e-6)
    np.testing.assert_allclose(column(path, PREFIX + "OPACITY")[:, 0], scene.opacity_logits[0].sigmoid(), rtol=1e-6)
    quats = scene.quats[0] / scene.quats[0].norm(dim=-1, keepdim=True)
    np.testing.assert_allclose(column(path, PREFIX + "ROTATION"), quats[:, [1, 2, 3, 0]], atol=1e-6)
    for l_ in range(4):
        for n in range(2 * l_ + 1):
            np.testing.assert_array_equal(column(path, f"{PREFIX}SH_DEGREE_{l_}_COEF_{n}"), scene.sh[0, :, l_ * l_ + n])
    accessor = document["accessors"][primitive["attributes"]["POSITION"]]
    assert accessor["min"] == scene.means[0].amin(0).tolist()


def test_points_have_the_display_colour_in_linear_light(tmp_path: Path, scene_factory: SceneFactory) -> None:
    scene = scene_factory((1,))
    dc = (torch.tensor([0.5, 0.0, 2.0]) - 0.5) / 0.28209479177387814
    export(scene.replace(sh=dc.view(1, 1, 1, 3), opacity_logits=torch.zeros(1, 1)), tmp_path / "a.glb")
    document, binary = parts(tmp_path / "a.glb")
    index = document["meshes"][0]["primitives"][0]["attributes"]["COLOR_0"]
    start = document["bufferViews"][document["accessors"][index]["bufferView"]]["byteOffset"]
    assert list(binary[start : start + 4]) == [55, 0, 255, 128]  # sRGB 0.5 is 0.214 in linear light


def test_each_level_is_a_named_node_on_request(tmp_path: Path, scene: GaussianHierarchy) -> None:
    export(scene, tmp_path / "a.glb", nodes=True)
    document, _ = parts(tmp_path / "a.glb")
    assert [node["name"] for node in document["nodes"]] == ["level 0", "level 1", "level 2", "background"]
    loaded = load(tmp_path / "a.glb")
    assert loaded.level_counts == [4, 16, 64]
    assert torch.equal(loaded.means, scene.means)
    np.testing.assert_array_equal(column(tmp_path / "a.glb", "POSITION", 1), scene.means[0, 4:20])


@pytest.mark.parametrize("nodes", [False, True])
def test_the_tree_comes_back_on_request_whatever_the_order(
    nodes: bool, tmp_path: Path, scene: GaussianHierarchy
) -> None:
    order = torch.randperm(89, generator=torch.Generator().manual_seed(0))
    rank = order.argsort()
    shuffled = scene.replace(
        **{name: value[:, order] for name, value in scene.parameters().items()}, level=scene.level[order],
        parent=torch.where(scene.parent[order] < 0, -1, rank[scene.parent[order].clamp_min(0)]),
    )  # fmt: skip
    export(shuffled, tmp_path / "a.glb", nodes=nodes, extras=True)
    loaded = load(tmp_path / "a.glb")
    back = (loaded.means[0][:, None] == scene.means[0]).all(-1).long().argmax(1)  # (N,) index in scene
    assert torch.equal(loaded.level, scene.level[back])
    expected = scene.parent[back]
    found = torch.where(loaded.parent < 0, -1, back[loaded.parent.clamp_min(0)])
    assert torch.equal(found, expected)


@pytest.mark.parametrize(
    "placement",
    [
        {"translation": [1, 2, 3], "rotation": [0.5, 0.5, 0.5, 0.5], "scale": [2, 2, 2]},
        {"matrix": [0, 2, 0, 0, 0, 0, 2, 0, 2, 0, 0, 0, 1, 2, 3, 1]},
    ],
)
def test_nodes_place_their_gaussians(placement: Json, tmp_path: Path, scene_factory: SceneFactory) -> None:
    scene = scene_factory((5,))
    export(scene, tmp_path / "a.glb")
    rewrite(tmp_path / "a.glb", lambda document: document["nodes"][0].update(placement))
    loaded = load(tmp_path / "a.glb")
    # (x, y, z) -> (z, x, y), twice as large, shifted.
    torch.testing.assert_close(loaded.means, 2 * scene.means.roll(1, -1) + torch.tensor([1.0, 2.0, 3.0]))
    torch.testing.assert_close(loaded.log_scales, scene.log_scales + math.log(2))
    axes = quats_to_rotmats(scene.quats).roll(1, -2)
    torch.testing.assert_close(quats_to_rotmats(loaded.quats), axes, atol=1e-5, rtol=0)


def test_a_child_is_placed_by_its_parents(tmp_path: Path, scene: GaussianHierarchy) -> None:
    export(scene, tmp_path / "a.glb")

    def nest(document: Json) -> None:
        document["nodes"].append({"children": [0], "translation": [0, 5, 0], "scale": [3, 3, 3]})
        document["nodes"][0]["translation"] = [1, 0, 0]
        document["scenes"][0]["nodes"] = [1]

    rewrite(tmp_path / "a.glb", nest)
    torch.testing.assert_close(load(tmp_path / "a.glb").means, 3 * scene.means + torch.tensor([3.0, 5.0, 0.0]))


def test_turned_harmonics_show_each_side_what_it_showed_before() -> None:
    generator = torch.Generator().manual_seed(3)
    turn = quats_to_rotmats(torch.randn(4, generator=generator, dtype=torch.float64))
    sh = torch.randn(6, 16, 3, generator=generator)
    directions = torch.nn.functional.normalize(torch.randn(50, 3, generator=generator, dtype=torch.float64), dim=-1)
    before = torch.einsum("dk,nkc->dnc", sh_basis(directions, 3).float(), sh)
    after = torch.einsum("dk,nkc->dnc", sh_basis(directions @ turn.T, 3).float(), turn_harmonics(sh, turn))
    torch.testing.assert_close(after, before, atol=1e-5, rtol=0)


def test_placing_twice_is_placing_by_the_product(scene_factory: SceneFactory) -> None:
    scene, generator = scene_factory((9,), degree=3), torch.Generator().manual_seed(0)
    matrices = []
    for scale in (0.5, 3.0):
        matrix = np.eye(4)
        matrix[:3, :3] = scale * quats_to_rotmats(torch.randn(4, generator=generator, dtype=torch.float64)).numpy()
        matrix[:3, 3] = torch.randn(3, generator=generator).numpy()
        matrices.append(matrix)
    first, second = matrices
    once, twice = transform_scene(scene, second @ first), transform_scene(transform_scene(scene, first), second)
    for name in ("means", "log_scales", "sh"):
        torch.testing.assert_close(getattr(once, name), getattr(twice, name), atol=2e-5, rtol=1e-5)
    same = torch.nn.functional.normalize(once.quats, dim=-1) * torch.nn.functional.normalize(twice.quats, dim=-1)
    torch.testing.assert_close(same.sum(-1).abs(), torch.ones(1, 9))


def test_rotations_become_quaternions_and_back() -> None:
    quats = torch.randn(500, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    quats = torch.cat([quats, torch.eye(4).double(), 1 - torch.eye(4).double()])  # half turns among them
    quats = quats / quats.norm(dim=-1, keepdim=True)
    found = rotmats_to_quats(quats_to_rotmats(quats))
    torch.testing.assert_close((found * quats).sum(-1).abs(), torch.ones(508).double())
    product = quats_to_rotmats(multiply_quats(quats[:-1], quats[1:]))
    torch.testing.assert_close(product, quats_to_rotmats(quats[:-1]) @ quats_to_rotmats(quats[1:]))


def test_integers_are_read_as_the_specification_scales_them(tmp_path: Path) -> None:
    columns: list[tuple[str, str, int, int, bool, np.ndarray[Any, Any]]] = [
        ("POSITION", "VEC3", 5126, 12, False, np.array([[1, 2, 3]], "<f4")),
        (PREFIX + "SCALE", "VEC3", 5122, 8, False, np.array([[1, 2, 3, 0]], "<i2")),
        (PREFIX + "ROTATION", "VEC4", 5120, 4, True, np.array([[0, 0, -128, 0]], "i1")),
        (PREFIX + "OPACITY", "SCALAR", 5121, 4, True, np.array([[51, 0, 0, 0]], "u1")),
        (PREFIX + "SH_DEGREE_0_COEF_0", "VEC3", 5126, 12, False, np.zeros((1, 3), "<f4")),
    ]
    document: Json = {
        "asset": {"version": "2.0"}, "nodes": [{"mesh": 0}], "buffers": [{"byteLength": 40}],
        "meshes": [{"primitives": [{
            "mode": 0, "attributes": {name: index for index, (name, *_) in enumerate(columns)},
            "extensions": {"KHR_gaussian_splatting": {"kernel": "ellipse"}},
        }]}],
        "accessors": [
            {"bufferView": index, "componentType": component, "type": kind, "count": 1, "normalized": normalized}
            for index, (_, kind, component, _, normalized, _) in enumerate(columns)
        ],
        "bufferViews": [
            {"buffer": 0, "byteOffset": sum(c[3] for c in columns[:index]), "byteLength": c[3], "byteStride": c[3]}
            for index, c in enumerate(columns)
        ],
    }  # fmt: skip
    write_chunks(tmp_path / "a.glb", document, [column[-1] for column in columns], 40)
    loaded = load(tmp_path / "a.glb")
    torch.testing.assert_close(loaded.log_scales[0, 0].exp(), torch.tensor([1.0, 2.0, 3.0]))
    assert loaded.quats[0, 0].tolist() == [0, 0, 0, -1]
    torch.testing.assert_close(loaded.opacity_logits.sigmoid(), torch.tensor([[0.2]]))


def first_accessor(document: Json) -> Json:
    accessor: Json = document["accessors"][0]
    return accessor


def splat_extension(document: Json) -> Json:
    extension: Json = document["meshes"][0]["primitives"][0]["extensions"]["KHR_gaussian_splatting"]
    return extension


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: first_accessor(d).update(count=10**9), "'POSITION' has count 1000000000|content promised"),
        (lambda d: first_accessor(d).update(count=90), "'POSITION' promises"),
        (lambda d: first_accessor(d).update(count=True), "has count True"),
        (lambda d: first_accessor(d).update(count=88), "differ in their counts"),
        (lambda d: first_accessor(d).update(sparse={}), "sparse"),
        (lambda d: first_accessor(d).update(type="VEC4"), "is 'VEC4' of components 5126"),
        (lambda d: first_accessor(d).update(bufferView=99), "entry 99 of 'bufferViews'"),
        (lambda d: d["bufferViews"][0].update(byteStride=1), "promises"),
        (lambda d: d["buffers"][0].update(uri="../secret"), "its data are in other files"),
        (lambda d: d["nodes"][0].update(children=[0]), "more than 64 deep, or a circle"),
        (lambda d: d["nodes"][0].update(scale=[1, 2, 1]), "mirrors or stretches"),
        (lambda d: d["nodes"][0].update(scale=[-1, 1, 1]), "mirrors or stretches"),
        (lambda d: d["nodes"][0].update(translation=["a", 0, 0]), "no list of 3 finite numbers"),
        (lambda d: d.update(extensionsRequired=["EXT_meshopt_compression"]), "needs the extensions"),
        (lambda d: d["meshes"][0]["primitives"][0].pop("extensions"), "it is a mesh, not a splat file"),
        (lambda d: d["meshes"][0]["primitives"][0].update(mode=4), "has mode 4"),
        (lambda d: splat_extension(d).update(extensions=5), "its Gaussians are extended by 5; only plain ones"),
        (
            lambda d: splat_extension(d).update(extensions={"EXT_x": {}}),
            r"are extended by \['EXT_x'\]; only",
        ),
        (lambda d: d["meshes"][0]["primitives"][0]["attributes"].pop(PREFIX + "SCALE"), "lacks .*SCALE"),
        (lambda d: d.update(meshes=3), "entry 0 of 'meshes'"),
        (
            lambda d: d["nodes"][0].update(extras={"hgs_level": 10**30}),
            "hgs_level is 1000.*; expected -1 .* or 0 to 63",
        ),
        (lambda d: d["nodes"][0].update(extras={"hgs_level": -2}), "hgs_level is -2; expected -1 .* or 0 to 63"),
    ],
)
def test_json_that_lies_is_refused(
    change: Callable[[Json], object], message: str, tmp_path: Path, scene: GaussianHierarchy
) -> None:
    export(scene, tmp_path / "a.glb")
    rewrite(tmp_path / "a.glb", change)
    with pytest.raises(FormatError, match=rf"a\.glb: .*({message})"):
        load(tmp_path / "a.glb")


@pytest.mark.parametrize("length", [0, 11, 19, 40, 3000])
def test_a_truncated_file_is_refused(length: int, tmp_path: Path, scene: GaussianHierarchy) -> None:
    export(scene, tmp_path / "a.glb")
    (tmp_path / "a.glb").write_bytes((tmp_path / "a.glb").read_bytes()[:length])
    with pytest.raises(FormatError, match=r"a\.glb: it is (truncated|no \.glb)"):
        load(tmp_path / "a.glb")


def test_nan_is_counted(tmp_path: Path, scene: GaussianHierarchy) -> None:
    export(scene, tmp_path / "a.glb")
    document, binary = parts(tmp_path / "a.glb")
    write_chunks(tmp_path / "a.glb", document, [np.frombuffer(b"\0\0\xc0\x7f" + binary[4:], np.uint8)], len(binary))
    with pytest.raises(FormatError, match=r"a\.glb: non-finite values .*1 in means"):
        load(tmp_path / "a.glb")


def test_nodes_that_double_at_every_depth_are_not_all_visited(tmp_path: Path, scene: GaussianHierarchy) -> None:
    export(scene, tmp_path / "a.glb")

    def double(document: Json) -> None:
        document["nodes"] = [{"children": [depth + 1] * 2} for depth in range(60)] + [{}]

    rewrite(tmp_path / "a.glb", double)
    with pytest.raises(
        FormatError, match="its nodes are used more than 10000 times in all; expected each of them once"
    ):
        load(tmp_path / "a.glb")


def test_primitives_that_are_used_by_many_nodes_count_each_time(tmp_path: Path, scene: GaussianHierarchy) -> None:
    export(scene, tmp_path / "a.glb")

    def multiply(document: Json) -> None:
        document["meshes"][0]["primitives"] = [{}] * 200
        document["nodes"] = [{"mesh": 0}] * 200
        document["scenes"][0]["nodes"] = list(range(200))

    rewrite(tmp_path / "a.glb", multiply)
    with pytest.raises(FormatError, match="its primitives are used more than 10000 times in all"):
        load(tmp_path / "a.glb")


def test_a_packed_scene_counts_for_each_node_that_uses_it(tmp_path: Path, scene_factory: SceneFactory) -> None:
    scene = scene_factory((20_000,))
    same = scene.replace(**{name: 0 * value for name, value in scene.parameters().items()})
    (tmp_path / "a.glb").write_bytes(tile_glb(same, 0, b"".join(pack_spz(same, ExportOptions()).parts)))

    def share(document: Json) -> None:
        document["nodes"] = [{"mesh": 0}] * 60
        document["scenes"][0]["nodes"] = list(range(60))

    assert load(tmp_path / "a.glb").num_gaussians == 20_000
    rewrite(tmp_path / "a.glb", share)
    with pytest.raises(FormatError, match=r"bytes of content promised .* taken for a decompression bomb"):
        load(tmp_path / "a.glb")
