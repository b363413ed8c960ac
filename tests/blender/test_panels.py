"""Panels, drawn into a layout that checks what it is given: there is no window to look at."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import bpy
import pytest

Addon = Callable[[str], Any]


class Layout:
    """Stands in for Blender's: writes down texts and refuses properties and operators that do not exist."""

    def __init__(self) -> None:
        self.drawn: list[str] = []

    def row(self, **options: Any) -> Layout:
        return self

    column = row

    def prop(self, data: Any, name: str, text: str | None = None, **options: Any) -> None:
        data.path_resolve(name)  # a ValueError where there is no such property
        self.drawn.append(name if text is None else text)

    def prop_search(
        self, data: Any, name: str, source: Any, choices: str, text: str | None = None, **options: Any
    ) -> None:
        source.path_resolve(choices)
        self.prop(data, name, text)

    def label(self, text: str, **options: Any) -> None:
        self.drawn.append(text)

    def operator(self, name: str, **options: Any) -> SimpleNamespace:
        self.drawn.append(self._operator(name).identifier)
        return SimpleNamespace()

    def operator_menu_enum(self, name: str, choice: str, **options: Any) -> None:
        self.drawn += [item.identifier for item in self._operator(name).properties[choice].enum_items]

    @staticmethod
    def _operator(name: str) -> Any:
        category, _, short = name.partition(".")
        return getattr(getattr(bpy.ops, category), short).get_rna_type()  # a KeyError where there is none


@pytest.fixture
def draw(addon: Addon) -> Callable[[str], list[str]]:
    """``draw("HGS_PT_levels")``: texts and names of what the panel shows."""

    def drawn(name: str) -> list[str]:
        panel, layout = getattr(addon("levels"), name), Layout()
        panel.draw(SimpleNamespace(layout=layout), bpy.context)
        return layout.drawn

    return drawn


def test_the_levels_panel_offers_the_modifier_and_then_all_that_it_has(
    addon: Addon, make_object: Callable[..., Any], draw: Callable[[str], list[str]]
) -> None:
    obj = make_object(0)
    assert draw("HGS_PT_levels") == ["HGS_OT_add_levels"]
    modifier = addon("levels").add_levels(obj)
    drawn = draw("HGS_PT_levels")
    assert [f"Level {level}" in drawn for level in range(4)] == [True, True, True, False]
    assert "Background" not in drawn
    assert "HGS_OT_add_crop_box" in drawn
    obj.data.attributes["level"].data[0].value = -1
    addon("levels").add_crop_box(bpy.context, obj)
    addon("compat").set_input(modifier, "Blend Levels", True)
    assert len(draw("HGS_PT_levels")) > len(drawn)
    assert "Background" in draw("HGS_PT_levels")
    assert "HGS_OT_add_crop_box" not in draw("HGS_PT_levels")


def test_the_levels_panel_is_for_splats(addon: Addon, make_object: Callable[..., Any]) -> None:
    panel = addon("levels").HGS_PT_levels
    assert not panel.poll(bpy.context)
    make_object(0)
    assert panel.poll(bpy.context)


def test_the_appearance_panel_sets_up_the_scene_and_the_display(
    addon: Addon, make_object: Callable[..., Any], draw: Callable[[str], list[str]]
) -> None:
    assert draw("HGS_PT_appearance") == ["EXACT", "SCENE"]
    addon("display").add_display(make_object(0))
    assert len(draw("HGS_PT_appearance")) == 5
