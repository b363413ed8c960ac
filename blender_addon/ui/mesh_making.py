# SPDX-License-Identifier: GPL-3.0-or-later
"""Make Mesh: a closed, coloured mesh of what a splat object shows, by ``hgs mesh`` beside Blender."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy
from mathutils import Matrix

from ..core.splats import SplatError
from ..core.toolkit.jobs import JobError
from ..core.toolkit.mesh_job import MeshMaking, MeshOrder
from ..data import active_splats, is_splats
from ..edits.shown import shown_splats
from ..typed import Outcome, SplatObject, present
from .beside import POLL_SECONDS, CancelsRun, StartsRun, watch
from .panel_text import paragraph
from .preferences import chosen_program, preferences

MAX_TEXTURED_FACES = 20_000
"""Greatest number of triangles of a textured mesh, as ``hgs mesh`` has it."""


@dataclass
class Order:
    """A making, and what is to become of the mesh.

    Attributes:
        name: of the new object.
        matrix: where its origin goes: the splat object's place in the world.
        text: how it ended, for the panel; empty while it runs.
        failed: whether it ended without a mesh.
    """

    making: MeshMaking
    name: str
    matrix: Matrix
    text: str = ""
    failed: bool = False


current: Order | None = None
"""The newest order, running or ended."""


class HGS_OT_make_mesh(StartsRun, bpy.types.Operator):
    """Make a closed mesh of what the active splat object shows, with the program hgs beside Blender."""

    bl_idname = "hgs.make_mesh"
    bl_label = "Make Mesh"
    bl_options = {"UNDO"}

    resolution: bpy.props.IntProperty(
        name="Resolution", description="Grid points along the longest side", default=256, min=16, max=1024
    )
    faces: bpy.props.IntProperty(
        name="Triangles", description="Triangles at most", default=MAX_TEXTURED_FACES, min=100, max=1_000_000
    )
    textured: bpy.props.BoolProperty(
        name="Textured",
        description=f"Colours in an image, for at most {MAX_TEXTURED_FACES} triangles; otherwise at the vertices",
        default=True,
    )
    unlit: bpy.props.BoolProperty(
        name="Unlit", description="Show the colours as they were filmed, without lamps", default=False
    )
    refusals = (SplatError, JobError, OSError)

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """A splat object must be active, and no other mesh under way."""
        return is_splats(context.object) and not is_running()

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> Outcome:
        """Ask how fine it is to be."""
        return present(context.window_manager).invoke_props_dialog(self)

    def start(self, context: bpy.types.Context) -> MeshMaking:
        """Start the program on what the splat object shows."""
        faces = min(self.faces, MAX_TEXTURED_FACES) if self.textured else self.faces
        order = MeshOrder(self.resolution, faces, self.textured, self.unlit)
        return start(context, active_splats(context), order).making

    def timer(self) -> Callable[[], float | None]:
        """The timer of meshes."""
        return tick

    def finish(self, context: bpy.types.Context) -> tuple[str, bool]:
        """Bring the mesh into the scene; how it ended."""
        finish(context)
        order = present(current)
        return order.text, order.failed


class HGS_OT_cancel_mesh(CancelsRun, bpy.types.Operator):
    """Stop making the mesh."""

    bl_idname = "hgs.cancel_mesh"
    bl_label = "Cancel"

    @classmethod
    def run(cls) -> MeshMaking | None:
        """The making under way."""
        return present(current).making if is_running() else None


class HGS_PT_mesh(bpy.types.Panel):
    """Make a mesh and see how far it is."""

    bl_label = "Mesh"
    bl_idname = "HGS_PT_mesh"
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "HGS"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        """The button, progress or the outcome."""
        layout = present(self.layout)
        if current is not None and is_running():
            row = layout.row()
            row.progress(factor=current.making.job.fraction, text=current.making.job.text)
            row.operator(HGS_OT_cancel_mesh.bl_idname, text="", icon="CANCEL")
            return
        layout.operator(HGS_OT_make_mesh.bl_idname, icon="MESH_DATA")
        if current is not None and current.text:
            paragraph(layout, context, current.text, icon="ERROR" if current.failed else "CHECKMARK")


def is_running() -> bool:
    """Whether a mesh is being made."""
    return current is not None and not current.text


def start(context: bpy.types.Context, obj: SplatObject, order: MeshOrder) -> Order:
    """Start what ``order`` says on what ``obj`` shows.

    Raises:
        JobError: if ``hgs`` is missing or cannot be run.
        OSError: if its input cannot be written.
        SplatError: if the object shows no Gaussians.
    """
    global current
    chosen = preferences(context)
    executable = chosen_program(chosen)
    splats = shown_splats(context, obj, "y_up")
    folder = Path(tempfile.mkdtemp(prefix="hgs-mesh-", dir=bpy.app.tempdir))
    making = MeshMaking(executable, folder, splats, order, timeout=60.0 * chosen.timeout)
    current = Order(making, f"{obj.name} mesh", obj.matrix_world.copy())
    return current


def tick() -> float | None:
    """The timer: seconds until it wants to be called again, None when the mesh is there or will not come."""
    if current is None:
        return None
    if watch(current.making):
        return POLL_SECONDS
    windows = present(bpy.context.window_manager).windows
    # Timers have no window of their own, and importers want one.
    override: Any = bpy.context.temp_override(window=windows[0]) if windows else contextlib.nullcontext()
    with override:
        finish(bpy.context)
        if not current.failed:
            bpy.ops.ed.undo_push(message=HGS_OT_make_mesh.bl_label)
    return None


def finish(context: bpy.types.Context) -> None:
    """Bring the mesh of an order that has ended into the scene, and say in the order how it ended."""
    if current is None:
        return
    making = current.making
    try:
        if making.mesh is None:
            current.failed, current.text = True, making.problem
            return
        made = import_mesh(context, making.mesh, current.name, current.matrix)
        facts = "; ".join(note.partition(": ")[2] or note for note in making.job.notes)
        current.text = f"{made.name}: {facts or f'{len(made.data.polygons):,} triangles'}"  # type: ignore[union-attr]
    except (AttributeError, RuntimeError) as error:  # a report, a failure within the importer, or it is disabled
        reason = "".join(str(error).strip().splitlines()[-1:])
        current.failed, current.text = True, f"Blender's glTF importer refuses the mesh: {reason}"
    finally:
        making.close()


def import_mesh(context: bpy.types.Context, path: Path, name: str, matrix: Matrix) -> bpy.types.Object:
    """The mesh of a .glb as one selected, active object called ``name``, whose origin and axes are ``matrix``."""
    objects, collections = set(bpy.data.objects), set(bpy.data.collections)
    bpy.ops.import_scene.gltf(filepath=str(path), merge_vertices=True)  # those that a texture's seams part
    new = [obj for obj in bpy.data.objects if obj not in objects]
    made = next((obj for obj in new if isinstance(obj.data, bpy.types.Mesh)), None)
    if made is None:
        raise RuntimeError("it holds no mesh")
    present(context.view_layer).update()
    place = made.matrix_world.copy()
    made.parent = None
    made.matrix_basis = matrix
    mesh: Any = made.data
    mesh.transform(made.matrix_basis.inverted_safe() @ place)
    made.name = mesh.name = name
    target = present(context.collection)
    for holder in list(made.users_collection):
        holder.objects.unlink(made)
    if target in collections:
        target.objects.link(made)
    else:  # the importer made its own collection the active one
        present(context.scene).collection.objects.link(made)
    for other in new:
        if other != made:
            bpy.data.objects.remove(other)
    for collection in [each for each in bpy.data.collections if each not in collections]:
        bpy.data.collections.remove(collection)
    made.select_set(True)
    present(context.view_layer).objects.active = made
    return made


CLASSES = (HGS_OT_make_mesh, HGS_OT_cancel_mesh, HGS_PT_mesh)


def register() -> None:
    """Called when the extension is enabled."""
    for each in CLASSES:
        bpy.utils.register_class(each)


def unregister() -> None:
    """Called when it is disabled, and when Blender ends: a program that still runs ends with it."""
    global current
    if current is not None and is_running():
        current.making.close()
    current = None
    if bpy.app.timers.is_registered(tick):
        bpy.app.timers.unregister(tick)
    for each in reversed(CLASSES):
        bpy.utils.unregister_class(each)
