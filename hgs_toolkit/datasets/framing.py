"""Cutting a square out of a photograph: lens distortion, crop, size, and what lies behind transparent pixels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy.ndimage import map_coordinates

from hgs_toolkit.datasets.images import Pixels, to_uint8
from hgs_toolkit.datasets.sources.photographs import Lens, Matrix
from hgs_toolkit.errors import DataError

CROPS = ("principal", "center", "pad")

ROWS_AT_ONCE = 256
"""Rows that are undistorted in one step, which bounds the memory."""

EDGE = 2.0
"""Pixels by which the photograph's border is continued, so that resampling at its edge finds no hole."""

BISECTIONS = 20

MOST_STRETCHED = 8.0
"""Ratio of the focal lengths of the two axes beyond which they are no lens's."""


@dataclass(frozen=True)
class Square:
    """A rectangle of a photograph that shows a square piece of the image plane.

    Where pixels are not square it is not square in pixels either; the image made of it has one focal length.

    Attributes:
        left, top, width, height: pixels; beyond the photograph's edges with the crop ``pad``.
    """

    left: float
    top: float
    width: float
    height: float

    def intrinsics(self, lens: Lens) -> Matrix:
        """Normalised intrinsics (3, 3) of the cut-out."""
        return np.array(
            [
                [lens.fx / self.width, 0, (lens.cx - self.left) / self.width],
                [0, lens.fy / self.height, (lens.cy - self.top) / self.height],
                [0, 0, 1],
            ]
        )


def choose_square(lens: Lens, crop: str, name: str) -> Square:
    """The part of a photograph that is kept.

    Args:
        lens: in pixels of the photograph as it is stored.
        crop: ``principal``: the largest square around the principal point; ``center``: around the middle of the image;
            ``pad``: the smallest that contains the image.
        name: of the photograph, for errors.

    Raises:
        DataError: if the lens folds the image over itself, or its focal lengths are too different.
    """
    aspect = lens.fx / lens.fy  # pixel columns to a pixel row of the same length
    if not 1 / MOST_STRETCHED <= aspect <= MOST_STRETCHED:
        raise DataError(
            f"{name} has focal lengths of {lens.fx:g} and {lens.fy:g} pixels; expected none more than "
            f"{MOST_STRETCHED:g} times the other"
        )
    x, y = (lens.cx, lens.cy) if crop == "principal" else (lens.width / 2, lens.height / 2)
    extents = (x / aspect, (lens.width - x) / aspect, y, lens.height - y)
    half = max(extents) if crop == "pad" else min(extents)
    square = Square(x - half * aspect, y - half, 2 * half * aspect, 2 * half)
    if lens.is_pinhole:
        return square
    _refuse_folds(lens, name)
    return square if crop == "pad" else _shrink_into(square, lens)


def cut(image: Image.Image, lens: Lens, square: Square, size: int) -> Pixels:
    """The square as ``size`` x ``size`` pixels (H, W, 3 | 4); beyond the image is nothing: black, transparent."""
    if not lens.is_pinhole:
        image = Image.fromarray(undistort(np.asarray(image), lens))
    left, top, right, bottom = square.left, square.top, square.left + square.width, square.top + square.height
    across, along = (
        max(0, int(np.ceil(max(-low, high - side) - 1e-6)))
        for low, high, side in ((left, right, image.width), (top, bottom, image.height))
    )
    if across or along:
        wider = Image.new(image.mode, (image.width + 2 * across, image.height + 2 * along))
        wider.paste(image, (across, along))
        image = wider
    box = np.array([left, top, right, bottom]) + [across, along] * 2
    box = np.clip(box, 0, [image.width, image.height] * 2)
    box = np.where(np.abs(box - box.round()) < 1e-6, box.round(), box)  # a whole image of the right size is copied
    # Pillow weights colours by alpha, and widens the filter where it makes images smaller.
    left, top, right, bottom = box.tolist()
    return np.asarray(image.resize((size, size), Image.Resampling.BICUBIC, (left, top, right, bottom)))


def undistort(pixels: Pixels, lens: Lens) -> Pixels:
    """The photograph (H, W, 3 | 4) as a pinhole with the same focal lengths and centre would have taken it."""
    height, width, channels = pixels.shape
    source = pixels.astype(np.float32)
    if channels == 4:
        source[..., :3] *= source[..., 3:] / 255  # nothing bleeds out of transparent pixels
    result = np.empty_like(source)
    for top in range(0, height, ROWS_AT_ONCE):
        rows = slice(top, min(top + ROWS_AT_ONCE, height))
        v, u = np.mgrid[rows, 0:width].astype(np.float32) + np.float32(0.5)
        bent_u, bent_v = distort(u, v, lens)
        places = np.stack([bent_v, bent_u]) - 0.5
        inside = (bent_u > -EDGE) & (bent_u < width + EDGE) & (bent_v > -EDGE) & (bent_v < height + EDGE)
        for channel in range(channels):
            values = map_coordinates(source[..., channel], places, order=1, mode="nearest")
            result[rows, :, channel] = values * inside
    if channels == 4:
        result[..., :3] *= 255 / np.maximum(result[..., 3:], 1e-3)
    return to_uint8(np.clip(result, 0, 255))


def distort(u: Matrix, v: Matrix, lens: Lens) -> tuple[Matrix, Matrix]:
    """Where the pinhole's image points ``u``, ``v`` (pixels) are in the photograph.

    OpenCV's model: https://docs.opencv.org/4.x/d9/d0c/group__calib3d.html, radial k1, k2 and tangential p1, p2.
    """
    k1, k2, p1, p2 = lens.distortion
    x, y = (u - lens.cx) / lens.fx, (v - lens.cy) / lens.fy
    r2 = x * x + y * y
    radial = 1 + r2 * (k1 + r2 * k2)
    bent_x = x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x)
    bent_y = y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y
    return bent_x * lens.fx + lens.cx, bent_y * lens.fy + lens.cy


def compose_over(pixels: Pixels, color: tuple[float, float, float]) -> Pixels:
    """Pixels (H, W, 4) with straight alpha over an opaque colour in 0..1, as (H, W, 3)."""
    alpha = pixels[..., 3:].astype(np.float32) / 255
    return to_uint8(pixels[..., :3] * alpha + (1 - alpha) * np.array(color, dtype=np.float32) * 255)


def _shrink_into(square: Square, lens: Lens) -> Square:
    """The largest square with the same middle whose border lies within the distorted photograph."""
    x, y = square.left + square.width / 2, square.top + square.height / 2

    def scaled(scale: float) -> Square:
        width, height = square.width * scale, square.height * scale
        return Square(x - width / 2, y - height / 2, width, height)

    if _is_covered(square, lens):
        return square
    return scaled(_bisect(lambda scale: _is_covered(scaled(scale), lens)))


def _bisect(holds: Callable[[float], bool]) -> float:
    """The largest number in 0..1 up to which ``holds`` is true."""
    low, high = 0.0, 1.0
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def _is_covered(square: Square, lens: Lens) -> bool:
    along = np.linspace(0, 1, 65)
    zero = np.zeros_like(along)
    x = np.concatenate([along, along, zero, zero + 1]) * square.width + square.left
    y = np.concatenate([zero, zero + 1, along, along]) * square.height + square.top
    u, v = distort(x, y, lens)
    slack = 0.01  # pixels; rounding is no hole
    inside = (u >= -slack) & (u <= lens.width + slack) & (v >= -slack) & (v <= lens.height + slack)
    return bool(inside.all())


def _refuse_folds(lens: Lens, name: str) -> None:
    """Raise a DataError if the distortion stops growing outwards before the corner of the image."""
    k1, k2, _, _ = lens.distortion
    reach = np.hypot(max(lens.cx, lens.width - lens.cx) / lens.fx, max(lens.cy, lens.height - lens.cy) / lens.fy)
    r2 = np.linspace(0, float(reach), 65) ** 2
    if (1 + r2 * (3 * k1 + r2 * 5 * k2) <= 0).any():
        raise DataError(
            f"the lens of {name} (k1 {k1:g}, k2 {k2:g}) folds the image over; expected a milder one: run "
            "colmap image_undistorter, and convert what it writes"
        )
