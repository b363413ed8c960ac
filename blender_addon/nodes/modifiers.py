# SPDX-License-Identifier: GPL-3.0-or-later
"""Modifiers that run one of the extension's node groups, which are known by a property that marks the group."""

from __future__ import annotations

from typing import TypeGuard

from bpy.types import Modifier, NodesModifier, NodeTree, Object


def add_modifier(obj: Object, name: str, group: NodeTree) -> NodesModifier:
    """A new last modifier of ``obj`` that runs ``group``."""
    modifier = obj.modifiers.new(name, "NODES")
    assert isinstance(modifier, NodesModifier)
    modifier.node_group = group
    return modifier


def runs(modifier: Modifier, mark: str) -> TypeGuard[NodesModifier]:
    """Whether a modifier runs a group that has the property ``mark``."""
    group = modifier.node_group if isinstance(modifier, NodesModifier) else None
    return group is not None and group.get(mark) is not None


def find_modifier(obj: Object, mark: str) -> NodesModifier | None:
    """The first modifier of ``obj`` whose group has the property ``mark``, or None."""
    return next((modifier for modifier in obj.modifiers if runs(modifier, mark)), None)
