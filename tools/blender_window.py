"""Screenshots of docs/blender.md: the extension in a real Blender's window, from a batch of `hgs sample`.

    hgs sample --seeds 0-15 --size 128 --save hgs,png --out BATCH
    export BLENDER_USER_RESOURCES=$(mktemp -d) LIBGL_ALWAYS_SOFTWARE=1      # leaves your configuration alone
    hgs blender install
    xvfb-run -s "-screen 0 1280x800x24" blender --window-geometry 0 0 1280 800 --enable-event-simulate \\
        --python tools/blender_window.py -- BATCH [OUT]

Needs Xvfb and ImageMagick besides Blender. Writes window_levels.jpg, window_brush.jpg and window_seeds.jpg into OUT
(docs/images/blender) and closes Blender.
"""

from __future__ import annotations

import importlib
import subprocess
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import addon_utils
import bpy

MODULE = "bl_ext.user_default.hgs_toolkit"
OUT = Path(__file__).resolve().parents[1] / "docs" / "images" / "blender"
QUALITY = 85
SEED = 5
GROUND = (0.2, 0.2, 0.22, 1)

REST = 0.5
"""Seconds in which Blender draws what has changed."""

LONG_REST = 8.0
"""Seconds in which the exact engine's finest picture is done, even in software on a busy machine."""

TAB = (14, 238)
"""The tab HGS of a new Blender, as the fifth: pixels from the sidebar's right and upper edge."""

THUMBNAIL = 200
"""Pixels from the top of the sidebar to the thumbnail, where the seeds' panel is the only one."""


def main() -> None:
    batch, out = Path(sys.argv[sys.argv.index("--") + 1]).resolve(), Path(sys.argv[-1]).resolve()
    steps = tour(batch, OUT if out == batch else out)

    def go_on() -> float | None:
        try:
            return next(steps)
        except StopIteration:
            bpy.ops.wm.quit_blender()
        except Exception:  # a timer that raises is dropped, and Blender would stay open
            traceback.print_exc()
            bpy.ops.wm.quit_blender()
        return None

    bpy.app.timers.register(go_on, first_interval=2.0)


def tour(batch: Path, out: Path) -> Iterator[float]:
    """Prepare one picture after the other; yields how long to wait until Blender has drawn it."""
    prepare()
    bpy.context.window.event_simulate("ESC", "PRESS", x=0, y=0)  # closes the splash
    yield REST
    coarse, fine = (load(batch / f"seed{SEED:04d}.hgs", x) for x in (-0.9, 0.0))
    addon("ui.levels").add_levels(fine)
    modifier = addon("ui.levels").add_levels(coarse)
    for level in (3, 4):
        addon("compat").set_input(modifier, f"Level {level} Visible", False)
    bpy.context.scene.hgs_seeds.folder = str(batch)
    bpy.ops.hgs.view_exactly(approach=True)  # of the newer one; the other is left of it
    bpy.context.view_layer.objects.active = coarse
    yield REST
    sidebar = find_sidebar()
    yield from click(sidebar.x + sidebar.width - TAB[0], sidebar.y + sidebar.height - TAB[1])
    if sidebar.active_panel_category != "HGS":
        raise RuntimeError("the tab HGS is not where it is in a new Blender; start it with new resources")
    bpy.ops.object.select_all(action="DESELECT")
    yield LONG_REST
    shoot(out / "window_levels.jpg")

    yield from brush(coarse, out / "window_brush.jpg")

    others = [getattr(bpy.types, f"HGS_PT_{name}") for name in ("levels", "appearance", "generate")]
    for panel in others:
        bpy.utils.unregister_class(panel)
    bpy.data.objects.remove(coarse)
    bpy.context.view_layer.objects.active = fine
    fine.location.x = -0.9  # the menu of thumbnails covers the middle
    bpy.context.scene.hgs_seeds.seed = str(SEED)
    yield LONG_REST
    yield from click(sidebar.x + sidebar.width // 2, sidebar.y + sidebar.height - THUMBNAIL)
    yield LONG_REST  # thumbnails are read one by one
    shoot(out / "window_seeds.jpg")
    for panel in others:
        bpy.utils.register_class(panel)


def brush(coarse: Any, path: Path) -> Iterator[float]:
    """Two strokes of the brush over the active splats' right, without ``coarse`` beside them; both are undone."""
    fine = next(obj for obj in bpy.context.scene.objects if obj != coarse and "radiance:base" in _attributes(obj))
    coarse.hide_set(True)
    bpy.context.view_layer.objects.active = fine
    bpy.ops.ed.undo_push(message="before the brush")
    area = next(each for each in bpy.context.window.screen.areas if each.type == "VIEW_3D")
    region = next(each for each in area.regions if each.type == "WINDOW")
    x, y = region.x + region.width // 2, region.y + region.height // 2
    yield from point(x, y)
    with bpy.context.temp_override(area=area, region=region):
        bpy.ops.hgs.erase_brush("INVOKE_DEFAULT", radius=40)
    yield REST
    for height in (0, 60):
        yield from point(x, y + height)
        bpy.context.window.event_simulate("LEFTMOUSE", "PRESS", x=x, y=y + height)
        yield REST
        for step in (15, 30, 45):
            bpy.context.window.event_simulate("MOUSEMOVE", "NOTHING", x=x + step, y=y + height)
            yield REST
        bpy.context.window.event_simulate("LEFTMOUSE", "RELEASE", x=x + 45, y=y + height)
        yield REST
    yield LONG_REST
    shoot(path)
    bpy.context.window.event_simulate("RET", "PRESS", x=x, y=y)
    yield REST
    bpy.ops.hgs.restore_erased()
    coarse.hide_set(False)


def _attributes(obj: Any) -> Any:
    return getattr(obj.data, "attributes", ())


def prepare() -> None:
    """The startup scene without its cube, in the colours of the toolkit."""
    if addon_utils.enable(MODULE) is None:  # type: ignore[func-returns-value]
        raise RuntimeError("the extension is not installed; run hgs blender install with these resources")
    bpy.data.objects.remove(bpy.data.objects["Cube"])
    bpy.ops.hgs.set_up_scene()
    bpy.context.scene.world.node_tree.nodes["Background"].inputs[0].default_value = GROUND


def addon(name: str) -> Any:
    return importlib.import_module(f"{MODULE}.{name}")


def load(path: Path, x: float) -> Any:
    bpy.ops.hgs.import_splats(filepath=str(path))
    bpy.context.object.location.x = x
    return bpy.context.object


def find_sidebar() -> Any:
    area = next(each for each in bpy.context.window.screen.areas if each.type == "VIEW_3D")
    return next(each for each in area.regions if each.type == "UI")


def point(x: int, y: int) -> Iterator[float]:
    """Move the pointer there, in two steps: the first one only enters the region."""
    for near in (1, 0):
        bpy.context.window.event_simulate("MOUSEMOVE", "NOTHING", x=x - near, y=y)
        yield REST


def click(x: int, y: int) -> Iterator[float]:
    """Press and release the left button there."""
    yield from point(x, y)
    for value in ("PRESS", "RELEASE"):
        bpy.context.window.event_simulate("LEFTMOUSE", value, x=x, y=y)
        yield REST


def shoot(path: Path) -> None:
    """Write the screen as a JPEG. (Blender's own screenshots are black where Mesa draws in software.)"""
    subprocess.run(["import", "-window", "root", "-strip", "-quality", str(QUALITY), str(path)], check=True)


main()
