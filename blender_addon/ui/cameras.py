# SPDX-License-Identifier: GPL-3.0-or-later
"""Cameras in and out: a file of cameras becomes one animated camera, a camera over its frames a file; turntables."""

from __future__ import annotations

import math
from pathlib import Path

import bpy
import numpy as np
from mathutils import Matrix

from ..core.camera_views import CameraFileError, CameraView, turntable
from ..core.files.camera_files import LABELS, TRANSFORMS, read_cameras, write_cameras
from ..core.saving import FileExists
from ..typed import ExportHelper, ImportHelper, Outcome, present

UPRIGHT = Matrix.Rotation(math.pi / 2, 4, "X")
"""The files' world, y up, in Blender's, z up."""

SENSOR = 36.0
"""Sensor width of imported cameras, mm."""


def add_camera(context: bpy.types.Context, name: str, views: list[CameraView]) -> bpy.types.Object:
    """A camera that stands at the i-th view in the i-th frame from the current one on; the scene looks through it.

    The image's size becomes that of the first view, and uneven focal lengths the pixels' aspect.
    """
    data = bpy.data.cameras.new(name)
    data.sensor_fit, data.sensor_width = "HORIZONTAL", SENSOR
    camera = bpy.data.objects.new(name, data)
    camera.rotation_mode = "QUATERNION"
    present(context.collection).objects.link(camera)
    scene, first = present(context.scene), views[0]
    scene.camera = camera
    scene.render.resolution_x, scene.render.resolution_y = first.width, first.height
    scene.render.resolution_percentage = 100
    ratio = first.focal[0] / first.focal[1]
    scene.render.pixel_aspect_x, scene.render.pixel_aspect_y = max(1.0, 1 / ratio), max(1.0, ratio)
    before = None
    for frame, view in enumerate(views, scene.frame_current):
        camera.matrix_world = UPRIGHT @ Matrix(view.matrix.tolist())
        if before is not None and camera.rotation_quaternion.dot(before) < 0:
            camera.rotation_quaternion.negate()  # the short way round between frames
        before = camera.rotation_quaternion.copy()
        data.lens = view.focal[0] / view.width * SENSOR
        data.shift_x = 0.5 - view.center[0] / view.width
        data.shift_y = (view.center[1] - view.height / 2) / view.width * ratio
        if len(views) > 1:
            for path in ("location", "rotation_quaternion"):
                camera.keyframe_insert(path, frame=frame)
            for path in ("lens", "shift_x", "shift_y"):
                data.keyframe_insert(path, frame=frame)
    if len(views) > 1:
        scene.frame_start, scene.frame_end = scene.frame_current, scene.frame_current + len(views) - 1
    return camera


def views_of(context: bpy.types.Context, frames: range) -> list[CameraView]:
    """The scene's camera at every one of ``frames``.

    Raises:
        CameraFileError: if the scene has no perspective camera.
    """
    scene = present(context.scene)
    film = scene.camera
    if film is None or not isinstance(film.data, bpy.types.Camera) or film.data.type != "PERSP":
        raise CameraFileError("the scene has no perspective camera")
    render, now = scene.render, scene.frame_current
    width = int(render.resolution_x * render.resolution_percentage / 100)
    height = int(render.resolution_y * render.resolution_percentage / 100)
    views = []
    try:
        for frame in frames:
            scene.frame_set(frame)
            depsgraph = context.evaluated_depsgraph_get()
            camera = film.evaluated_get(depsgraph)
            lens = camera.calc_matrix_camera(
                depsgraph, x=width, y=height, scale_x=render.pixel_aspect_x, scale_y=render.pixel_aspect_y
            )
            stand = camera.matrix_world.normalized()  # Blender films through a camera without its scale
            views.append(
                CameraView(
                    np.array(UPRIGHT.inverted() @ stand), width, height,
                    (lens[0][0] * width / 2, lens[1][1] * height / 2),
                    ((1 - lens[0][2]) * width / 2, (1 + lens[1][2]) * height / 2),
                )
            )  # fmt: skip
    finally:
        scene.frame_set(now)
    return views


class HGS_OT_import_cameras(bpy.types.Operator, ImportHelper):
    """Import the cameras of a transforms.json, dataset.json or label as one camera that moves from frame to frame."""

    bl_idname = "hgs.import_cameras"
    bl_label = "Import Cameras"
    bl_options = {"REGISTER", "UNDO"}

    filter_glob: bpy.props.StringProperty(default="*.json", options={"HIDDEN"})

    def execute(self, context: bpy.types.Context) -> Outcome:
        """Import, or report why not."""
        path = Path(self.filepath)
        try:
            views = read_cameras(path)
        except (CameraFileError, OSError) as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        add_camera(context, path.stem, views)
        self.report({"INFO"}, f"{len(views)} cameras from {path.name}")
        return {"FINISHED"}


class HGS_OT_export_cameras(bpy.types.Operator, ExportHelper):
    """Export the scene's camera, frame by frame, as a transforms.json or as EG3D labels."""

    bl_idname = "hgs.export_cameras"
    bl_label = "Export Cameras"

    filename_ext = ".json"
    filter_glob: bpy.props.StringProperty(default="*.json", options={"HIDDEN"})
    check_existing: bpy.props.BoolProperty(default=True, options={"HIDDEN"})
    every: bpy.props.BoolProperty(
        name="All Frames", description="The scene's frame range, not this frame", default=True
    )
    kind: bpy.props.EnumProperty(
        name="Kind",
        items=(
            (TRANSFORMS, "transforms.json", "NeRF's file, as hgs synth writes it"),
            (LABELS, "dataset.json", "EG3D labels, as hgs train reads them beside the rendered images"),
        ),
        default=TRANSFORMS,
    )
    replace: bpy.props.BoolProperty(
        name="Overwrite", description="Write over a file of this name", options={"SKIP_SAVE"}
    )

    def execute(self, context: bpy.types.Context) -> Outcome:
        """Write the file, or report why not."""
        scene, path = present(context.scene), Path(self.filepath)
        whole = range(scene.frame_start, scene.frame_end + 1, scene.frame_step)
        frames = whole if self.every else range(scene.frame_current, scene.frame_current + 1)
        try:
            write_cameras(path, views_of(context, frames), frames, self.kind, replace=self.replace)
        except (CameraFileError, FileExists, OSError) as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        self.report({"INFO"}, f"{len(frames)} cameras written to {path.name}")
        return {"FINISHED"}


class HGS_OT_add_turntable(bpy.types.Operator):
    """Add a camera that goes once around the origin, as in the toolkit's turntables, from the current frame on."""

    bl_idname = "hgs.add_turntable"
    bl_label = "Splat Turntable"
    bl_options = {"REGISTER", "UNDO"}

    frames: bpy.props.IntProperty(name="Frames", default=72, min=1)
    size: bpy.props.IntProperty(name="Size", description="Side of the images, pixels", default=512, min=1, max=65535)
    focal: bpy.props.FloatProperty(name="Focal Length", description="In image widths", default=2.0, min=0.1)
    radius: bpy.props.FloatProperty(name="Distance", subtype="DISTANCE", default=2.7, min=0.01)
    pitch: bpy.props.FloatProperty(name="Height", subtype="ANGLE", default=0.1, min=-math.pi / 2, max=math.pi / 2)

    def execute(self, context: bpy.types.Context) -> Outcome:
        """Add it."""
        views = turntable(self.frames, (self.size, self.size), self.focal, self.radius, self.pitch)
        add_camera(context, "turntable", views)
        return {"FINISHED"}


CLASSES = (HGS_OT_import_cameras, HGS_OT_export_cameras, HGS_OT_add_turntable)


def _add_menu(self: bpy.types.Menu, context: bpy.types.Context) -> None:
    present(self.layout).operator(HGS_OT_add_turntable.bl_idname, icon="CAMERA_DATA")


def _import_menu(self: bpy.types.Menu, context: bpy.types.Context) -> None:
    present(self.layout).operator(HGS_OT_import_cameras.bl_idname, text="Cameras (.json)")


def _export_menu(self: bpy.types.Menu, context: bpy.types.Context) -> None:
    present(self.layout).operator(HGS_OT_export_cameras.bl_idname, text="Cameras (.json)")


def register() -> None:
    """Called when the extension is enabled."""
    for each in CLASSES:
        bpy.utils.register_class(each)
    bpy.types.VIEW3D_MT_camera_add.append(_add_menu)
    bpy.types.TOPBAR_MT_file_import.append(_import_menu)
    bpy.types.TOPBAR_MT_file_export.append(_export_menu)


def unregister() -> None:
    """Called when it is disabled."""
    bpy.types.TOPBAR_MT_file_export.remove(_export_menu)
    bpy.types.TOPBAR_MT_file_import.remove(_import_menu)
    bpy.types.VIEW3D_MT_camera_add.remove(_add_menu)
    for each in reversed(CLASSES):
        bpy.utils.unregister_class(each)
