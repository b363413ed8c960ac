"""NeRF's transforms.json: a folder for each scene, with all of its views.

Keys as instant-ngp and nerfstudio read them: ``transform_matrix`` is camera-to-world with OpenGL camera axes,
intrinsics are in pixels, paths are relative to the file. The world stays ours: right-handed, y up, the subject at the
origin; ``hgs_world`` says so, by which :mod:`hgs_toolkit.datasets.sources.transforms` leaves it as it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from hgs_toolkit.synthesis.annotations import AnnotatedView, Annotation, rows
from hgs_toolkit.synthesis.camera_entry import describe_camera
from hgs_toolkit.synthesis.containers import Put
from hgs_toolkit.synthesis.formats.base import DatasetFormat, json_bytes

if TYPE_CHECKING:
    from hgs_toolkit.synthesis.plan import SynthPlan

TRANSFORMS = "transforms.json"

NERFSTUDIO_KEYS = {"rgb": "file_path", "depth": "depth_file_path"}
"""Entries of a frame for files, where nerfstudio's differ from ``NAME_path``."""

TRANSLATED = ("camera", "depth_scale", "index", "seed", "view", "psi", "class")
"""Entries of a view's JSON that transforms.json says in its own keys, or once for the scene."""


def scene_folder(seed: int) -> str:
    """The folder of a scene."""
    return f"seed{seed:010d}"


def file_path(row: Annotation, number: int) -> str:
    """The file of a scene's view ``number``, relative to the scene's folder."""
    return row.suffix if row.per_scene else f"{row.name}/{number:05d}{PurePosixPath(row.suffix).suffix}"


class SceneWriter:
    """Scenes one after the other; see :class:`ShardWriter`."""

    def __init__(self, plan: SynthPlan, put: Put) -> None:
        self._plan, self._put = plan, put
        self._frames: list[dict[str, Any]] = []

    def add(self, view: AnnotatedView) -> None:
        """See :class:`ShardWriter`; a scene's transforms.json follows its last view."""
        planned, folder = view.planned, scene_folder(view.planned.seed)
        for row in rows(view.files):
            if not row.per_scene or planned.number == 0:
                self._put(f"{folder}/{file_path(row, planned.number)}", view.files[row.name])
        self._frames.append(self._frame(view))
        if len(self._frames) == self._plan.settings.views:
            self._put(f"{folder}/{TRANSFORMS}", json_bytes(self._scene(planned.seed)))
            self._frames = []

    def finish(self) -> None:
        """A shard has no file of its own."""

    def _frame(self, view: AnnotatedView) -> dict[str, Any]:
        camera = describe_camera(view.planned, self._plan.settings.size)
        frame: dict[str, Any] = {
            NERFSTUDIO_KEYS.get(row.name, f"{row.name}_path"): file_path(row, view.planned.number)
            for row in rows(view.files)
            if not row.per_scene
        }
        frame["transform_matrix"] = camera["cam_to_world_opengl"]
        frame |= {"fl_x": camera["fx"], "fl_y": camera["fy"], "cx": camera["cx"], "cy": camera["cy"]}
        return frame | {name: value for name, value in view.entries.items() if name not in TRANSLATED}

    def _scene(self, seed: int) -> dict[str, Any]:
        settings, first = self._plan.settings, self._frames[0]
        scene: dict[str, Any] = {
            "camera_model": "OPENCV", "w": settings.size, "h": settings.size,
            **{key: first[key] for key in ("fl_x", "fl_y", "cx", "cy")},
            "k1": 0.0, "k2": 0.0, "p1": 0.0, "p2": 0.0,
            "hgs_world": "y_up", "seed": seed, "psi": settings.psi,
        }  # fmt: skip
        if self._plan.classes:
            scene["class"] = self._plan.class_of(seed)
        if "depth" in settings.annotations:
            scene["depth_unit_scale_factor"] = 1 / self._plan.depth_scale
        return scene | {"frames": self._frames}


def scene_names(plan: SynthPlan, shard: int) -> Iterator[str]:
    """Files of a shard."""
    stored = [row for row in rows(plan.settings.annotations) if row.suffix]
    for scene in plan.scenes(shard):
        folder = scene_folder(plan.settings.seed + scene)
        for number in range(plan.settings.views):
            yield from (f"{folder}/{file_path(row, number)}" for row in stored if number == 0 or not row.per_scene)
        yield f"{folder}/{TRANSFORMS}"


FORMAT = DatasetFormat(
    suffix="",
    only=None,
    usual=("rgb", "camera"),
    transparent=True,
    writer=SceneWriter,
    names=scene_names,
)
