"""Text on images: captions in a corner, and sheets whose rows and columns have headings."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from hgs_toolkit.errors import ShapeError
from hgs_toolkit.imaging.images import grid, to_uint8

FONT_SHARE = 0.075
"""Height of the font as a share of the image's height."""

MIN_FONT, MAX_FONT = 9, 28
"""Bounds on that height, pixels."""

GAP = 2
"""Pixels between the images of a sheet."""

TEXT_COLOR, OUTLINE_COLOR = (40, 40, 40), (255, 255, 255)
"""RGB bytes of the letters and of the outline around them."""

PAGE_VALUE = 1.0
"""Value of the sheet between its images: white."""


def font_height(image_height: int) -> int:
    """Height in pixels of a font that is readable on an image and does not cover it."""
    return round(min(max(image_height * FONT_SHARE, MIN_FONT), MAX_FONT))


def caption(image: Tensor, text: str) -> Tensor:
    """``image`` (H, W, 3) in 0..1 with a line of outlined text in its lower left corner."""
    pixels = Image.fromarray(to_uint8(image))
    size = font_height(pixels.height)
    ImageDraw.Draw(pixels).text(
        (size // 2, pixels.height - size // 2), text, fill=TEXT_COLOR, font=ImageFont.load_default(size), anchor="ls",
        stroke_width=max(1, size // 8), stroke_fill=OUTLINE_COLOR,
    )  # fmt: skip
    return torch.from_numpy(np.array(pixels)).to(image) / 255


def labelled_sheet(rows: Sequence[Sequence[Tensor]], row_names: Sequence[str], column_names: Sequence[str]) -> Tensor:
    """Images (H, W, 3) of one size in a table with a name before each row and above each column.

    Returns:
        One image (H', W', 3) in 0..1.

    Raises:
        ShapeError: if names and images do not fit each other.
    """
    if len(rows) != len(row_names) or any(len(row) != len(column_names) for row in rows) or not rows:
        raise ShapeError(
            f"{len(row_names)} and {len(column_names)} names for rows of {[len(row) for row in rows]} images; "
            "expected one for each row and column"
        )
    height, width = rows[0][0].shape[:2]
    size = font_height(height)
    side = size + max(_length(name, size) for name in row_names) if any(row_names) else 0
    top = 2 * size if any(column_names) else 0
    images = torch.stack([image.cpu() for row in rows for image in row])
    table = grid(images, len(column_names), GAP, PAGE_VALUE)
    page = torch.full((table.shape[0] + top, table.shape[1] + side, 3), PAGE_VALUE)
    page[top:, side:] = table
    for index, name in enumerate(row_names):
        start = top + index * (height + GAP)
        page[start : start + height, :side] = _tile(name, height, side, size)
    for index, name in enumerate(column_names):
        start = side + index * (width + GAP)
        page[:top, start : start + width] = _tile(name, top, width, size)
    return page


def _tile(text: str, height: int, width: int, size: int) -> Tensor:
    """A white image (height, width, 3) with centred text, whose font shrinks where the image is too narrow."""
    if not height or not width:
        return torch.empty(height, width, 3)
    while size > MIN_FONT and _length(text, size) > width:
        size -= 1
    tile = Image.new("RGB", (width, height), OUTLINE_COLOR)
    font = ImageFont.load_default(size)
    ImageDraw.Draw(tile).text((width / 2, height / 2), text, fill=TEXT_COLOR, font=font, anchor="mm")
    return torch.from_numpy(np.array(tile)) / 255


def _length(text: str, size: int) -> int:
    return math.ceil(ImageFont.load_default(size).getlength(text))
