"""Splats that leave Blender again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest

Addon = Callable[[str], Any]


@pytest.fixture
def imported(addon: Addon, make_splats: Callable[..., Any], tmp_path: Path) -> Callable[..., Any]:
    """``imported(frame="rdf", degree=2)``: an object that came from a .ply in that frame, and its file."""

    def make(frame: str, degree: int = 0) -> tuple[Any, Path]:
        splats = make_splats(0, degree=degree)
        splats.frame = frame
        path = tmp_path / "in.ply"
        addon("write_ply").write_ply(path, splats)
        return addon("importing").import_file(bpy.context, path), path

    return make


def _same(a: Any, b: Any, atol: float = 1e-6) -> None:
    for name in ("position", "scale", "base", "harmonics"):
        np.testing.assert_allclose(getattr(a, name), getattr(b, name), rtol=0, atol=atol, err_msg=name)
    np.testing.assert_allclose(np.abs((a.rotation * b.rotation).sum(1)), 1, atol=atol)
    np.testing.assert_array_equal(a.level, b.level)
    np.testing.assert_array_equal(a.parent, b.parent)


@pytest.mark.parametrize("frame", ["rdf", "y_up"])
@pytest.mark.parametrize("degree", [0, 3])
def test_what_was_not_touched_comes_back_as_it_was(
    frame: str, degree: int, imported: Callable[..., Any], addon: Addon, tmp_path: Path
) -> None:
    _, path = imported(frame, degree)
    out = tmp_path / "out.ply"
    assert bpy.ops.hgs.export_splats(filepath=str(out), frame=frame) == {"FINISHED"}
    read = addon("read_ply").read_ply
    _same(read(out), read(path))
    assert read(out).frame == frame


def test_levels_filters_morphs_and_the_objects_place_are_applied(
    imported: Callable[..., Any], make_object: Callable[..., Any], addon: Addon, tmp_path: Path
) -> None:
    obj, path = imported("y_up")
    other = make_object(1)
    addon("morph").set_factor(addon("morph").add_morph(obj, other), 0.5)
    modifier = addon("levels").add_levels(obj)
    for name, value in (("Level 0 Visible", False), ("Level 2 Opacity", 0.5), ("Size", 2.0)):
        addon("compat").set_input(modifier, name, value)
    obj.location = (1, 2, 3)
    obj.scale = (2, 2, 2)
    bpy.context.view_layer.objects.active = obj
    out = tmp_path / "out.ply"
    assert bpy.ops.hgs.export_splats(filepath=str(out), frame="y_up") == {"FINISHED"}
    read = addon("read_ply").read_ply
    before, after, key = read(path), read(out), addon("importing").get_values(other.data, "position")
    keep = before.level > 0
    assert len(after) == keep.sum()
    # Blender's z is the file's y, and its y the file's -z.
    np.testing.assert_allclose(after.position, (before.position + key)[keep] / 2 * 2 + (1, 3, -2), atol=1e-5)
    assert (after.parent[after.level == 1] == -1).all()
    assert (after.parent[after.level == 2] >= 0).all()
    assert addon("display").display_of(obj).show_viewport, "drawn again afterwards"


def test_showing_nothing_and_an_impossible_place_are_reported(
    imported: Callable[..., Any], addon: Addon, tmp_path: Path
) -> None:
    obj, _ = imported("rdf")
    with pytest.raises(RuntimeError, match="cannot write"):
        bpy.ops.hgs.export_splats(filepath=str(tmp_path / "missing" / "out.ply"))
    addon("compat").set_input(addon("levels").add_levels(obj), "Least Opacity", 1.0)
    addon("compat").set_input(addon("levels").levels_of(obj), "Least Size", 1e9)
    with pytest.raises(RuntimeError, match="shows no Gaussian"):
        bpy.ops.hgs.export_splats(filepath=str(tmp_path / "out.ply"))
    assert not (tmp_path / "out.ply").exists()
