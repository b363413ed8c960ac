# SPDX-License-Identifier: GPL-3.0-or-later
"""Splat files as objects: attributes under the names Blender's own splats have, plus ``level`` and ``parent``."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeGuard

import bpy
import numpy as np

from .compat import base_type, has_point_clouds, mark_as_splats, resize
from .core.harmonics import COUNTS, HARMONICS
from .core.read_glb import NoSplatsError, read_glb
from .core.read_hgs import read_hgs
from .core.read_ply import read_ply
from .core.read_splat import read_splat
from .core.read_spz import read_spz
from .core.splats import INDEX, Array, SplatError, Splats
from .nodes.display import add_display
from .typed import SplatData, SplatObject, present

READERS: dict[str, Callable[[Path], Splats]] = {
    ".hgs": read_hgs,
    ".ply": read_ply,
    ".spz": read_spz,
    ".splat": read_splat,
    ".glb": read_glb,
}
"""What is read, by suffix."""

TURN_X = {"y_up": math.pi / 2, "rdf": -math.pi / 2, "z_up": 0.0}
"""Rotation of the object about x that puts a file's frame upright in Blender, where z is up."""

VALUE_NAMES = {
    "FLOAT_VECTOR": "vector", "FLOAT_COLOR": "color", "FLOAT4": "vector", "QUATERNION": "value", "INT": "value",
}  # fmt: skip
"""What an element of an attribute calls its value, by the attribute's type."""

SEED = "hgs_seed"
SOURCE = "hgs_source"


class ImportRefused(ValueError):  # noqa: N818
    """A file that was not imported; the message is for the user."""


def read_splats(path: Path) -> Splats:
    """Read a file of any kind in READERS.

    Raises:
        ImportRefused: if its kind is unknown, it is missing or broken.
        NoSplatsError: if it is a glTF file of ordinary meshes.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise ImportRefused(f"{path.name} is no kind of file that is known here; expected {', '.join(READERS)}")
    try:
        return reader(path)
    except NoSplatsError:
        raise
    except SplatError as error:
        raise ImportRefused(f"{path.name}: {error}") from error
    except OSError as error:
        raise ImportRefused(f"cannot read {path}: {error.strerror}") from error


def import_file(context: bpy.types.Context, path: Path, frame: str | None = None) -> SplatObject:
    """Read ``path`` into a new object that is drawn, link it to the active collection, select it; the object.

    Args:
        frame: a key of TURN_X, for files whose axes are not those of their kind.

    Raises:
        ImportRefused: as :func:`read_splats`.
        NoSplatsError: if it is a glTF file of ordinary meshes.
    """
    splats = read_splats(path)
    obj = bpy.data.objects.new(path.stem, splat_data(path.stem, splats))
    assert is_splats(obj)
    obj.rotation_euler.x = TURN_X[frame or splats.frame]
    obj[SOURCE] = str(path)
    if isinstance(splats.facts.get("seed"), int) and splats.facts["seed"] < 2**31:
        obj[SEED] = splats.facts["seed"]
    add_display(obj)
    present(context.collection).objects.link(obj)
    for other in context.selected_objects:
        other.select_set(False)
    obj.select_set(True)
    present(context.view_layer).objects.active = obj
    return obj


def splat_data(name: str, splats: Splats) -> SplatData:
    """A new point cloud, or mesh of vertices where point clouds cannot be made, with every attribute set."""
    data = _points(name, len(splats)) if has_point_clouds() else _vertices(name, len(splats))
    fill(data, splats)
    return data


def _points(name: str, count: int) -> bpy.types.PointCloud:
    cloud = bpy.data.pointclouds.new(name)
    resize(cloud, count)
    mark_as_splats(cloud)
    return cloud


def _vertices(name: str, count: int) -> bpy.types.Mesh:
    mesh = bpy.data.meshes.new(name)
    mesh.vertices.add(count)
    return mesh


def fill(data: SplatData, splats: Splats) -> None:
    """Set the attributes of ``data``, which has as many points; those of an earlier scene are replaced."""
    _drop_stale(data, splats)
    _set(data, "position", "FLOAT_VECTOR", splats.position)
    _set(data, "scale", "FLOAT_VECTOR", splats.scale)
    _set(data, "rotation", "QUATERNION", splats.rotation)
    _set(data, "radiance:base", base_type(), splats.base)
    for index in range(splats.harmonics.shape[1]):
        _set(data, f"{HARMONICS}{index}", "FLOAT_VECTOR", splats.harmonics[:, index])
    if splats.level is not None and splats.parent is not None:
        _set(data, "level", "INT", splats.level)
        _set(data, "parent", "INT", splats.parent)
        _set(data, INDEX, "INT", np.arange(len(splats)))
    data.update_tag()


def _drop_stale(data: SplatData, splats: Splats) -> None:
    """Remove what other Gaussians had and these have not: more harmonics, a tree."""
    stale = [f"{HARMONICS}{index}" for index in range(splats.harmonics.shape[1], COUNTS[-1])]
    stale += ["level", "parent"] if splats.level is None else []
    for name in stale:
        if name in data.attributes:
            data.attributes.remove(data.attributes[name])


def is_splats(obj: bpy.types.Object | None) -> TypeGuard[SplatObject]:
    """Whether an object holds Gaussians."""
    attributes = getattr(getattr(obj, "data", None), "attributes", None)
    return attributes is not None and "radiance:base" in attributes and "scale" in attributes


def active_splats(context: bpy.types.Context) -> SplatObject:
    """The active object, where ``poll`` has found that it holds Gaussians."""
    obj = context.object
    assert is_splats(obj)
    return obj


def get_values(data: SplatData, name: str) -> Array:
    """Values (N,) or (N, k) of a point attribute."""
    attribute: Any = data.attributes[name]  # what elements call their value depends on the attribute's type
    key = VALUE_NAMES[attribute.data_type]
    width = {"FLOAT_VECTOR": 3, "INT": 1}.get(attribute.data_type, 4)
    values = np.empty(len(attribute.data) * width, np.int32 if attribute.data_type == "INT" else np.float32)
    attribute.data.foreach_get(key, values)
    return values.reshape(-1, width) if width > 1 else values


def _set(data: SplatData, name: str, kind: str, values: Array) -> None:
    attributes: Any = data.attributes  # as in get_values; and kinds may be newer than the stubs
    attribute = attributes.get(name)
    if attribute is None:
        attribute = attributes.new(name, kind, "POINT")
    flat = np.ascontiguousarray(values, np.int32 if kind == "INT" else np.float32).ravel()
    attribute.data.foreach_set(VALUE_NAMES[kind], flat)
