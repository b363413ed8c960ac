# SPDX-License-Identifier: GPL-3.0-or-later
"""Where Blender's interface differs between the versions that are supported (4.5 to 5.x): asked for, not assumed."""

from __future__ import annotations

from typing import Any

import bpy
from bpy.types import NodesModifier, NodeTreeInterfaceSocket, PointCloud, UILayout

from .typed import present


def input_identifier(modifier: NodesModifier, name: str) -> str:
    """Identifier, such as ``Socket_2``, of the input called ``name`` of a geometry-nodes modifier."""
    group = present(modifier.node_group)
    for item in present(group.interface).items_tree:
        if isinstance(item, NodeTreeInterfaceSocket) and item.in_out == "INPUT" and item.name == name:
            return item.identifier
    raise KeyError(f"{group.name} has no input '{name}'")


def get_input(modifier: NodesModifier, name: str) -> Any:
    """Value of an input of a geometry-nodes modifier."""
    identifier = input_identifier(modifier, name)
    return _property(modifier, identifier).value if _has_properties() else modifier[identifier]


def set_input(modifier: NodesModifier, name: str, value: Any) -> None:
    """Set an input of a geometry-nodes modifier, and let the object be evaluated anew."""
    identifier = input_identifier(modifier, name)
    if _has_properties():
        _property(modifier, identifier).value = value
    else:
        modifier[identifier] = value
    present(modifier.id_data).update_tag()


def draw_input(layout: UILayout, modifier: NodesModifier, name: str, text: str | None = None) -> None:
    """Put an input of a geometry-nodes modifier into a panel."""
    identifier = input_identifier(modifier, name)
    shown = name if text is None else text
    if _has_properties():
        layout.prop(_property(modifier, identifier), "value", text=shown)
    elif isinstance(get_input(modifier, name), (bpy.types.Object, type(None))):
        layout.prop_search(modifier, f'["{identifier}"]', bpy.data, "objects", text=shown)
    else:
        layout.prop(modifier, f'["{identifier}"]', text=shown)


def key_input(modifier: NodesModifier, name: str, frame: float) -> None:
    """Insert a keyframe of an input's present value."""
    owner, path = _address(modifier, name)
    owner.keyframe_insert(path, frame=frame)


def drive_input(modifier: NodesModifier, name: str, expression: str, sources: dict[str, str]) -> None:
    """Let an input follow the active scene: ``expression`` of variables, each a data path of the scene.

    Expressions of arithmetic need no permission to run scripts.
    """
    owner, path = _address(modifier, name)
    driver = owner.driver_add(path).driver
    driver.type, driver.expression = "SCRIPTED", expression
    for variable_name, source in sources.items():
        variable = driver.variables.new()
        variable.name, variable.type = variable_name, "CONTEXT_PROP"
        variable.targets[0].context_property = "ACTIVE_SCENE"
        variable.targets[0].data_path = source


def escape(name: str) -> str:
    """``name`` as it stands between the quotes of a data path."""
    return name.replace("\\", "\\\\").replace('"', '\\"')


def _address(modifier: NodesModifier, name: str) -> tuple[Any, str]:
    """Whose property an input is, and its data path from there: what is keyed and driven."""
    identifier = input_identifier(modifier, name)
    if _has_properties():
        return _property(modifier, identifier), "value"
    return modifier.id_data, f'modifiers["{escape(modifier.name)}"]["{identifier}"]'


def _property(modifier: Any, identifier: str) -> Any:
    """The property that an input is since 5.x; the types are those of 4.5."""
    return getattr(modifier.properties.inputs, identifier)


def _has_properties() -> bool:
    """Inputs are properties of the modifier since 5.x; before, they were its custom properties."""
    return "properties" in NodesModifier.bl_rna.properties


OBJECT_INDEX_PASS = "Object Index" if bpy.app.version >= (5, 0) else "IndexOB"
"""Name of the pass of objects' numbers, as compositors know it."""

SPLAT_TYPE, SPLAT_TYPE_NAME = "GAUSSIAN_SPLAT", "3D Gaussian Splat"
"""Type of the point clouds that Blender 5.3 and newer draw as splats themselves, and its name in menus of nodes."""


def draws_splats() -> bool:
    """Whether this Blender can draw splats itself, so that ours can be handed over to it."""
    kind = PointCloud.bl_rna.properties.get("type")
    return has_point_clouds() and SPLAT_TYPE in getattr(kind, "enum_items", ())


def has_point_clouds() -> bool:
    """Whether Python can make point clouds: ``resize`` came with 5.x. (``hasattr`` answers yes even where it fails.)"""
    return "resize" in PointCloud.bl_rna.functions  # type: ignore[attr-defined]  # known to the stubs of Struct only


def resize(points: Any, count: int) -> None:
    """Give a point cloud so many points, where :func:`has_point_clouds`."""
    points.resize(count)
