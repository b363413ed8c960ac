# SPDX-License-Identifier: GPL-3.0-or-later
"""Modifiers that run one of the extension's node groups, which are known by a property that marks the group."""

from __future__ import annotations

from typing import TypeGuard

from bpy.types import Modifier, NodesModifier, NodeTree, Object

MORPH, SCATTER = "hgs_morph_attributes", "hgs_scatter_levels"
"""Marks of groups that make Gaussians, or make them other ones: they come before all others."""


def add_modifier(obj: Object, name: str, group: NodeTree) -> NodesModifier:
    """A new last modifier of ``obj`` that runs ``group``."""
    modifier = obj.modifiers.new(name, "NODES")
    assert isinstance(modifier, NodesModifier)
    modifier.node_group = group
    return modifier


def add_after_makers(obj: Object, name: str, group: NodeTree) -> NodesModifier:
    """A new modifier of ``obj`` that runs ``group`` after those which make the Gaussians, before all others."""
    modifier = add_modifier(obj, name, group)
    makers = [index for index, each in enumerate(obj.modifiers) if runs(each, MORPH) or runs(each, SCATTER)]
    obj.modifiers.move(len(obj.modifiers) - 1, makers[-1] + 1 if makers else 0)
    return modifier


def runs(modifier: Modifier, mark: str) -> TypeGuard[NodesModifier]:
    """Whether a modifier runs a group that has the property ``mark``."""
    group = modifier.node_group if isinstance(modifier, NodesModifier) else None
    return group is not None and group.get(mark) is not None


def find_modifier(obj: Object, mark: str) -> NodesModifier | None:
    """The first modifier of ``obj`` whose group has the property ``mark``, or None."""
    return next((modifier for modifier in obj.modifiers if runs(modifier, mark)), None)
