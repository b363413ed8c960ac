# SPDX-License-Identifier: GPL-3.0-or-later
"""How a camera of Blender exposes an image: through which points of its lens, at which moments."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from bpy.types import Camera, CameraDOFSettings, Depsgraph, Object, Scene
from mathutils import Vector

from ..core.exposures import Aperture, lens_points, moments
from ..core.splats import Array
from ..typed import present
from .exact_settings import exact_settings

LEAST = 1e-5
"""Smallest aperture number and focus distance."""


class Exposure(NamedTuple):
    """One of the images that are averaged: when, and through which point of the lens (None: its centre)."""

    frame: float
    point: Array | None = None
    focus: float = 1.0


def sharp_exposure(scene: Scene) -> Exposure:
    """That of a pinhole at the frame itself."""
    return Exposure(scene.frame_current_final)


def exposures(scene: Scene, depsgraph: Depsgraph) -> list[Exposure]:
    """The images whose average has the camera's depth of field and the scene's motion blur; one without either."""
    aperture = aperture_of(present(scene.camera).evaluated_get(depsgraph))
    blurred = scene.render.use_motion_blur and scene.render.motion_blur_shutter > 0
    if aperture is None and not blurred:
        return [sharp_exposure(scene)]
    count = exact_settings(scene).samples
    frames = np.full(count, scene.frame_current_final)
    if blurred:
        render = scene.render
        frames = moments(scene.frame_current_final, render.motion_blur_shutter, render.motion_blur_position, count)
    if aperture is None:
        return [Exposure(frame) for frame in frames.tolist()]
    points = lens_points(aperture, count)
    return [Exposure(frame, point, aperture.focus) for frame, point in zip(frames.tolist(), points, strict=True)]


def aperture_of(camera: Object) -> Aperture | None:
    """The opening of an evaluated camera's lens, as Cycles has it; None if everything is sharp."""
    data = camera.data
    if not isinstance(data, Camera) or not (dof := present(data.dof)).use_dof:
        return None
    stop = max(dof.aperture_fstop, LEAST)
    radius = 1 / (2 * stop) if data.type == "ORTHO" else data.lens * 1e-3 / (2 * stop)
    focus = max(_focus(camera, dof), LEAST)
    return Aperture(radius, focus, dof.aperture_blades, dof.aperture_rotation, dof.aperture_ratio)


def _focus(camera: Object, dof: CameraDOFSettings) -> float:
    """Depth, along the camera's axis, of what is sharp."""
    target = dof.focus_object
    if target is None:
        return dof.focus_distance
    place = target.matrix_world
    bone = target.pose.bones.get(dof.focus_subtarget) if target.pose is not None else None
    if bone is not None:
        place = place @ bone.matrix
    away: Vector = place.translation - camera.matrix_world.translation
    return math.fabs(away.dot(camera.matrix_world.col[2].to_3d().normalized()))


class Average:
    """The mean of images, and of the objects' shares in them.

    Objects that some images lack, because they came later, have no share in those.
    """

    def __init__(self) -> None:
        self._colors: Array | None = None
        self._shares: Array | None = None
        self._count = 0

    def add(self, colors: Array, shares: Array | None) -> None:
        """Take in an image (H, W, 4) and, where they are wanted, shares (H, W, K) of objects."""
        self._colors = colors.astype(np.float64) if self._colors is None else self._colors + colors
        self._count += 1
        if shares is not None:
            before = np.zeros_like(shares) if self._shares is None else self._shares
            more = np.zeros((*shares.shape[:2], shares.shape[2] - before.shape[2]), shares.dtype)
            self._shares = np.concatenate([before, more], -1) + shares

    @property
    def colors(self) -> Array:
        """(H, W, 4)."""
        return present(self._colors) / self._count

    @property
    def shares(self) -> Array | None:
        """(H, W, K), if any were given."""
        return None if self._shares is None else self._shares / self._count
