"""What is to be shown: photographs of one subject, their cameras, and where the subject is."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from hgs_toolkit.cameras import LABEL_SIZE, Cameras, frontal
from hgs_toolkit.datasets.sources.photographs import rotation_fault
from hgs_toolkit.devices import device_of
from hgs_toolkit.errors import DataError, ShapeError
from hgs_toolkit.imaging.images import Bytes, load_image, why_unreadable
from hgs_toolkit.model.generator import Generator
from hgs_toolkit.rendering import render

logger = logging.getLogger(__name__)

USUAL_FILL, LEAST_FILL = 0.9, 0.4
"""Largest share of a square's side that a subject is given, and the smallest."""

RIGID_TOLERANCE = 1e-2
"""Largest entry of |R R^T - 1| of a camera that is given."""

SHOWN = 128
"""Coverage, of 255, from which on a pixel is the subject's."""

MAX_PHOTOGRAPH_SIDE = 16384
"""Pixels a side; larger files are refused before they are decoded."""


@dataclass(frozen=True, eq=False)
class Target:
    """V photographs of one subject.

    Attributes:
        colors: (V, H, W, 3) display RGB in 0..1, multiplied by ``coverage`` where that is known.
        coverage: (V, H, W, 1) share of each pixel that the subject covers; None where nobody knows, and the whole
            image counts.
        cameras: (V,).
    """

    colors: Tensor
    coverage: Tensor | None
    cameras: Cameras

    def __post_init__(self) -> None:
        views, height, width = self.colors.shape[:3]
        if self.colors.ndim != 4 or self.colors.shape[3] != 3 or height != width or views != len(self.cameras):
            raise ShapeError(
                f"colours of shape {tuple(self.colors.shape)} and {len(self.cameras)} cameras; expected (V, H, H, 3) "
                "and V"
            )
        if self.coverage is not None and self.coverage.shape != (*self.colors.shape[:3], 1):
            raise ShapeError(f"coverage of shape {tuple(self.coverage.shape)}; expected {(views, height, width, 1)}")

    @property
    def resolution(self) -> int:
        """Height and width of the photographs."""
        return self.colors.shape[1]

    def over(self, background: Tensor) -> Tensor:
        """The photographs (V, H, W, 3) over a colour (3,); as they are where the coverage is not known."""
        if self.coverage is None:
            return self.colors
        return self.colors + background.to(self.colors) * (1 - self.coverage)

    def to(self, device: torch.device) -> Target:
        """The same photographs and cameras on another device."""
        coverage = None if self.coverage is None else self.coverage.to(device)
        return Target(self.colors.to(device), coverage, self.cameras.to(device))

    def seen_from(self, cameras: Cameras) -> Target:
        """The same photographs with other cameras (V,)."""
        return Target(self.colors, self.coverage, cameras)


def target_of_rgba(pixels: Tensor, cameras: Cameras) -> Target:
    """The target of images (V, H, W, 3 or 4) in 0..1; alpha is straight, as files have it."""
    if pixels.shape[-1] == 3:
        return Target(pixels, None, cameras)
    return Target(pixels[..., :3] * pixels[..., 3:], pixels[..., 3:], cameras)


def read_photograph(
    path: str | Path, resolution: int, mask: str | Path | None = None, fill: float | None = None
) -> tuple[Tensor, Tensor | None]:
    """An image as colours (H, H, 3) and coverage (H, H, 1) of ``resolution`` pixels.

    Coverage is the image's own alpha, times ``mask`` (white: the subject); None if it has neither. Where it is known,
    the square around the subject is taken, and reaches beyond the image if it must; else the middle square.

    Args:
        fill: share of the square that the subject's longer side takes; None takes the middle square, moved and widened
            only as far as the subject needs.

    Raises:
        DataError: if a file is too large, the mask has another size than the image, or no subject is shown.
        HgsError: if a file is no readable image.
    """
    pixels = _read(path)
    coverage = pixels[..., 3:] if pixels.shape[2] == 4 and pixels[..., 3].min() < 255 else None
    if mask is not None:
        shown = _white(_read(mask))
        if shown.shape[:2] != pixels.shape[:2]:
            raise DataError(
                f"the mask {mask} is {shown.shape[1]} x {shown.shape[0]}, the image {path} {pixels.shape[1]} x "
                f"{pixels.shape[0]}; expected the same size"
            )
        coverage = shown if coverage is None else (coverage.astype(np.float32) * shown / 255).astype(np.uint8)
    if coverage is None:
        square = middle_square(*pixels.shape[:2])
        _tell_crop(path, pixels, "its middle square", square)
        return _resized(pixels[..., :3], square, resolution), None
    if coverage.max() < SHOWN:
        what = f"the mask {mask}" if mask is not None else f"the alpha of {path}"
        raise DataError(f"{what} shows no subject (the largest value is {coverage.max()} of 255); expected white there")
    square = subject_square(coverage[..., 0], fill)
    _tell_crop(path, pixels, "the square around its subject", square)
    weight = coverage.astype(np.float32) / 255
    return _resized(pixels[..., :3] * weight, square, resolution), _resized(coverage, square, resolution)


def _white(mask: Bytes) -> Bytes:
    """How white each pixel (H, W, 1) of a mask (H, W, 3 or 4) is, 0..255, over black where it has alpha."""
    grey = mask[..., :3].mean(axis=2, keepdims=True)
    white = grey * mask[..., 3:] / 255 if mask.shape[2] == 4 else grey
    found: Bytes = white.round().astype(np.uint8)
    return found


class Square(NamedTuple):
    """A square part of an image, pixels; it may reach beyond the borders."""

    top: int
    left: int
    side: int


def subject_fill(model: Generator) -> float:
    """Share of an image's side that the longer side of the model's average scene takes, from the front."""
    with torch.no_grad():
        z, prior = torch.zeros(1, model.config.z_dim, device=device_of(model)), model.config.classes
        usual = torch.from_numpy(prior.table[[int(prior.probabilities.argmax())]]).to(z) if prior.size else None
        w = model.map(z, None, psi=0.0, classes=usual)
        scene = model.synthesize(w, background=False)
        camera = frontal(model.config.focal, model.config.poses.radius).to(device_of(model))
        size = model.config.resolution
        _, alpha = render(scene, camera, size, size)
    shown = alpha[0, 0, ..., 0] > 0.5
    if not shown.any():
        return USUAL_FILL
    spans = [shown.any(axis).nonzero() for axis in (0, 1)]
    share = max(int(span.max() - span.min()) + 1 for span in spans) / size
    return min(max(share, LEAST_FILL), USUAL_FILL)


def middle_square(height: int, width: int) -> Square:
    """The largest square in the middle of an image."""
    side = min(height, width)
    return Square((height - side) // 2, (width - side) // 2, side)


def subject_square(coverage: Bytes, fill: float | None) -> Square:
    """The square around what ``coverage`` (H, W) of 0..255 shows at least half; see :func:`read_photograph`."""
    middle, shown = middle_square(*coverage.shape), coverage >= SHOWN
    spans = [np.flatnonzero(shown.any(axis))[[0, -1]] + [0, 1] for axis in (1, 0)]  # rows, columns: first, after last
    longest = int(max(end - start for start, end in spans))
    if fill is not None:
        side = max(1, round(longest / fill))
        top, left = (int(start + end - side) // 2 for start, end in spans)
        return Square(top, left, side)
    side = max(middle.side, longest)
    corners: list[int] = []
    for (start, end), size in zip(spans, coverage.shape, strict=True):
        corner = (size - side) // 2
        corners.append(int(min(max(corner, end - side), start)))
    return Square(corners[0], corners[1], side)


def read_camera(path: str | Path) -> Cameras:
    """The camera (1,) of a JSON file: {"label": [25 numbers]}, an EG3D label (camera-to-world, then intrinsics).

    Raises:
        DataError: if the file holds something else.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"cannot read the camera {path}: {error}") from error
    label = content.get("label") if isinstance(content, dict) else None
    if not isinstance(label, list) or len(label) != LABEL_SIZE or not all(_is_number(value) for value in label):
        raise DataError(f'{path} is no camera; expected {{"label": [{LABEL_SIZE} numbers]}}, as metrics.json has one')
    camera = Cameras.from_labels(torch.tensor([label], dtype=torch.float32))
    _refuse_bent(camera, path)
    return camera


def _refuse_bent(camera: Cameras, path: str | Path) -> None:
    """Raise a DataError if a camera (1,) does not stand upright on its own axes, or its lens sees nothing."""
    rotation, lens = camera.cam_to_world[0, :3, :3].double().numpy(), camera.intrinsics[0]
    if fault := rotation_fault(rotation, RIGID_TOLERANCE):
        raise DataError(f"the camera {path} has {fault}")
    if not min(lens[0, 0], lens[1, 1]) > 0:
        raise DataError(
            f"the camera {path} has the focal lengths {lens[0, 0]:g} and {lens[1, 1]:g}; expected more than 0"
        )


def _read(path: str | Path) -> Bytes:
    try:
        with Image.open(path) as image:
            width, height = image.size
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(why_unreadable(path, error)) from error
    if max(width, height) > MAX_PHOTOGRAPH_SIDE:
        raise DataError(f"{path} is {width} x {height}; expected at most {MAX_PHOTOGRAPH_SIDE} pixels a side")
    return load_image(path)


def _tell_crop(path: str | Path, pixels: Bytes, part: str, square: Square) -> None:
    height, width = pixels.shape[:2]
    if square != (0, 0, max(height, width)):
        logger.info("%s is %d x %d: %s is used (%d pixels)", path, width, height, part, square.side)


def _resized(values: Bytes | np.ndarray, square: Square, resolution: int) -> Tensor:
    """(h, w, C) of 0..255 as the part ``square`` (resolution, resolution, C) of 0..1; 0 beyond the borders.

    Only what lies within the image is resampled, so that a square far larger than the image needs no memory.
    """
    ranges = []
    for start, length in zip(square[:2], values.shape[:2], strict=True):
        first, last = max(start, 0), min(start + square.side, length)  # within the image
        places = [round((edge - start) * resolution / square.side) for edge in (first, last)]  # within the square
        ranges.append((slice(first, last), slice(places[0], max(places[1], places[0] + 1))))
    (rows, to_rows), (columns, to_columns) = ranges
    inside = torch.from_numpy(np.ascontiguousarray(values[rows, columns], dtype=np.float32))
    channels = inside.movedim(2, 0)[None] / 255  # (1, C, h, w)
    size = (to_rows.stop - to_rows.start, to_columns.stop - to_columns.start)
    if channels.shape[2:] != size:
        channels = torch.nn.functional.interpolate(
            channels, size=size, mode="bilinear", align_corners=False, antialias=True
        )
    found = torch.zeros(resolution, resolution, values.shape[2])
    found[to_rows, to_columns] = channels[0].movedim(0, 2)
    return found


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e30
