"""What is stored of a view: the table of annotations, and each as the bytes of a file.

Every function here depends on one view alone, and equal layers give equal bytes.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from hgs_toolkit.cameras import Cameras, convert_camera_axes, invert_rigid
from hgs_toolkit.datasets.images import Pixels, to_uint8
from hgs_toolkit.srgb import linear_to_srgb, srgb_to_linear
from hgs_toolkit.synthesis.drawing import Layer, Layers
from hgs_toolkit.synthesis.png import png_bytes
from hgs_toolkit.synthesis.settings import MAX_EXPOSURE
from hgs_toolkit.synthesis.views import View

if TYPE_CHECKING:
    from hgs_toolkit.synthesis.backgrounds import Pictures
    from hgs_toolkit.synthesis.plan import Plan

ANNOTATIONS = {
    "rgb": "the picture, 8 bits; with alpha (straight) where nothing stands behind the scene",
    "alpha": "coverage by the subject, 8 bits",
    "depth": "the camera's z, 16 bits, times the plan's depth_scale; 0 where nothing is",
    "normal": "unit normal n in the world as (n + 1) / 2, 8 bits; grey where nothing is",
    "level": "the hierarchy level that contributes most, plus 2; 1 is the background, 0 nothing",
    "mask": "255 where the subject covers at least half of the pixel",
    "bbox": "the mask's bounding box: left, top, width, height in pixels",
    "camera": "EG3D label, OpenCV and OpenGL matrices, intrinsics",
    "latent": "the style vector w, float32 .npy",
}
"""What can be stored of a view, by name."""

SUFFIXES = {"latent": "latent.npy"} | {
    name: f"{name}.png" for name in ("rgb", "alpha", "depth", "normal", "level", "mask")
}
"""Ends of file names of the annotations that are files; the others are entries of the view's JSON."""

FLAT = ("level", "mask")
"""Pictures of few different values."""

MASK_ALPHA = 0.5
"""Coverage from which on a pixel belongs to the subject."""

NOTHING, BACKGROUND = 0, 1
"""Values of a level picture that are no level of the tree; level l is 2 + l."""

Mask = NDArray[np.bool_]
Values = NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class Sample:
    """A finished view.

    Attributes:
        view: which.
        files: bytes by annotation.
        mask: (H, W) of the subject.
    """

    view: View
    files: dict[str, bytes]
    mask: Mask

    @property
    def box(self) -> tuple[int, int, int, int] | None:
        """Left, top, width and height of the mask, pixels; None where it is empty."""
        rows, columns = np.flatnonzero(self.mask.any(1)), np.flatnonzero(self.mask.any(0))
        if not len(rows):
            return None
        left, top = int(columns[0]), int(rows[0])
        return left, top, int(columns[-1]) - left + 1, int(rows[-1]) - top + 1


def make_sample(plan: Plan, view: View, layers: Layers, latent: Layer, pictures: Pictures | None) -> Sample:
    """The files of a view.

    Args:
        latent: the scene's style vector (w_dim,).
        pictures: those of the backdrop ``pictures``.
    """
    mask: Mask = layers.subject >= MASK_ALPHA
    images: dict[str, Callable[[], Any]] = {
        "rgb": lambda: compose(plan, view, layers, pictures),
        "alpha": lambda: _bytes(layers.subject),
        "depth": lambda: depth_picture(layers, plan.depth_scale),
        "normal": lambda: normal_picture(layers),
        "level": lambda: level_picture(layers),
        "mask": lambda: mask * np.uint8(255),
    }
    files = {
        name: png_bytes(images[name](), gradual=name not in FLAT)
        for name in plan.settings.annotations
        if name in images
    }
    if "latent" in plan.settings.annotations:
        files["latent"] = npy_bytes(latent)
    return Sample(view, files, mask)


def compose(plan: Plan, view: View, layers: Layers, pictures: Pictures | None) -> Pixels:
    """The picture (H, W, 3), or with straight alpha (H, W, 4), over its backdrop and exposed."""
    alpha = layers.alpha[..., None]
    if plan.backdrop == "transparent":
        straight = expose(layers.color / np.maximum(alpha, 1e-6), view.exposure)
        return _bytes(np.concatenate([straight, alpha], axis=-1))
    if plan.backdrop == "model":  # what it leaves open is black, as in its training
        return _bytes(expose(layers.color, view.exposure))
    behind: Any = view.color if plan.backdrop == "random" else plan.color
    if plan.backdrop == "pictures":
        assert pictures is not None
        behind = pictures.square(view.crop, plan.settings.size) / np.float32(255)
    color = layers.color + (1 - alpha) * np.asarray(behind, dtype=np.float32)
    return _bytes(expose(color, view.exposure))


def expose(color: Values, stops: float) -> Values:
    """Display RGB as a camera would record it with ``stops`` more light: multiplied in linear light, then clipped."""
    if stops == 0:
        return color
    assert abs(stops) <= MAX_EXPOSURE
    linear = srgb_to_linear(np.clip(color, 0, 1))
    return linear_to_srgb(np.clip(linear * 2.0**stops, 0, 1))


def depth_picture(layers: Layers, scale: int) -> NDArray[np.uint16]:
    """Depth (H, W) in steps of 1 / ``scale`` world units; 0 only where nothing is drawn."""
    assert layers.depth is not None
    steps = np.clip(np.rint(layers.depth * scale), 1, np.iinfo(np.uint16).max)
    return np.where(layers.alpha > 0, steps, 0).astype(np.uint16)


def normal_picture(layers: Layers) -> Pixels:
    """World normals (H, W, 3), normalised, as (n + 1) / 2 of 255; 128 where nothing is drawn."""
    assert layers.normal is not None
    normal = np.ascontiguousarray(layers.normal)
    length = np.sqrt(np.einsum("hwc,hwc->hw", normal, normal))
    return _bytes(normal * (0.5 / np.maximum(length, np.float32(1e-12)))[..., None] + np.float32(0.5))


def level_picture(layers: Layers) -> Pixels:
    """The strongest level of each pixel (H, W), plus 2; see NOTHING and BACKGROUND."""
    assert layers.level is not None
    most, strongest = layers.level[..., 0], np.full(layers.alpha.shape, BACKGROUND, np.uint8)
    for column in range(1, layers.level.shape[-1]):  # argmax over so short an axis takes several times as long
        stronger = layers.level[..., column] > most
        strongest[stronger] = BACKGROUND + column
        most = np.where(stronger, layers.level[..., column], most)
    strongest[layers.alpha <= 0] = NOTHING
    return strongest


def describe(plan: Plan, sample: Sample) -> dict[str, Any]:
    """The JSON of a view: provenance, and camera and bounding box where they are wanted."""
    view = sample.view
    facts: dict[str, Any] = {"index": view.index, "seed": view.seed, "view": view.number, "psi": plan.settings.psi}
    if plan.settings.exposure:
        facts["exposure"] = view.exposure
    if "camera" in plan.settings.annotations:
        facts["camera"] = describe_camera(view, plan.settings.size)
    if "depth" in plan.settings.annotations:
        facts["depth_scale"] = plan.depth_scale
    if "bbox" in plan.settings.annotations:
        facts["bbox"] = sample.box
    return facts


def describe_camera(view: View, size: int) -> dict[str, Any]:
    """A view's camera in every convention: matrices row by row, intrinsics in pixels, whose centres are at +0.5."""
    camera = Cameras.from_labels(torch.from_numpy(view.label.astype(np.float64)))
    K = camera.pixel_intrinsics(size, size)
    return {
        "eg3d_label": shortest(view.label),
        "cam_to_world_opencv": shortest(camera.cam_to_world.numpy()),
        "cam_to_world_opengl": shortest(convert_camera_axes(camera.cam_to_world, "opencv", "opengl").numpy()),
        "world_to_cam_opencv": shortest(invert_rigid(camera.cam_to_world).numpy()),
        "fx": float(K[0, 0]), "fy": float(K[1, 1]), "cx": float(K[0, 2]), "cy": float(K[1, 2]),
        "width": size, "height": size,
    }  # fmt: skip


def shortest(values: NDArray[np.floating]) -> Any:
    """Nested lists of the shortest decimals that give the same float32 numbers again; -0 becomes 0."""
    if values.ndim:
        return [shortest(value) for value in values]
    return float(str(np.float32(values) + np.float32(0)))


def npy_bytes(values: NDArray[Any]) -> bytes:
    """A .npy file."""
    buffer = io.BytesIO()
    np.save(buffer, values, allow_pickle=False)
    return buffer.getvalue()


def _bytes(values: Values) -> Pixels:
    """Values in 0..1, of any shape, as bytes: clamped and rounded."""
    scaled = values * np.float32(255)
    return to_uint8(np.clip(scaled, 0, 255, out=scaled))
