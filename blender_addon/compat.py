# SPDX-License-Identifier: GPL-3.0-or-later
"""Where Blender's interface differs between the versions that are supported (4.5 to 5.x): asked for, not assumed."""

from __future__ import annotations

from typing import Any

import bpy
from bpy.types import NodesModifier, PointCloud


def input_identifier(modifier: Any, name: str) -> str:
    """Identifier, such as ``Socket_2``, of the input called ``name`` of a geometry-nodes modifier."""
    for item in modifier.node_group.interface.items_tree:
        if item.item_type == "SOCKET" and item.in_out == "INPUT" and item.name == name:
            return str(item.identifier)
    raise KeyError(f"{modifier.node_group.name} has no input '{name}'")


def get_input(modifier: Any, name: str) -> Any:
    """Value of an input of a geometry-nodes modifier."""
    identifier = input_identifier(modifier, name)
    return getattr(modifier.properties.inputs, identifier).value if _has_properties() else modifier[identifier]


def set_input(modifier: Any, name: str, value: Any) -> None:
    """Set an input of a geometry-nodes modifier, and let the object be evaluated anew."""
    identifier = input_identifier(modifier, name)
    if _has_properties():
        getattr(modifier.properties.inputs, identifier).value = value
    else:
        modifier[identifier] = value
    modifier.id_data.update_tag()


def draw_input(layout: Any, modifier: Any, name: str, text: str | None = None) -> None:
    """Put an input of a geometry-nodes modifier into a panel."""
    identifier = input_identifier(modifier, name)
    shown = name if text is None else text
    if _has_properties():
        layout.prop(getattr(modifier.properties.inputs, identifier), "value", text=shown)
    elif isinstance(get_input(modifier, name), (bpy.types.Object, type(None))):
        layout.prop_search(modifier, f'["{identifier}"]', bpy.data, "objects", text=shown)
    else:
        layout.prop(modifier, f'["{identifier}"]', text=shown)


def key_input(modifier: Any, name: str, frame: float) -> None:
    """Insert a keyframe of an input's present value."""
    identifier = input_identifier(modifier, name)
    if _has_properties():
        getattr(modifier.properties.inputs, identifier).keyframe_insert("value", frame=frame)
    else:
        modifier.id_data.keyframe_insert(f'modifiers["{escape(modifier.name)}"]["{identifier}"]', frame=frame)


def drive_input(modifier: Any, name: str, expression: str, sources: dict[str, str]) -> None:
    """Let an input follow the active scene: ``expression`` of variables, each a data path of the scene.

    Expressions of arithmetic need no permission to run scripts.
    """
    identifier = input_identifier(modifier, name)
    if _has_properties():
        curve = getattr(modifier.properties.inputs, identifier).driver_add("value")
    else:
        curve = modifier.id_data.driver_add(f'modifiers["{escape(modifier.name)}"]["{identifier}"]')
    driver = curve.driver
    driver.type, driver.expression = "SCRIPTED", expression
    for variable_name, path in sources.items():
        variable = driver.variables.new()
        variable.name, variable.type = variable_name, "CONTEXT_PROP"
        variable.targets[0].context_property = "ACTIVE_SCENE"
        variable.targets[0].data_path = path


def escape(name: str) -> str:
    """``name`` as it stands between the quotes of a data path."""
    return name.replace("\\", "\\\\").replace('"', '\\"')


def _has_properties() -> bool:
    """Inputs are properties of the modifier since 5.x; before, they were its custom properties."""
    return "properties" in NodesModifier.bl_rna.properties


SPLAT_TYPE = "GAUSSIAN_SPLAT"
"""Type of the point clouds that Blender draws as splats by itself, from 5.3 on."""


def draws_splats() -> bool:
    """Whether this Blender draws splats itself, so that ours are handed over to it."""
    kind = PointCloud.bl_rna.properties.get("type")
    return has_point_clouds() and SPLAT_TYPE in getattr(kind, "enum_items", ())


def mark_as_splats(data: Any) -> None:
    """Let Blender draw a point cloud as splats, where it can."""
    if draws_splats():
        data.type = SPLAT_TYPE


def base_type() -> str:
    """Type of ``radiance:base``: four numbers where Blender draws it, else a colour, the one that nodes keep whole."""
    return "FLOAT4" if draws_splats() else "FLOAT_COLOR"


def has_point_clouds() -> bool:
    """Whether Python can make point clouds: ``resize`` came with 5.x. (``hasattr`` answers yes even where it fails.)"""
    return "resize" in PointCloud.bl_rna.functions
