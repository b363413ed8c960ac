"""glTF models as other programs write them: compressed by Draco, with transformed textures, or refused by name."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from PIL import Image

from hgs_toolkit.datasets.meshes import gltf_extensions, texture_files
from hgs_toolkit.datasets.meshes.library import find_meshes
from hgs_toolkit.datasets.meshes.textured_mesh import TexturedMesh, load_textured_mesh
from hgs_toolkit.errors import DataError, MissingExtraError
from hgs_toolkit.exporters.meshes.table import write_mesh
from hgs_toolkit.parsing.gltf import around_binary

Json = dict[str, Any]
UVS = np.array([[0.0, 0], [1, 0], [1, 1], [0, 1]])


def square() -> trimesh.Trimesh:
    image = Image.fromarray(np.arange(48, dtype=np.uint8).reshape(4, 4, 3))
    material = trimesh.visual.material.PBRMaterial(baseColorTexture=image)
    return trimesh.Trimesh(
        [[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], [[0, 1, 2], [0, 2, 3]], process=False,
        visual=trimesh.visual.TextureVisuals(uv=UVS, material=material),
    )  # fmt: skip


def read(path: Path) -> TexturedMesh:
    return load_textured_mesh(find_meshes(path.parent, path.name)[0])


def write(path: Path, change: Callable[[Json], None]) -> Path:
    """The textured square as a .glb whose JSON ``change`` has changed."""
    data = square().export(file_type="glb")
    assert isinstance(data, bytes)
    document, binary = gltf_extensions._split(data)
    assert document is not None
    assert binary is not None
    change(document)
    head, tail = around_binary(document, len(binary))
    path.write_bytes(head + binary + tail)
    return path


def texture(document: Json) -> Json:
    entry: Json = document["materials"][0]["pbrMetallicRoughness"]["baseColorTexture"]
    return entry


def test_a_model_compressed_by_draco_is_the_plain_one(tmp_path: Path) -> None:
    pytest.importorskip("DracoPy")
    ball = trimesh.creation.icosphere(2)
    (tmp_path / "plain.glb").write_bytes(ball.export(file_type="glb"))
    (tmp_path / "draco.glb").write_bytes(ball.export(file_type="glb", extension_draco=True))
    plain, draco = read(tmp_path / "plain.glb"), read(tmp_path / "draco.glb")
    assert len(draco.corners) == len(plain.corners)
    np.testing.assert_allclose(
        np.sort(draco.corners.reshape(-1, 3), axis=0), np.sort(plain.corners.reshape(-1, 3), axis=0), atol=2e-4
    )


def test_draco_without_its_library_names_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def compressed(document: Json) -> None:
        document["extensionsRequired"] = [gltf_extensions.DRACO]
        document["meshes"][0]["primitives"][0]["extensions"] = {gltf_extensions.DRACO: {}}

    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"Draco needs the package 'DracoPy'.*hgs_toolkit\[meshes\]"):
        read(write(tmp_path / "m.glb", compressed))


def test_a_texture_transform_moves_the_coordinates(tmp_path: Path) -> None:
    """An angle of a right angle, counter-clockwise with v down: u becomes v, v becomes -u."""
    transform = {"offset": [0.25, 0.5], "rotation": math.pi / 2, "scale": [2, 3]}

    def moved(document: Json) -> None:
        texture(document)["extensions"] = {gltf_extensions.TRANSFORM: transform}
        document["extensionsRequired"] = [gltf_extensions.TRANSFORM]

    plain, found = read(write(tmp_path / "a.glb", lambda document: None)), read(write(tmp_path / "b.glb", moved))
    u, v = plain.uvs[..., 0], 1 - plain.uvs[..., 1]  # v down
    expected = np.stack([3 * v + 0.25, 1 - (-2 * u + 0.5)], axis=-1)
    np.testing.assert_allclose(found.uvs, expected, atol=1e-6)
    assert found.surfaces[0].texture is not None


def test_the_set_of_coordinates_that_a_texture_names_is_taken(tmp_path: Path) -> None:
    def second(document: Json) -> None:
        primitive = document["meshes"][0]["primitives"][0]["attributes"]
        primitive["TEXCOORD_1"] = primitive.pop("TEXCOORD_0")
        texture(document)["texCoord"] = 1

    plain, found = read(write(tmp_path / "a.glb", lambda document: None)), read(write(tmp_path / "b.glb", second))
    np.testing.assert_array_equal(found.uvs, plain.uvs)


def test_the_text_form_is_treated_alike(tmp_path: Path) -> None:
    files = square().export(file_type="gltf")
    assert isinstance(files, dict)
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    path = tmp_path / "model.gltf"
    plain = read(path)
    document = json.loads(path.read_bytes())
    texture(document)["extensions"] = {gltf_extensions.TRANSFORM: {"scale": [2, 2]}}
    path.write_text(json.dumps(document))
    np.testing.assert_allclose(read(path).uvs * [1, -1] + [0, 1], 2 * (plain.uvs * [1, -1] + [0, 1]), atol=1e-6)


def quantised(document: Json) -> None:
    index = document["meshes"][0]["primitives"][0]["attributes"]["TEXCOORD_0"]
    document["accessors"][index] |= {"componentType": 5123, "normalized": True}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda document: document.update(extensionsRequired=["EXT_meshopt_compression"]),
         "it needs the glTF extensions EXT_meshopt_compression, which are not read; save it again without"),
        (quantised, "its TEXCOORD_0 is quantised to whole numbers"),
        (lambda document: document.update(meshes=[{}]), "its description is broken"),
    ],
)  # fmt: skip
def test_what_is_not_read_is_refused_by_name(change: Callable[[Json], None], message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        read(write(tmp_path / "m.glb", change))


def test_extensions_of_looks_are_passed_over(tmp_path: Path) -> None:
    path = write(tmp_path / "m.glb", lambda document: document.update(extensionsRequired=["KHR_materials_sheen"]))
    assert len(read(path).corners) == 2


@pytest.mark.parametrize("kind", ["float", "16 bits", "8 bits"])
@pytest.mark.parametrize("with_material", [True, False])
def test_vertex_colours_are_linear_light(kind: str, with_material: bool, tmp_path: Path) -> None:
    """glTF 2.0, 3.7.2.1; 0.216 is the linear light of the grey 128."""
    values = {"float": np.float32(0.216), "16 bits": np.uint16(0.216 * 65535), "8 bits": np.uint8(55)}[kind]
    colors = np.full((4, 4), values)
    colors[:, 3] = 1 if kind == "float" else np.iinfo(colors.dtype).max

    def paint(document: Json) -> None:
        primitive = document["meshes"][0]["primitives"][0]
        uri = "data:application/octet-stream;base64," + base64.b64encode(colors.tobytes()).decode()
        document["buffers"].append({"byteLength": colors.nbytes, "uri": uri})
        document["bufferViews"].append({"buffer": 1, "byteLength": colors.nbytes})
        types = {"float": 5126, "16 bits": 5123, "8 bits": 5121}
        accessor = {
            "bufferView": len(document["bufferViews"]) - 1,
            "componentType": types[kind],
            "count": 4,
            "type": "VEC4",
        }
        document["accessors"].append(accessor | {"normalized": kind != "float"})
        primitive["attributes"]["COLOR_0"] = len(document["accessors"]) - 1
        document["materials"][0] = {}
        if not with_material:
            del primitive["material"]

    mesh = read(write(tmp_path / "m.glb", paint))
    np.testing.assert_allclose(mesh.colors[..., :3] * 255, 128, atol=1)
    np.testing.assert_allclose(mesh.colors[..., 3], 1)


def test_a_solid_of_ours_comes_back_in_its_colours(tmp_path: Path) -> None:
    ball = trimesh.creation.icosphere(2)
    colors = np.random.default_rng(0).integers(0, 256, (len(ball.vertices), 4)).astype(np.uint8)
    colors[:, 3] = 255
    ball.visual = trimesh.visual.ColorVisuals(ball, vertex_colors=colors)
    write_mesh(tmp_path / "m.glb", ball)
    mesh = read(tmp_path / "m.glb")
    places = {tuple(corner): color for corner, color in zip(ball.vertices.round(4), colors, strict=True)}
    corners = (mesh.corners * np.linalg.norm(ball.vertices, axis=1).max()).reshape(-1, 3).round(4)
    expected = np.array([places[tuple(corner)] for corner in corners.astype(np.float64).round(4)])
    np.testing.assert_allclose(mesh.colors.reshape(-1, 4) * 255, expected, atol=1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d["meshes"][0]["primitives"][0].update(mode=6), "it has fans of triangles, which are not read"),
        (lambda d: d["accessors"][0].update(sparse={}), "it has sparse accessors, which are not read"),
    ],
)
def test_what_would_be_drawn_wrongly_is_refused(change: Callable[[Json], None], message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        read(write(tmp_path / "m.glb", change))


@pytest.mark.parametrize("image", ["broken", "ktx2", "large"])
def test_an_embedded_image_that_is_not_read_is_named(
    image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(texture_files, "MAX_TEXTURE_PIXELS", 15)

    def spoil(document: Json) -> None:
        document["materials"][0]["name"] = "wood"
        if image == "broken":
            document["images"][0] = {"uri": "data:image/png;base64,AAAA"}
        elif image == "ktx2":
            document["textures"][0] = {"extensions": {"KHR_texture_basisu": {"source": 0}}}

    mesh = read(write(tmp_path / "m.glb", spoil))
    assert mesh.surfaces[0].texture is None
    reason = {"broken": "not a readable image", "ktx2": "in a format that is not read", "large": "has 16 pixels"}[image]
    assert f"the texture of the material wood {'is ' if image != 'large' else ''}{reason}" in caplog.text


def test_a_transform_is_that_of_its_own_material(tmp_path: Path) -> None:
    def two(document: Json) -> None:
        document["materials"].append(json.loads(json.dumps(document["materials"][0])) | {"name": "material 0"})
        texture(document)["extensions"] = {gltf_extensions.TRANSFORM: {"scale": [3, 3]}}
        document["meshes"][0]["primitives"].append(document["meshes"][0]["primitives"][0] | {"material": 1})

    mesh = read(write(tmp_path / "m.glb", two))
    assert sorted(mesh.uvs[mesh.surface == number].max() for number in (0, 1)) == pytest.approx([1, 3])


def test_files_whose_names_have_spaces_are_found(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4), (200, 100, 50)).save(tmp_path / "red wood.png")

    def outside(document: Json) -> None:
        document["images"][0] = {"uri": "red%20wood.png"}

    mesh = read(write(tmp_path / "m.glb", outside))
    assert mesh.surfaces[0].texture is not None
    assert mesh.surfaces[0].texture[0, 0].tolist() == [200, 100, 50, 255]
