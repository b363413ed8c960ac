"""Panels, drawn into a layout that checks what it is given: there is no window to look at."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
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

    column = split = box = row

    def prop(self, data: Any, name: str, text: str | None = None, **options: Any) -> None:
        data.path_resolve(name)  # a ValueError where there is no such property
        self.drawn.append(name if text is None else text)

    def prop_search(
        self, data: Any, name: str, source: Any, choices: str, text: str | None = None, **options: Any
    ) -> None:
        source.path_resolve(choices)
        self.prop(data, name, text)

    def label(self, text: str = "", **options: Any) -> None:
        self.drawn.append(text)

    def progress(self, factor: float, text: str) -> None:
        self.drawn.append(text)

    def template_curve_mapping(self, data: Any, name: str, **options: Any) -> None:
        self.prop(data, name)

    def template_icon_view(self, data: Any, name: str, **options: Any) -> None:
        self.prop(data, name)

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
        addon("ui.levels")  # enables the extension
        panel, layout = getattr(bpy.types, name), Layout()
        panel.draw(SimpleNamespace(layout=layout), bpy.context)
        return layout.drawn

    return drawn


def test_the_levels_panel_offers_the_modifier_and_then_all_that_it_has(
    addon: Addon, make_object: Callable[..., Any], draw: Callable[[str], list[str]]
) -> None:
    obj = make_object(0)
    assert draw("HGS_PT_levels") == ["HGS_OT_add_levels"]
    modifier = addon("ui.levels").add_levels(obj)
    drawn = draw("HGS_PT_levels")
    assert [f"Level {level}" in drawn for level in range(4)] == [True, True, True, False]
    assert "Background" not in drawn
    assert "HGS_OT_add_crop_box" in drawn
    obj.data.attributes["level"].data[0].value = -1
    addon("ui.levels").add_crop_box(bpy.context, obj)
    addon("compat").set_input(modifier, "Blend Levels", True)
    assert len(draw("HGS_PT_levels")) > len(drawn)
    assert "Background" in draw("HGS_PT_levels")
    assert "HGS_OT_add_crop_box" not in draw("HGS_PT_levels")


def test_the_levels_panel_is_for_splats(addon: Addon, make_object: Callable[..., Any]) -> None:
    panel = addon("ui.levels").HGS_PT_levels
    assert not panel.poll(bpy.context)
    make_object(0)
    assert panel.poll(bpy.context)


def test_the_appearance_panel_sets_up_the_scene_and_the_display(
    addon: Addon, make_object: Callable[..., Any], draw: Callable[[str], list[str]]
) -> None:
    assert draw("HGS_PT_appearance") == ["HGS_OT_view_exactly", "EXACT", "SCENE"]
    addon("nodes.display").add_display(make_object(0))
    choices = ["CARDS", "BLENDER"] if bpy.app.version >= (5, 3) else []
    drawn = draw("HGS_PT_appearance")
    assert drawn[:-3] == ["HGS_OT_view_exactly", "EXACT", "SCENE", "HGS_OT_apply_splat_transform", *choices]
    assert drawn[-3:] == ["Lit", "Cards in Viewport", "Point Size"]


def test_a_level_is_seen_alone_and_once_more_all_of_them(
    addon: Addon, make_object: Callable[..., Any], draw: Callable[[str], list[str]]
) -> None:
    obj = make_object(0)
    obj.data.attributes["level"].data[0].value = -1
    levels = addon("ui.levels")
    modifier = levels.add_levels(obj)
    for level in (-1, 0, 2):
        bpy.ops.hgs.solo_level(level=level)
        assert levels.shown_levels(modifier) == [level]
    draw("HGS_PT_levels")
    bpy.ops.hgs.solo_level(level=2)
    assert levels.shown_levels(modifier) == [-1, 0, 1, 2]


def test_every_input_says_what_it_is_for(addon: Addon, make_object: Callable[..., Any]) -> None:
    obj = make_object(0)
    for modifier in (addon("ui.levels").add_levels(obj), addon("nodes.display").add_display(obj)):
        inputs = [item for item in modifier.node_group.interface.items_tree if item.in_out == "INPUT"]
        assert {item.name for item in inputs if not item.description} == {"Geometry"}


def test_splats_of_another_file_are_shown_but_not_changed(
    addon: Addon, make_object: Callable[..., Any], draw: Callable[[str], list[str]], tmp_path: Path
) -> None:
    obj = make_object(0)
    obj.name = "lent"
    addon("ui.levels").add_levels(obj)
    library = str(tmp_path / "library.blend")
    bpy.data.libraries.write(library, {obj})
    bpy.data.objects.remove(obj)
    libraries: Any = bpy.data.libraries
    with libraries.load(library, link=True) as (_, wanted):
        wanted.objects = ["lent"]
    lent = wanted.objects[0]
    bpy.context.scene.collection.objects.link(lent)
    bpy.context.view_layer.objects.active = lent
    assert "Level 1" in draw("HGS_PT_levels")
    for operator in (
        bpy.ops.hgs.add_levels,
        bpy.ops.hgs.solo_level,
        bpy.ops.hgs.add_crop_box,
        bpy.ops.hgs.morph_to_seed,
    ):
        assert not operator.poll()


def test_a_long_sentence_is_broken_into_lines_that_fit_the_sidebar(
    addon: Addon, draw: Callable[[str], list[str]], tmp_path: Path
) -> None:
    bpy.context.scene.hgs_seeds.folder = str(tmp_path)
    drawn = draw("HGS_PT_seeds")
    lines = drawn[drawn.index("HGS_OT_reload_seeds") + 1 :]
    assert len(lines) > 1
    assert max(map(len, lines)) <= 30
    assert " ".join(lines).startswith("cannot read")


def test_the_seeds_panel_shows_the_morphs_of_the_active_object(
    addon: Addon, make_object: Callable[..., Any], draw: Callable[[str], list[str]], tmp_path: Path
) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps({"scenes": [{"seed": 4, "files": {}}]}))
    bpy.context.scene.hgs_seeds.folder = str(tmp_path)
    obj = make_object(0)
    before = draw("HGS_PT_seeds")
    modifier = addon("nodes.morph").add_morph(obj, make_object(1))
    bpy.context.view_layer.objects.active = obj
    assert [text for text in draw("HGS_PT_seeds") if text not in before] == [modifier.name]


def test_generate_offers_the_command_that_installs_what_is_missing(
    addon: Addon, draw: Callable[[str], list[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    addon("ui.generate")
    monkeypatch.setenv("PATH", str(tmp_path))
    drawn = draw("HGS_PT_generate")
    assert "command" in drawn
    assert "HGS_OT_generate" not in drawn
    assert bpy.context.scene.hgs_generate.command == "pip install hgs_toolkit"
    program = tmp_path / "hgs"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    drawn = draw("HGS_PT_generate")
    assert "HGS_OT_generate" in drawn
    assert "command" not in drawn


def test_the_mesh_panel_offers_the_operator_and_says_how_it_ended(
    addon: Addon, draw: Callable[[str], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    module = addon("ui.mesh_making")
    monkeypatch.setattr(module, "current", None)  # other tests make meshes, and the last one's end stays in sight
    assert draw("HGS_PT_mesh") == ["HGS_OT_make_mesh"]
    job = SimpleNamespace(fraction=0.5, text="meshing")
    module.current = module.Order(SimpleNamespace(job=job), "cup mesh", None)
    assert draw("HGS_PT_mesh") == ["meshing", "HGS_OT_cancel_mesh"]
    module.current.text = "cup mesh: solid"
    assert draw("HGS_PT_mesh") == ["HGS_OT_make_mesh", "cup mesh: solid"]
