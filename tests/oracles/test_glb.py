"""Khronos' validator, three.js and PlayCanvas' splat-transform (npm) on .glb files of Gaussians."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from hgs_toolkit.encoding import quats_to_rotmats
from hgs_toolkit.exporters.frames import sh_signs
from hgs_toolkit.exporters.table import export, load
from hgs_toolkit.gaussians import GaussianHierarchy

pytestmark = pytest.mark.oracle

SceneFactory = Callable[..., GaussianHierarchy]
Node = Callable[..., str]

PREFIX = "KHR_gaussian_splatting:"


def unexpected(report: str) -> list[dict[str, object]]:
    """What the validator says, but for what follows from its not knowing the extension."""
    messages: list[dict[str, object]] = json.loads(report)["messages"]
    return [
        message for message in messages
        if message["code"] != "UNSUPPORTED_EXTENSION"
        and not (message["code"] == "MESH_PRIMITIVE_INVALID_ATTRIBUTE" and PREFIX in str(message["pointer"]))
    ]  # fmt: skip


@pytest.mark.parametrize("nodes", [False, True])
@pytest.mark.parametrize("degree", [0, 3])
def test_a_file_is_valid(nodes: bool, degree: int, node: Node, scene_factory: SceneFactory, tmp_path: Path) -> None:
    export(scene_factory(background=5, degree=degree), tmp_path / "a.glb", nodes=nodes, extras=nodes)
    assert unexpected(node("validate_gltf.mjs", tmp_path / "a.glb")) == []


def test_the_filter_lets_real_faults_through(node: Node, scene_factory: SceneFactory, tmp_path: Path) -> None:
    export(scene_factory(), tmp_path / "a.glb")
    data = (tmp_path / "a.glb").read_bytes()
    (tmp_path / "a.glb").write_bytes(data.replace(b'"VEC3","min":[', b'"VEC3","min":[9'))
    assert unexpected(node("validate_gltf.mjs", tmp_path / "a.glb"))


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_three_js_finds_every_attribute_in_its_node(
    degree: int, node: Node, scene_factory: SceneFactory, tmp_path: Path
) -> None:
    scene = scene_factory(background=5, degree=degree)
    export(scene, tmp_path / "a.glb", nodes=True)
    found = json.loads(node("read_glb.mjs", tmp_path / "a.glb"))
    assert sorted(found) == ["background", "level_0", "level_1", "level_2"]  # its names have no blanks
    for name, level in (("level_0", 0), ("level_2", 2), ("background", -1)):
        rows = scene.level == level
        values = {key: np.array(value, np.float32) for key, value in found[name].items()}
        prefix = PREFIX.lower()
        np.testing.assert_array_equal(values["position"].reshape(-1, 3), scene.means[0, rows])
        scales = scene.log_scales[0, rows].exp()
        np.testing.assert_allclose(values[prefix + "scale"].reshape(-1, 3), scales, rtol=1e-6)
        quats = torch.nn.functional.normalize(scene.quats[0, rows], dim=-1)[:, [1, 2, 3, 0]]
        np.testing.assert_allclose(values[prefix + "rotation"].reshape(-1, 4), quats, atol=1e-6)
        opacities = scene.opacity_logits[0, rows].sigmoid()
        np.testing.assert_allclose(values[prefix + "opacity"], opacities, rtol=1e-6)
        for index in range((degree + 1) ** 2):
            l_ = int(index**0.5)
            coefficient = values[f"{prefix}sh_degree_{l_}_coef_{index - l_ * l_}"].reshape(-1, 3)
            np.testing.assert_array_equal(coefficient, scene.sh[0, rows, index])


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_we_read_what_splat_transform_writes(
    degree: int, splat_transform: Node, scene_factory: SceneFactory, tmp_path: Path
) -> None:
    """It turns a .ply half round z into glTF's frame, we turn it half round x: theirs is ours half round y."""
    scene = scene_factory((300,), degree=degree)
    export(scene, tmp_path / "a.ply")
    splat_transform(tmp_path / "a.ply", tmp_path / "a.glb")
    theirs = load(tmp_path / "a.glb")
    half_turn = torch.tensor([-1.0, 1.0, -1.0])
    torch.testing.assert_close(theirs.means, scene.means * half_turn, atol=1e-6, rtol=0)
    torch.testing.assert_close(theirs.log_scales, scene.log_scales, atol=1e-5, rtol=0)
    signs = torch.from_numpy(sh_signs(half_turn.numpy(), (degree + 1) ** 2))[:, None]
    torch.testing.assert_close(theirs.sh, scene.sh * signs, atol=1e-5, rtol=0)
    shapes = [quats_to_rotmats(cloud.quats) * cloud.log_scales.exp()[..., None, :] for cloud in (theirs, scene)]
    found, expected = (shape @ shape.mT for shape in shapes)
    torch.testing.assert_close(found, expected * half_turn * half_turn[:, None], atol=1e-6, rtol=1e-4)
