"""Make Mesh: from a splat object to a mesh beside it, with a script in the place of hgs, and with hgs itself."""

from __future__ import annotations

import json
import os
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest
from mathutils import Matrix

from tests.blender.undoing import assert_undone_and_redone

Addon = Callable[[str], Any]

ROOT = Path(__file__).resolve().parents[2]

FAKE = """
import json, os, shutil, sys, time
here, (source, out) = os.path.dirname(__file__), sys.argv[2:4]
if os.environ.get("FAKE_HANG"):
    print(json.dumps({"event": "progress", "text": "meshing", "done": 1, "total": 4}), flush=True)
    time.sleep(1000)
if os.environ.get("FAKE_ERROR"):
    print(json.dumps({"event": "error", "text": os.environ["FAKE_ERROR"]}), flush=True)
    sys.exit(1)
shutil.copy(source, os.path.join(here, "source.hgs"))
shutil.copy(os.path.join(here, "cube.glb"), out)
with open(os.path.join(here, "arguments.json"), "w") as file:
    json.dump(sys.argv[1:], file)
print(json.dumps({"event": "note", "text": "mesh: solid, 12 triangles"}), flush=True)
"""


@pytest.fixture
def hgs(addon: Addon, tmp_path: Path) -> Iterator[Path]:
    """A folder with a program that gives back a box of 1 x 2 x 3, y up, whatever it gets; the preferences name it."""
    folder = tmp_path / "a folder with spaces"
    folder.mkdir()
    bpy.ops.mesh.primitive_cube_add(size=1)
    cube: Any = bpy.context.object
    cube.scale = (1, 3, 2)  # z up here
    bpy.ops.export_scene.gltf(filepath=str(folder / "cube.glb"), use_selection=True)
    bpy.data.objects.remove(cube)
    path = folder / "my hgs"
    path.write_text(f"#!{sys.executable}\n" + textwrap.dedent(FAKE))
    path.chmod(0o755)
    preferences = addon("ui.preferences").preferences(bpy.context)
    preferences.executable = str(path)
    yield folder
    addon("ui.preferences").preferences(bpy.context).executable = ""


def test_a_mesh_is_undone_and_made_again(hgs: Path, make_object: Callable[..., Any]) -> None:
    make_object(0)
    assert_undone_and_redone("make_mesh", resolution=64)


def corners(obj: Any) -> np.ndarray:
    bpy.context.view_layer.update()
    return np.array([obj.matrix_world @ vertex.co for vertex in obj.data.vertices])


def test_a_mesh_of_what_is_shown_comes_where_the_splats_are(
    addon: Addon, hgs: Path, make_object: Callable[..., Any]
) -> None:
    obj = make_object(0)
    obj.matrix_basis = Matrix.LocRotScale((1, 2, 3), Matrix.Rotation(0.7, 3, "X").to_quaternion(), (2, 2, 2))
    addon("compat").set_input(addon("ui.levels").add_levels(obj), "Level 2 Visible", False)
    temporary = set(Path(bpy.app.tempdir).iterdir())
    assert bpy.ops.hgs.make_mesh(resolution=64, faces=500) == {"FINISHED"}
    command = json.loads((hgs / "arguments.json").read_text())
    assert command[0] == "mesh"
    assert {"--resolution=64", "--faces=500", "--color=texture", "--json-progress"} <= set(command)
    assert "--unlit" not in command
    given = addon("core.files.read_hgs").read_hgs(hgs / "source.hgs")
    assert len(given) == 100, "without the hidden level"
    mesh: Any = bpy.context.object
    assert (mesh.name, mesh.type, mesh.select_get()) == ("seed 0 mesh", "MESH", True)
    assert len(bpy.context.scene.objects) == 2
    # Its box lies where the program said, and its axes are those of the splats.
    np.testing.assert_allclose(np.abs(corners(mesh)), np.tile([0.5, 1.5, 1.0], (24, 1)), atol=1e-5)
    np.testing.assert_allclose(np.array(mesh.matrix_world), np.array(obj.matrix_world), atol=1e-6)
    assert set(Path(bpy.app.tempdir).iterdir()) == temporary, "no folder is left"


def test_vertex_colours_and_unlit_are_ordered(hgs: Path, make_object: Callable[..., Any]) -> None:
    make_object(0)
    bpy.ops.hgs.make_mesh(faces=50_000, textured=False, unlit=True)
    assert {"--faces=50000", "--color=vertex", "--unlit"} <= set(json.loads((hgs / "arguments.json").read_text()))


def test_undo_takes_the_mesh_away_and_redo_brings_it_again(hgs: Path, make_object: Callable[..., Any]) -> None:
    make_object(0)
    bpy.ops.ed.undo_push(message="before")
    bpy.ops.hgs.make_mesh()
    bpy.ops.ed.undo_push(message="after")
    bpy.ops.ed.undo()
    assert "seed 0 mesh" not in bpy.data.objects
    bpy.ops.ed.redo()
    assert len(bpy.data.objects["seed 0 mesh"].data.polygons) == 12


def test_a_failure_is_reported_in_hgs_words_and_leaves_nothing(
    hgs: Path, make_object: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_object(0)
    before = len(list(Path(bpy.app.tempdir).iterdir()))
    monkeypatch.setenv("FAKE_ERROR", "no surface was found")
    with pytest.raises(RuntimeError, match="no surface was found"):
        bpy.ops.hgs.make_mesh()
    monkeypatch.delenv("FAKE_ERROR")
    (hgs / "cube.glb").write_bytes(b"glTF and nothing more")
    with pytest.raises(RuntimeError, match="glTF importer refuses the mesh"):
        bpy.ops.hgs.make_mesh()
    assert len(bpy.context.scene.objects) == 1
    assert len(list(Path(bpy.app.tempdir).iterdir())) == before


def test_the_timer_follows_it_and_cancel_stops_it(
    addon: Addon, hgs: Path, make_object: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    obj, module = make_object(0), addon("ui.mesh_making")
    order = addon("core.toolkit.mesh_job").MeshOrder(64, 500, True, False)

    def tick_until(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < deadline
            module.tick()
            time.sleep(0.01)

    monkeypatch.setenv("FAKE_HANG", "1")
    started = module.start(bpy.context, obj, order)
    assert not bpy.ops.hgs.make_mesh.poll()
    tick_until(lambda: started.making.job.fraction == 0.25)
    assert bpy.ops.hgs.cancel_mesh() == {"FINISHED"}
    tick_until(lambda: bool(started.text))
    assert started.failed
    assert started.text.startswith("cancelled")
    monkeypatch.delenv("FAKE_HANG")
    bpy.context.view_layer.objects.active = obj
    started = module.start(bpy.context, obj, order)
    tick_until(lambda: bool(started.text))
    assert started.text == "seed 0 mesh: solid, 12 triangles"
    assert "seed 0 mesh" in bpy.data.objects
    assert bpy.ops.hgs.make_mesh.poll() is False, "the mesh is active, not the splats"


def test_the_real_hgs_makes_a_solid_textured_mesh(addon: Addon, hgs: Path, place: Callable[..., Any]) -> None:
    python = Path(os.environ.get("HGS_PYTHON", ROOT / ".venv" / "bin" / "python"))
    if not python.exists():
        pytest.skip("HGS_PYTHON does not name a Python with hgs_toolkit, and .venv is missing")
    program = hgs / "real hgs"
    program.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{python}" -m hgs_toolkit.cli "$@"\n')
    program.chmod(0o755)
    addon("ui.preferences").preferences(bpy.context).executable = str(program)
    obj = place("sample")
    bpy.context.view_layer.objects.active = obj
    assert bpy.ops.hgs.make_mesh(resolution=32, faces=1000) == {"FINISHED"}
    mesh: Any = bpy.context.object
    sides = [tuple(sorted(key)) for face in mesh.data.polygons for key in face.edge_keys]
    places = np.round(corners(mesh), 5)
    _, same = np.unique(places, axis=0, return_inverse=True)  # the texture's seams part vertices
    joined = np.sort(same.ravel()[np.array(sides)], axis=1)
    _, counts = np.unique(joined, axis=0, return_counts=True)
    assert (counts == 2).all(), "every edge has two faces: it is closed"
    images = [node.image for node in mesh.active_material.node_tree.nodes if node.type == "TEX_IMAGE"]
    assert images
    assert mesh.data.uv_layers
    splats = addon("data").get_values(obj.data, "position") @ np.array(obj.matrix_world)[:3, :3].T
    low, high = np.percentile(splats, [15, 85], axis=0)
    assert (places.min(0) < low).all()
    assert (places.max(0) > high).all()
