"""The table of annotations: what can be stored of a view, and how each becomes the bytes of a file or a JSON entry.

A new annotation is one row of ANNOTATIONS: formats, checks and the command line read everything from the table. Each
row depends on one view alone, and equal layers give equal bytes.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hgs_toolkit.synthesis import annotation_images as images
from hgs_toolkit.synthesis.png import png_bytes

if TYPE_CHECKING:
    from hgs_toolkit.synthesis.background_images import BackgroundImages
    from hgs_toolkit.synthesis.drawing import Layer, Layers
    from hgs_toolkit.synthesis.plan import SynthPlan
    from hgs_toolkit.synthesis.views import PlannedView

MASK_ALPHA = 0.5
"""Smallest coverage of a pixel that belongs to the subject."""

Mask = NDArray[np.bool_]
Box = tuple[int, int, int, int]


@dataclass(frozen=True, eq=False)
class DrawnView:
    """A view after the rasteriser: what an annotation is made from.

    Attributes:
        plan: of the dataset.
        planned: which view it is.
        layers: of its pixels.
        latent: (w_dim,) style vector of its scene.
        backgrounds: images to put behind it, where the plan's background is ``pictures``.
    """

    plan: SynthPlan
    planned: PlannedView
    layers: Layers
    latent: Layer
    backgrounds: BackgroundImages | None

    @cached_property
    def mask(self) -> Mask:
        """(H, W), true where the subject covers at least half of the pixel."""
        mask: Mask = self.layers.subject >= MASK_ALPHA
        return mask

    @cached_property
    def box(self) -> Box | None:
        """Left, top, width and height of the mask, pixels; None where it is empty."""
        rows, columns = np.flatnonzero(self.mask.any(1)), np.flatnonzero(self.mask.any(0))
        if not len(rows):
            return None
        left, top = int(columns[0]), int(rows[0])
        return left, top, int(columns[-1]) - left + 1, int(rows[-1]) - top + 1


@dataclass(frozen=True)
class Annotation:
    """One row of the table.

    Attributes:
        name: what ``--annotations`` calls it.
        meaning: one line about its content.
        suffix: end of its file's name after the view's number; empty for an entry of the view's JSON.
        layers: what the rasteriser draws for it beyond colour and alpha: ``depth``, ``normal``, ``level``.
        encode: a view's file, as bytes; without a suffix, the value of the JSON entry ``name``.
        entries: further JSON entries that a reader of the file needs.
        per_scene: whether all views of a scene have the same.
    """

    name: str
    meaning: str
    suffix: str
    layers: tuple[str, ...]
    encode: Callable[[DrawnView], Any]
    entries: Callable[[SynthPlan], dict[str, Any]] = lambda _: {}
    per_scene: bool = False


@dataclass(frozen=True, eq=False)
class AnnotatedView:
    """A finished view.

    Attributes:
        planned: which view it is.
        files: bytes by annotation.
        entries: values of its JSON, by name.
        mask: (H, W) of the subject.
        box: of the mask.
    """

    planned: PlannedView
    files: dict[str, bytes]
    entries: dict[str, Any]
    mask: Mask
    box: Box | None


def annotate(view: DrawnView) -> AnnotatedView:
    """Every annotation that the plan wants of a view."""
    files: dict[str, bytes] = {}
    entries = _provenance(view)
    for row in rows(view.plan.settings.annotations):
        value = row.encode(view)
        if row.suffix:
            files[row.name] = value
        else:
            entries[row.name] = value
        entries |= row.entries(view.plan)
    return AnnotatedView(view.planned, files, entries, view.mask, view.box)


def rows(names: Iterable[str]) -> list[Annotation]:
    """The rows called ``names``."""
    return [ANNOTATIONS[name] for name in names]


def _provenance(view: DrawnView) -> dict[str, Any]:
    planned, settings = view.planned, view.plan.settings
    facts = {"index": planned.index, "seed": planned.seed, "view": planned.number, "psi": settings.psi}
    kind = {"class": view.plan.class_of(planned.seed)} if view.plan.classes else {}
    return facts | kind | ({"exposure": planned.exposure} if settings.exposure else {})


def _composed(view: DrawnView) -> bytes:
    image = images.compose(view.plan, view.planned, view.layers, view.backgrounds)
    return png_bytes(image, gradual=True)


def _camera(view: DrawnView) -> dict[str, Any]:
    from hgs_toolkit.synthesis.camera_entry import describe_camera  # needs torch, which the table itself does not

    return describe_camera(view.planned, view.plan.settings.size)


def _npy_bytes(values: NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, values, allow_pickle=False)
    return buffer.getvalue()


ANNOTATIONS: dict[str, Annotation] = {
    row.name: row
    for row in (
        Annotation(
            "rgb", "the image, 8 bits; with straight alpha where nothing is behind the scene",
            "rgb.png", (), _composed,
        ),
        Annotation(
            "alpha", "coverage by the subject, 8 bits",
            "alpha.png", (), lambda view: png_bytes(images.to_bytes(view.layers.subject), gradual=True),
        ),
        Annotation(
            "depth", "camera z in world units times depth_scale, 16 bits; 0 where nothing is drawn",
            "depth.png", ("depth",),
            lambda view: png_bytes(images.depth_image(view.layers, view.plan.depth_scale), gradual=True),
            lambda plan: {"depth_scale": plan.depth_scale},
        ),
        Annotation(
            "normal", "world normal n as (n + 1) / 2, 8 bits; grey where nothing is drawn",
            "normal.png", ("normal",), lambda view: png_bytes(images.normal_image(view.layers), gradual=True),
        ),
        Annotation(
            "level", "hierarchy level that contributes most, plus 2; 1 is the background, 0 nothing",
            "level.png", ("level",), lambda view: png_bytes(images.level_image(view.layers), gradual=False),
        ),
        Annotation(
            "mask", "255 where the subject covers at least half of the pixel",
            "mask.png", (), lambda view: png_bytes(view.mask * np.uint8(255), gradual=False),
        ),
        Annotation("bbox", "bounding box of the mask: left, top, width, height, pixels", "", (), lambda view: view.box),
        Annotation("camera", "EG3D label, OpenCV and OpenGL matrices, intrinsics", "", (), _camera),
        Annotation(
            "latent", "style vector w after truncation, float32",
            "latent.npy", (), lambda view: _npy_bytes(view.latent), per_scene=True,
        ),
    )
}  # fmt: skip
"""The annotations by name, in the order in which they are stored."""
