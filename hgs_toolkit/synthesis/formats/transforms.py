"""NeRF's transforms.json: a folder for each scene, with all of its views.

Keys as instant-ngp and nerfstudio read them: ``transform_matrix`` is camera-to-world with OpenGL camera axes,
intrinsics are in pixels, paths are relative to the file. The world stays ours: right-handed, y up.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from hgs_toolkit.synthesis.annotations import ANNOTATIONS, SUFFIXES, Sample, describe_camera
from hgs_toolkit.synthesis.containers import Put
from hgs_toolkit.synthesis.formats.base import Format, json_bytes

if TYPE_CHECKING:
    from hgs_toolkit.synthesis.plan import Plan

TRANSFORMS = "transforms.json"
LATENT = "latent.npy"

PATH_KEYS = {
    "rgb": "file_path",
    "alpha": "alpha_path",
    "depth": "depth_file_path",
    "normal": "normal_path",
    "level": "level_path",
    "mask": "mask_path",
}
"""A frame's entries for pictures; those of nerfstudio where it has one."""


def scene_folder(seed: int) -> str:
    """The folder of a scene."""
    return f"seed{seed:010d}"


def picture_path(annotation: str, number: int) -> str:
    """A view's picture, relative to the scene's folder."""
    return f"{annotation}/{number:05d}.png"


class SceneWriter:
    """Scenes one after the other; see :class:`ShardWriter`."""

    def __init__(self, plan: Plan, put: Put) -> None:
        self._plan, self._put = plan, put
        self._frames: list[dict[str, Any]] = []

    def add(self, sample: Sample) -> None:
        """See :class:`ShardWriter`; a scene's transforms.json follows its last view."""
        view, folder = sample.view, scene_folder(sample.view.seed)
        paths = {name: picture_path(name, view.number) for name in sample.files if name in PATH_KEYS}
        for name, path in paths.items():
            self._put(f"{folder}/{path}", sample.files[name])
        if "latent" in sample.files and view.number == 0:
            self._put(f"{folder}/{LATENT}", sample.files["latent"])
        self._frames.append(self._frame(sample, paths))
        if len(self._frames) == self._plan.settings.views:
            self._put(f"{folder}/{TRANSFORMS}", json_bytes(self._scene(view.seed)))
            self._frames = []

    def finish(self) -> None:
        """Nothing is left to say."""

    def _frame(self, sample: Sample, paths: dict[str, str]) -> dict[str, Any]:
        camera = describe_camera(sample.view, self._plan.settings.size)
        frame: dict[str, Any] = {PATH_KEYS[name]: path for name, path in paths.items()}
        frame["transform_matrix"] = camera["cam_to_world_opengl"]
        frame |= {"fl_x": camera["fx"], "fl_y": camera["fy"], "cx": camera["cx"], "cy": camera["cy"]}
        if "bbox" in self._plan.settings.annotations:
            frame["bbox"] = sample.box
        return frame

    def _scene(self, seed: int) -> dict[str, Any]:
        settings, first = self._plan.settings, self._frames[0]
        scene: dict[str, Any] = {
            "camera_model": "OPENCV", "w": settings.size, "h": settings.size,
            **{key: first[key] for key in ("fl_x", "fl_y", "cx", "cy")},
            "k1": 0.0, "k2": 0.0, "p1": 0.0, "p2": 0.0,
            "seed": seed, "psi": settings.psi,
        }  # fmt: skip
        if "depth" in settings.annotations:
            scene["depth_unit_scale_factor"] = 1 / self._plan.depth_scale
        return scene | {"frames": self._frames}


def scene_names(plan: Plan, shard: int) -> Iterator[str]:
    """Files of a shard."""
    pictures = [name for name in plan.settings.annotations if name in PATH_KEYS]
    for scene in plan.scenes(shard):
        folder = scene_folder(plan.settings.seed + scene)
        for number in range(plan.settings.views):
            yield from (f"{folder}/{picture_path(name, number)}" for name in pictures)
        if "latent" in plan.settings.annotations:
            yield f"{folder}/{LATENT}"
        yield f"{folder}/{TRANSFORMS}"


FORMAT = Format(
    suffix="",
    annotations=tuple(ANNOTATIONS),
    usual=("rgb", "camera"),
    transparent=True,
    writer=SceneWriter,
    names=scene_names,
)

assert PATH_KEYS.keys() | {"latent"} == SUFFIXES.keys(), "every stored picture has its entry"
