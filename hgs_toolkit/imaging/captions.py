"""Words on pictures: captions in a corner, and sheets whose rows and columns have headings."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from hgs_toolkit.errors import ShapeError
from hgs_toolkit.imaging.images import grid, to_uint8

LETTER_SHARE = 0.075
"""Height of the letters as a share of a picture's."""

LEAST_LETTERS, MOST_LETTERS = 9, 28
"""Bounds on that height, pixels."""

GAP = 2
"""Pixels between the pictures of a sheet."""

INK, PAPER, HALO = (40, 40, 40), 1.0, (255, 255, 255)


def letter_height(picture_height: int) -> int:
    """Pixels of letters that can be read on a picture, and do not cover it."""
    return round(min(max(picture_height * LETTER_SHARE, LEAST_LETTERS), MOST_LETTERS))


def caption(picture: Tensor, text: str) -> Tensor:
    """``picture`` (H, W, 3) in 0..1 with a line of text in its lower left corner, light around its letters."""
    pixels = Image.fromarray(to_uint8(picture))
    size = letter_height(pixels.height)
    ImageDraw.Draw(pixels).text(
        (size // 2, pixels.height - size // 2), text, fill=INK, font=ImageFont.load_default(size), anchor="ls",
        stroke_width=max(1, size // 8), stroke_fill=HALO,
    )  # fmt: skip
    return torch.from_numpy(np.array(pixels)).to(picture) / 255


def sheet(rows: Sequence[Sequence[Tensor]], row_names: Sequence[str], column_names: Sequence[str]) -> Tensor:
    """Pictures (H, W, 3) of one size in a table with a name before each row and above each column.

    Returns:
        One picture (H', W', 3) in 0..1.

    Raises:
        ShapeError: if names and pictures do not fit each other.
    """
    if len(rows) != len(row_names) or any(len(row) != len(column_names) for row in rows) or not rows:
        raise ShapeError(
            f"{len(row_names)} and {len(column_names)} names for rows of {[len(row) for row in rows]} pictures; "
            "expected one for each row and column"
        )
    height, width = rows[0][0].shape[:2]
    size = letter_height(height)
    side = size + max(_length(name, size) for name in row_names) if any(row_names) else 0
    top = 2 * size if any(column_names) else 0
    pictures = torch.stack([picture.cpu() for row in rows for picture in row])
    table = grid(pictures, len(column_names), GAP, PAPER)
    page = torch.full((table.shape[0] + top, table.shape[1] + side, 3), PAPER)
    page[top:, side:] = table
    for index, name in enumerate(row_names):
        start = top + index * (height + GAP)
        page[start : start + height, :side] = _tile(name, height, side, size)
    for index, name in enumerate(column_names):
        start = side + index * (width + GAP)
        page[:top, start : start + width] = _tile(name, top, width, size)
    return page


def _tile(text: str, height: int, width: int, size: int) -> Tensor:
    """A white picture (height, width, 3) with text in its middle, smaller where it is too narrow for it."""
    if not height or not width:
        return torch.empty(height, width, 3)
    while size > LEAST_LETTERS and _length(text, size) > width:
        size -= 1
    tile = Image.new("RGB", (width, height), HALO)
    font = ImageFont.load_default(size)
    ImageDraw.Draw(tile).text((width / 2, height / 2), text, fill=INK, font=font, anchor="mm")
    return torch.from_numpy(np.array(tile)) / 255


def _length(text: str, size: int) -> int:
    return math.ceil(ImageFont.load_default(size).getlength(text))
