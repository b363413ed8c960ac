"""Khronos' gltf-validator (npm) on the mesh files we write."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from hgs_toolkit.exporters.meshes.meshing import build_mesh, mesh_levels
from hgs_toolkit.exporters.meshes.settings import Color, MeshSettings
from hgs_toolkit.exporters.meshes.table import write_mesh
from tests.conftest import make_scene
from tests.exporters.meshes import shapes
from tests.exporters.meshes.shapes import cover

pytestmark = pytest.mark.oracle

MSFT_LOD = "UNSUPPORTED_EXTENSION"
"""What the validator remarks, as an information, of the extension that levels of detail use."""


@pytest.mark.parametrize("color", ["vertex", "texture", "none"])
@pytest.mark.parametrize("unlit", [False, True])
def test_a_mesh_is_valid_without_any_remark(
    color: Color, unlit: bool, node: Callable[..., str], tmp_path: Path
) -> None:
    made = build_mesh(cover(shapes.BLOB, 6000), MeshSettings(resolution=64, faces=3000, color=color))
    write_mesh(tmp_path / "a.glb", made, unlit=unlit)
    issues = json.loads(node("validate_gltf.mjs", tmp_path / "a.glb"))
    assert issues["messages"] == []


def test_levels_of_detail_are_valid(node: Callable[..., str], tmp_path: Path) -> None:
    write_mesh(tmp_path / "a.glb", mesh_levels(make_scene(), MeshSettings(resolution=48, faces=2000)))
    issues = json.loads(node("validate_gltf.mjs", tmp_path / "a.glb"))
    assert (issues["numErrors"], issues["numWarnings"]) == (0, 0)
    assert {message["code"] for message in issues["messages"]} <= {MSFT_LOD}
