# SPDX-License-Identifier: GPL-3.0-or-later
"""Latent animation: a splat object that turns into another seed's, by a modifier with one keyable factor."""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np
from bpy.types import NodesModifier

from ..compat import key_input, set_input
from ..core.harmonics import HARMONICS
from ..core.splats import Array
from ..typed import SplatData, SplatObject
from .modifiers import add_modifier, runs
from .morph_nodes import NAME, SIGNATURE, Kind, morph_group

MIXED = ("scale", "rotation", "radiance:base")
TREE = ("level", "parent")

MIXED_AS = {
    "FLOAT": "FLOAT", "FLOAT_VECTOR": "FLOAT_VECTOR", "FLOAT_COLOR": "FLOAT_COLOR", "FLOAT4": "FLOAT_COLOR",
    "QUATERNION": "QUATERNION",
}  # fmt: skip
"""Types of attributes that are mixed, and as what: FLOAT4, of Blender 5.3's own importer, as a colour."""


class MorphError(ValueError):
    """Two objects that cannot be mixed; the message is for the user."""


def mixed_attributes(data: SplatData) -> list[Kind]:
    """The attributes of a splat object's data that a morph mixes, besides the position."""
    names = [name for name in data.attributes.keys() if name in MIXED or name.startswith(HARMONICS)]  # noqa: SIM118
    attributes = {name: data.attributes[name] for name in sorted(names)}
    return [
        Kind(name, MIXED_AS[each.data_type])
        for name, each in attributes.items()
        if each.data_type in MIXED_AS and each.domain == "POINT"
    ]


def check_same_tree(data: SplatData, other: SplatData) -> None:
    """Raise :class:`MorphError` unless both have the same Gaussians in the same tree and the same attributes."""
    counts = [each.attributes.domain_size("POINT") for each in (data, other)]
    if counts[0] != counts[1]:
        raise MorphError(f"{data.name} has {counts[0]} Gaussians and {other.name} {counts[1]}; a morph needs the same "
                         "tree: seeds of one model")  # fmt: skip
    if mixed_attributes(data) != mixed_attributes(other):
        raise MorphError(
            f"{data.name} and {other.name} have different attributes; import both from the same kind of file"
        )
    for name in TREE:
        mine, theirs = (_whole_numbers(each, name) for each in (data, other))
        if not np.array_equal(mine, theirs):
            raise MorphError(f"{data.name} and {other.name} differ in '{name}'; a morph needs the same tree: seeds of "
                             "one model")  # fmt: skip


def add_morph(obj: SplatObject, other: SplatObject) -> NodesModifier:
    """Add a modifier to ``obj`` that mixes it with the unmodified Gaussians of ``other``; its factor is 0.

    A further morph starts where those before it end, so that a chain of seeds is a chain of modifiers.

    Returns:
        The modifier; its input ``Factor`` is 0 for the object itself and 1 for the other seed; see :func:`animate`.

    Raises:
        MorphError: if the two have not the same tree.
    """
    check_same_tree(obj.data, other.data)
    modifier = add_modifier(obj, f"{NAME}: {other.name}", morph_group(mixed_attributes(obj.data)))
    # An object of its own for the key: modifiers of the other one must not come along, and it may be deleted.
    key = bpy.data.objects.new(f"{other.name} key", other.data)
    set_input(modifier, "Key", key)
    set_input(modifier, "Factor", 0.0)
    obj.modifiers.move(len(obj.modifiers) - 1, len(morphs_of(obj)) - 1)
    return modifier


def morphs_of(obj: SplatObject) -> list[NodesModifier]:
    """The modifiers of :func:`add_morph` that an object has; they come before all others of the extension."""
    return [modifier for modifier in obj.modifiers if runs(modifier, SIGNATURE)]


def animate(modifier: NodesModifier, first: int, last: int) -> None:
    """Key the factor: 0 at frame ``first``, 1 at frame ``last``."""
    for frame, factor in ((first, 0.0), (last, 1.0)):
        set_input(modifier, "Factor", factor)
        key_input(modifier, "Factor", frame)


def _whole_numbers(data: Any, name: str) -> Array:
    """Values (N,) of an attribute of the tree; none where there is no such attribute."""
    attribute = data.attributes.get(name)
    if attribute is None:
        return np.empty(0, np.int32)
    values = np.empty(len(attribute.data), np.int32 if attribute.data_type == "INT" else np.float32)
    attribute.data.foreach_get("value", values)
    return values
