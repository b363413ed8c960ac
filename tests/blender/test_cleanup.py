"""Clean-up: floaters are found; selection, brush and volume erase and restore; nothing is deleted, export obeys."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import FunctionType, SimpleNamespace
from typing import Any

import bpy
import numpy as np
import pytest
from mathutils import Matrix

from tests.blender.pictures import Array
from tests.blender.test_panels import Layout

Addon = Callable[[str], Any]
Make = Callable[..., Any]

ISLAND = np.arange(330, 340)


@pytest.fixture
def obj(addon: Addon, make_object: Make) -> Any:
    """A body of 330 Gaussians in the unit cube, and ten that float far to the right of it."""
    obj = make_object(0)
    places = np.random.default_rng(1).uniform(-0.5, 0.5, (340, 3)).astype(np.float32)
    places[ISLAND] = places[ISLAND] * 0.1 + (3, 0, 0)
    addon("data").set_values(obj.data, "position", "FLOAT_VECTOR", places)
    return obj


@pytest.fixture
def hidden(addon: Addon) -> Callable[[], list[int]]:
    """Indices of the active object's Gaussians that its modifiers hide."""

    def evaluate() -> list[int]:
        obj = bpy.context.object
        with addon("nodes.display").undrawn(obj):
            data = obj.evaluated_get(bpy.context.evaluated_depsgraph_get()).data
            found = addon("data").get_values(data, "hgs_hidden") if "hgs_hidden" in data.attributes else []
            return np.flatnonzero(found).tolist()

    return evaluate


def test_parts_apart_from_the_body_are_erased_and_restored_with_undo_and_redo(
    obj: Any, hidden: Callable[[], list[int]]
) -> None:
    bpy.ops.ed.undo_push(message="before")
    assert bpy.ops.hgs.find_floaters(share=0.05, gap=0.3) == {"FINISHED"}
    assert hidden() == ISLAND.tolist()
    bpy.ops.ed.undo_push(message="erased")
    assert bpy.ops.hgs.restore_erased() == {"FINISHED"}
    assert hidden() == []
    bpy.ops.ed.undo_push(message="restored")
    bpy.ops.ed.undo()
    assert hidden() == ISLAND.tolist()
    bpy.ops.ed.undo()
    assert hidden() == []
    bpy.ops.ed.redo()
    assert hidden() == ISLAND.tolist()
    assert len(bpy.context.object.data.attributes["position"].data) == 340, "nothing is deleted"


def test_faint_large_and_distant_gaussians_are_floaters(
    addon: Addon, obj: Any, hidden: Callable[[], list[int]]
) -> None:
    get = addon("data").get_values
    opacity, size = get(obj.data, "radiance:base")[:, 3], get(obj.data, "scale").max(1)
    for limits, wanted in (
        ({"opacity": 0.3}, opacity < np.float32(0.3)),
        ({"size": float(np.quantile(size, 0.9))}, size > np.float32(np.quantile(size, 0.9))),
        ({"distance": 1.0, "gap": 0.3}, np.arange(340) >= 330),
        ({"distance": 4.0, "gap": 0.3}, np.zeros(340, bool)),
    ):
        bpy.ops.hgs.find_floaters(share=0.0, **limits)
        assert hidden() == np.flatnonzero(wanted).tolist(), limits
        bpy.ops.hgs.restore_erased()


def test_floaters_are_selected_for_edit_mode_and_what_is_selected_there_is_erased(
    obj: Any, hidden: Callable[[], list[int]]
) -> None:
    assert bpy.ops.hgs.find_floaters(action="SELECT", share=0.05, gap=0.3) == {"FINISHED"}
    assert hidden() == []
    bpy.ops.object.mode_set(mode="EDIT")
    bpy.ops.ed.undo_push(message="before")
    assert bpy.ops.hgs.erase_selected() == {"FINISHED"}
    assert obj.mode == "EDIT"
    bpy.ops.object.mode_set(mode="OBJECT")
    assert hidden() == ISLAND.tolist()
    assert bpy.ops.hgs.erase_selected(restore=True) == {"FINISHED"}
    assert hidden() == []


def ball(radius: float, place: tuple[float, float, float]) -> Any:
    bpy.ops.mesh.primitive_uv_sphere_add(radius=radius, location=place)
    return bpy.context.object


def test_a_mesh_erases_and_restores_what_it_holds(obj: Any, addon: Addon, hidden: Callable[[], list[int]]) -> None:
    obj.rotation_euler, obj.location = (0.3, 0.2, 0.1), (1.0, 2.0, 3.0)
    with pytest.raises(RuntimeError, match="no volume is selected"):
        bpy.ops.hgs.erase_in_volume()
    volume = ball(0.4, (1.1, 2.0, 3.0))
    volume.select_set(True)
    obj.select_set(True)
    bpy.context.view_layer.objects.active = obj
    bpy.context.view_layer.update()
    places = addon("data").get_values(obj.data, "position") @ np.array(obj.matrix_world)[:3, :3].T + (1, 2, 3)
    distance = np.linalg.norm(places - (1.1, 2, 3), axis=1)
    bpy.ops.ed.undo_push(message="before")
    assert bpy.ops.hgs.erase_in_volume() == {"FINISHED"}
    assert set(np.flatnonzero(distance < 0.38)) <= set(hidden()) <= set(np.flatnonzero(distance < 0.4))
    assert len(hidden()) > 20
    volume.scale = (0.5, 0.5, 0.5)
    bpy.context.view_layer.update()
    assert bpy.ops.hgs.erase_in_volume(restore=True) == {"FINISHED"}
    assert set(np.flatnonzero(distance < 0.19)).isdisjoint(hidden())
    assert set(np.flatnonzero((distance > 0.2) & (distance < 0.38))) <= set(hidden())


def test_a_volume_hides_live_what_it_holds_or_what_is_outside_and_is_keyframed(
    obj: Any, addon: Addon, hidden: Callable[[], list[int]]
) -> None:
    volume = ball(0.4, (0.1, 0.0, 0.0))
    volume.select_set(True)
    bpy.context.view_layer.objects.active = obj
    bpy.ops.ed.undo_push(message="before")
    assert bpy.ops.hgs.hide_in_volume() == {"FINISHED"}
    assert volume.hide_render
    distance = np.linalg.norm(addon("data").get_values(obj.data, "position") - (0.1, 0, 0), axis=1)
    within = set(hidden())
    assert set(np.flatnonzero(distance < 0.38)) <= within <= set(np.flatnonzero(distance < 0.4))
    modifier, compat = addon("edits.marks").cleanup_of(obj), addon("compat")
    compat.set_input(modifier, "Hide Outside", True)
    assert set(hidden()) == set(range(340)) - within
    for frame, used in ((1, False), (2, True)):
        compat.set_input(modifier, "Use Volume", used)
        compat.key_input(modifier, "Use Volume", frame)
    counts = []
    for frame in (1, 2):
        bpy.context.scene.frame_set(frame)
        counts.append(len(hidden()))
    assert counts == [0, 340 - len(within)]
    bpy.ops.ed.undo_push(message="after")
    bpy.ops.ed.undo()
    assert addon("edits.marks").cleanup_of(bpy.data.objects["seed 0"]) is None


def seen(obj: Any, place: tuple[float, float, float]) -> dict[str, Any]:
    """Properties of the brush for a view of 200 x 100 pixels from above, and where a place of it is."""
    view, projection = (
        Matrix.Translation((0, 0, -5)),
        Matrix(((1, 0, 0, 0), (0, 2, 0, 0), (0, 0, -1.02, -0.2), (0, 0, -1, 0))),
    )
    clip = projection @ view @ Matrix.Translation(place).to_translation().to_4d()
    pixel = ((clip.x / clip.w + 1) * 100, (clip.y / clip.w + 1) * 50)
    flat = {"matrix": [v for row in view for v in row], "projection": [v for row in projection for v in row]}
    return flat | {"width": 200, "height": 100, "stroke": [{"name": "", "place": pixel}]}


def test_a_brush_erases_what_is_in_front_or_all_that_lies_under_it_and_restores_it(
    obj: Any, addon: Addon, hidden: Callable[[], list[int]]
) -> None:
    addon("nodes.display").add_display(obj)
    places = addon("data").get_values(obj.data, "position")
    places[:3] = ((2, 0, 0.0), (2, 0, 0.1), (2, 0, -2.0))
    addon("data").set_values(obj.data, "position", "FLOAT_VECTOR", places)
    options = seen(obj, (2, 0, 0))
    bpy.ops.ed.undo_push(message="before")
    assert bpy.ops.hgs.erase_brush(radius=5, **options) == {"FINISHED"}
    assert hidden() == [0, 1], "the third lies behind, the island beside it"
    bpy.ops.ed.undo_push(message="after")
    assert bpy.ops.hgs.erase_brush(radius=5, through=True, **seen(obj, (2, 0, -2.0))) == {"FINISHED"}
    assert hidden() == [0, 1, 2]
    assert bpy.ops.hgs.erase_brush(radius=5, restore=True, **options) == {"FINISHED"}
    assert hidden() == [2]
    bpy.ops.ed.undo_push(message="restored")
    bpy.ops.ed.undo()
    assert hidden() == [0, 1]
    bpy.ops.ed.undo()
    assert hidden() == []
    bpy.ops.ed.redo()
    assert hidden() == [0, 1]


@pytest.fixture
def brush(addon: Addon) -> SimpleNamespace:
    """The brush as it waits for events, the context in which it gets them, and what it has ``ended``."""
    kind = addon("edits.brush").HGS_OT_erase_brush
    ended: list[Any] = []
    brush = SimpleNamespace(_drawing=False, _cursor="circle", poll=kind.poll, report=lambda *words: None)
    for name, each in vars(kind).items():
        if isinstance(each, FunctionType):  # without a window Blender makes no operator that waits
            setattr(brush, name, each.__get__(brush))
    context = SimpleNamespace(area=None, region=None)
    context.window_manager = SimpleNamespace(draw_cursor_remove=ended.append)
    context.workspace = SimpleNamespace(status_text_set=ended.append)

    def send(key: str) -> Any:
        context.object = bpy.context.object
        return brush.modal(context, SimpleNamespace(mouse_region_x=0, mouse_region_y=0, type=key, value="PRESS"))

    return SimpleNamespace(send=send, ended=ended)


@pytest.mark.parametrize("key", ["TAB", "X"])
def test_the_brush_ends_where_its_object_is_edited_or_gone(key: str, obj: Any, brush: SimpleNamespace) -> None:
    assert brush.send(key) == {"PASS_THROUGH"}
    assert brush.ended == []
    if key == "TAB":
        bpy.ops.object.mode_set(mode="EDIT")
    else:
        bpy.data.objects.remove(obj)
    assert brush.send("LEFTMOUSE") == {"CANCELLED"}
    assert brush.ended == ["circle", None], "the circle and the text of the status bar"


def test_a_brush_that_fails_gives_the_mouse_back(
    obj: Any, addon: Addon, brush: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(addon("edits.brush"), "_as_shown")
    with pytest.raises(NameError):
        brush.send("LEFTMOUSE")
    assert brush.ended == ["circle", None]


def test_the_export_leaves_erased_gaussians_out_and_their_children_find_an_ancestor(
    obj: Any, addon: Addon, tmp_path: Path
) -> None:
    addon("edits.marks").erase(obj, np.arange(340) % 7 == 3)
    out = tmp_path / "out.ply"
    assert bpy.ops.hgs.export_splats(filepath=str(out)) == {"FINISHED"}
    found = addon("core.files.read_ply").read_ply(out)
    keep: Array = np.arange(340) % 7 != 3
    assert len(found) == keep.sum()
    base = addon("data").raw_splats(obj.data).base
    np.testing.assert_allclose(found.base, base[keep], atol=1e-6)
    assert (found.level[found.parent[found.parent >= 0]] < found.level[found.parent >= 0]).all()


def test_erased_gaussians_come_back_where_hiding_is_switched_off(
    obj: Any, addon: Addon, hidden: Callable[[], list[int]]
) -> None:
    levels = addon("ui.levels").add_levels(obj)
    addon("edits.marks").erase(obj, np.arange(340) == 5)
    addon("compat").set_input(levels, "Level 0 Visible", False)
    assert hidden() == list(range(20))
    addon("compat").set_input(levels, "Level 0 Visible", True)
    assert hidden() == [5]
    addon("compat").set_input(addon("edits.marks").cleanup_of(obj), "Hide Erased", False)
    assert hidden() == []


def test_the_panel_says_how_many_are_erased(addon: Addon, obj: Any) -> None:
    def panel() -> list[str]:
        layout = Layout()
        bpy.types.HGS_PT_cleanup.draw(type("", (), {"layout": layout})(), bpy.context)
        return layout.drawn

    assert "HGS_OT_restore_erased" not in panel()
    addon("edits.marks").erase(obj, np.arange(340) < 12)
    assert {"12 of 340 erased", "HGS_OT_restore_erased", "HGS_OT_erase_brush", "Hide Erased"} <= set(panel())
