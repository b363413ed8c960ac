"""What undo and redo of an operator are held against: everything of a file that the extension's operators change."""

from __future__ import annotations

import hashlib
from typing import Any

import bpy
import numpy as np


def state() -> dict[str, Any]:
    """Scenes, objects with their modifiers, and the attributes of their data, in words and numbers."""
    bpy.context.scene.frame_set(bpy.context.scene.frame_current)  # what is keyed, too
    scene, objects = bpy.context.scene, {}
    for obj in scene.objects:
        place = np.round(np.array(obj.matrix_world), 5).ravel().tolist()
        objects[obj.name] = (obj.type, place, obj.display_type, obj.hide_render, _data(obj.data), _modifiers(obj))
    facts = (scene.render.engine, scene.view_settings.view_transform, scene.cycles.transparent_max_bounces)
    frames = (scene.camera.name if scene.camera else "", scene.frame_start, scene.frame_end)
    return {"scene": facts + frames, "objects": objects}


def _data(data: Any) -> dict[str, str]:
    found = {}
    for attribute in getattr(data, "attributes", []):
        key = {"FLOAT_COLOR": "color", "FLOAT_VECTOR": "vector", "FLOAT2": "vector"}.get(attribute.data_type, "value")
        values = [each if isinstance(each, int | float) else each[:] for each in _values(attribute, key)]
        found[attribute.name] = hashlib.sha256(repr(values).encode()).hexdigest()
    return found


def _values(attribute: Any, key: str) -> list[Any]:
    return [getattr(element, key) for element in attribute.data] if hasattr(attribute, "data") else []


def _modifiers(obj: Any) -> list[tuple[str, bool, dict[str, str]]]:
    return [(each.name, each.show_viewport, _inputs(each)) for each in obj.modifiers]


def _inputs(modifier: Any) -> dict[str, str]:
    group = getattr(modifier, "node_group", None)
    items = [item for item in group.interface.items_tree if getattr(item, "in_out", "") == "INPUT"] if group else []
    found = {}
    value: Any
    for item in items[1:]:  # after the geometry
        if "properties" in bpy.types.NodesModifier.bl_rna.properties:
            value = getattr(getattr(modifier.properties.inputs, item.identifier), "value", None)
        else:
            value = modifier.get(item.identifier)
        if isinstance(value, bpy.types.ID):
            value = value.name
        found[item.name] = str(value[:] if hasattr(value, "__len__") and not isinstance(value, str) else value)
    return found


def assert_equal(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Compare states, object by object."""
    assert found["scene"] == wanted["scene"]
    assert found["objects"].keys() == wanted["objects"].keys()
    for name, facts in wanted["objects"].items():
        assert found["objects"][name] == facts, name


def assert_undone_and_redone(name: str, **options: Any) -> None:
    """Run the operator ``hgs.NAME`` with the undo step that it asks Blender for, and go back and forth."""
    bpy.ops.ed.undo_push(message="before")
    before = state()
    operator = getattr(bpy.ops.hgs, name)
    assert operator("EXEC_DEFAULT", True, **options) == {"FINISHED"}
    after = state()
    assert after != before
    bpy.ops.ed.undo()
    assert_equal(state(), before)
    bpy.ops.ed.redo()
    assert_equal(state(), after)
