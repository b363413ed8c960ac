"""glTF models as other programs write them: compressed by Draco, with transformed textures, or refused by name."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from PIL import Image

from hgs_toolkit.datasets.meshes import gltf_extensions
from hgs_toolkit.datasets.meshes.library import find_meshes
from hgs_toolkit.datasets.meshes.textured_mesh import TexturedMesh, load_textured_mesh
from hgs_toolkit.errors import DataError, MissingExtraError
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
