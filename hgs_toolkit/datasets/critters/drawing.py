"""Critters: the built-in demo set of procedural animal heads, with exact ground truth from any camera.

A critter is a function of (seed, index) alone: one Philox key draws its anatomy, its coat and its camera, so any image
can be made on its own, in any order, by any number of processes. Cameras that go behind a critter find a back there;
its front is the same with and without one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import trimesh

from hgs_toolkit.cameras import from_yaw_pitch
from hgs_toolkit.datasets.critters.anatomy import EAR_KINDS, HAT_KINDS, PART_NAMES, grow
from hgs_toolkit.datasets.critters.back import add_back
from hgs_toolkit.datasets.critters.coat import Coat, dress
from hgs_toolkit.datasets.critters.prior import DEMO, POSES, CritterPrior
from hgs_toolkit.datasets.critters.raycast import Array, Ellipsoids, Hits, Values, cast, projected_boxes
from hgs_toolkit.datasets.eg3d import OnProgress
from hgs_toolkit.datasets.images import Pixels, to_uint8
from hgs_toolkit.datasets.make import ClassesOf, check_request, make_dataset
from hgs_toolkit.datasets.scene_prior import VIEW_KEY, brightness, draw_camera, generator
from hgs_toolkit.errors import ShapeError

__all__ = ["POSES", "Critter", "CritterPrior", "Rendering", "critter", "critter_image", "make_critters"]

FRAME_FILL = 0.475
"""Half of the image's side that the critter may fill from any camera of the prior."""

BACK_KEY = 1 << 62
"""Offset of the random keys that draw the backs of critters."""


CLASS_NAMES = EAR_KINDS + HAT_KINDS
"""Names of a critter's attributes: one kind of ears, and one kind of hat or none."""


@dataclass(frozen=True)
class Rendering:
    """An image and its ground truth; every pixel averages the image points that hit.

    Attributes:
        rgb: (H, W, 3) float32 sRGB in [0, 1], not multiplied by alpha; 0 where nothing is hit.
        alpha: (H, W) float32 share of the pixel that is covered.
        depth: (H, W) float32 camera z, world units; 0 where nothing is hit.
        normal: (H, W, 3) float32 unit outward normals in the world; 0 where nothing is hit.
        part: (H, W) uint8 index into PART_NAMES of the pixel's nearest point; 0 is the background.
    """

    rgb: npt.NDArray[np.float32]
    alpha: npt.NDArray[np.float32]
    depth: npt.NDArray[np.float32]
    normal: npt.NDArray[np.float32]
    part: Pixels

    @property
    def rgba(self) -> Pixels:
        """(H, W, 4) uint8 with straight alpha, as a PNG file stores it."""
        return to_uint8(np.concatenate([self.rgb, self.alpha[..., None]], axis=-1) * 255)


@dataclass(frozen=True)
class Critter:
    """One animal: its ellipsoids in the world (EG3D frame, inside [-0.8, 0.8]^3), its colours and its own camera.

    Attributes:
        solids: K ellipsoids, world units.
        parts: (K,) index of each into PART_NAMES.
        coat: colours.
        scale, shift: world = scale * head units + shift, shift (3,).
        label: (25,) float32 camera of the training image.
    """

    solids: Ellipsoids
    parts: Pixels
    coat: Coat
    scale: float
    shift: Array
    label: npt.NDArray[np.float32]

    def render(self, camera_label: npt.ArrayLike, resolution: int, samples: int = 2) -> Rendering:
        """The image (resolution x resolution) of an EG3D camera label (25,), ``samples``^2 points a pixel."""
        label = np.asarray(camera_label, dtype=np.float64)
        if label.shape != (25,) or resolution < 1 or samples < 1:
            raise ShapeError(
                f"label {label.shape}, resolution {resolution}, samples {samples}; expected (25,), >= 1, >= 1"
            )
        hits = cast(self.solids, label[:16].reshape(4, 4), label[16:].reshape(3, 3), resolution * samples)
        color = self.coat.color(hits.row, hits.local, self._place(hits.points))
        return _resolve(hits, color * self._light(hits.points, hits.normals), self.parts[hits.row], resolution, samples)

    def mesh(self, subdivisions: int = 3) -> trimesh.Trimesh:
        """The ellipsoids as one mesh with unlit vertex colours; they overlap, nothing is merged."""
        sphere = trimesh.creation.icosphere(subdivisions=subdivisions)
        local = np.asarray(sphere.vertices, dtype=np.float32)
        count, vertices = len(self.solids), len(local)
        shape = self.solids.rotations * self.solids.radii[:, None, :]
        points = (local @ shape.transpose(0, 2, 1) + self.solids.centers[:, None]).reshape(-1, 3)
        faces = (np.asarray(sphere.faces) + np.arange(count)[:, None, None] * vertices).reshape(-1, 3)
        rows = np.repeat(np.arange(count), vertices)
        color = self.coat.color(rows, np.tile(local, (count, 1)), self._place(points))
        return trimesh.Trimesh(points, faces, vertex_colors=to_uint8(color * 255), process=False)

    def _place(self, points: npt.NDArray[np.floating]) -> Values:
        """World points (n, 3) in head units."""
        return ((points - self.shift) / self.scale).astype(np.float32)

    def _light(self, points: Values, normals: Values) -> Values:
        """Light (n, 3): the set's own, and the shade of the head on what is below it."""
        from_skull = points - self.solids.centers[0].astype(np.float32)
        distance = np.sqrt((from_skull**2).sum(axis=1)) + 1e-9
        facing = np.maximum(-(normals * from_skull).sum(axis=1) / distance, 0)
        shade = 1 - 0.55 * facing * np.minimum((float(self.solids.radii[0].mean()) / distance) ** 2, 1)
        light: Values = brightness(normals) * shade[:, None]
        return light


def critter(seed: int, index: int, prior: CritterPrior = DEMO) -> Critter:
    """The critter number ``index`` of the set ``seed`` (both 0 ... 2^61 - 1), under the first of its cameras."""
    rng = generator(seed, index)
    label = draw_camera(prior.poses, rng)
    anatomy = grow(rng)
    back = add_back(anatomy, generator(seed, BACK_KEY + index)) if prior.has_back else None
    coat = replace(dress(anatomy, rng), back=back)
    solids, scale, shift = _fit(anatomy.solids(), prior)
    parts = np.array([PART_NAMES.index(name) for name in anatomy.names], dtype=np.uint8)
    return Critter(solids, parts, coat, scale, shift, label)


def critter_image(
    seed: int, index: int, resolution: int, prior: CritterPrior = DEMO
) -> tuple[Pixels, npt.NDArray[np.float32]]:  # fmt: skip
    """Training image number ``index``, (H, W, 4) uint8 with straight alpha, and its label (25,)."""
    number, view = divmod(index, prior.views)
    subject = critter(seed, number, prior)
    label = subject.label if view == 0 else draw_camera(prior.poses, generator(seed, VIEW_KEY + index))
    return subject.render(label, resolution).rgba, label


def critter_class(seed: int, index: int, prior: CritterPrior = DEMO) -> list[int]:
    """The class vector of training image ``index``: 1 at the name of its ears and, with a hat, at that of its hat."""
    rng = generator(seed, index // prior.views)
    draw_camera(prior.poses, rng)  # the numbers before those of the anatomy
    anatomy = grow(rng)
    return [int(name in (anatomy.ears, anatomy.hat)) for name in CLASS_NAMES]


def make_critters(
    path: str | Path, count: int, resolution: int, *, seed: int = 0, prior: CritterPrior | None = None,
    workers: int = 1, force: bool = False, progress: OnProgress | None = None,
) -> None:  # fmt: skip
    """Write ``count`` images of critters, ``resolution`` x ``resolution`` pixels with alpha; see make_dataset."""
    check_request(resolution, seed)
    prior = prior or DEMO
    draw = partial(critter_image, seed, resolution=resolution, prior=prior)
    kinds = ClassesOf(CLASS_NAMES, partial(critter_class, seed, prior=prior)) if prior.classes else None
    make_dataset(draw, count, path, workers=workers, force=force, progress=progress, facts=prior.facts, classes=kinds)


def _fit(solids: Ellipsoids, prior: CritterPrior) -> tuple[Ellipsoids, float, Array]:
    """Scale and shift that centre the critter and let it fill the frame, uncut, from every camera of the prior."""
    poses, cameras = prior.poses, _outermost_cameras(prior)
    scale, shift = 1.0, np.zeros(3)
    if prior.has_back:
        low, high = solids.bounds()
        shift = np.array([0.0, 0.0, -(low[2] + high[2]) / 2])  # a turn around it should not swing it to and fro
    for _ in range(3):
        placed = solids.moved(scale, shift)
        boxes = projected_boxes(placed, cameras)
        top, bottom = boxes[..., 2].min(), boxes[..., 3].max()
        largest = max(np.abs(boxes[..., :2]).max(), (bottom - top) / 2)
        factor = FRAME_FILL / poses.focal / largest
        shift = (shift + np.array([0, (top + bottom) / 2 * poses.radius, 0])) * factor
        scale *= factor
    return solids.moved(scale, shift), scale, shift


@lru_cache(maxsize=8)
def _outermost_cameras(prior: CritterPrior) -> Array:
    """Camera-to-world matrices (n, 4, 4) at the limits and the centre of the pose prior; all around where it goes."""
    poses = prior.poses
    yaw, pitch = (
        torch.linspace(mean - limit, mean + limit, count, dtype=torch.float64)
        for mean, limit, count in (
            (poses.yaw_mean, poses.yaw_limit, 13 if prior.has_back else 3),
            (poses.pitch_mean, poses.pitch_limit, 3),
        )
    )
    cameras = from_yaw_pitch(yaw.repeat_interleave(3), pitch.repeat(len(yaw)), poses.radius, poses.focal)
    matrices: Array = cameras.cam_to_world.numpy()
    return matrices


def _resolve(hits: Hits, color: Values, part: Pixels, resolution: int, samples: int) -> Rendering:
    """Averages of the image points' values over the pixels."""
    side, area = resolution * samples, resolution * resolution
    pixel = hits.pixel // side // samples * resolution + hits.pixel % side // samples
    count = np.bincount(pixel, minlength=area)

    def mean(values: Values) -> Values:
        total = np.bincount(pixel, values, minlength=area) / np.maximum(count, 1)
        return total.astype(np.float32).reshape(resolution, resolution)

    normal = np.stack([mean(axis) for axis in hits.normals.T], axis=-1)
    normal /= np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-12)
    nearest = np.zeros(area, dtype=np.uint8)
    far_first = np.argsort(-hits.depth, kind="stable")
    nearest[pixel[far_first]] = part[far_first]
    return Rendering(
        rgb=np.stack([mean(channel) for channel in np.clip(color, 0, 1).T], axis=-1),
        alpha=(count / samples**2).astype(np.float32).reshape(resolution, resolution),
        depth=mean(hits.depth),
        normal=normal,
        part=nearest.reshape(resolution, resolution),
    )
