"""Image files of any colour mode as upright 8-bit RGB or RGBA: the one place that knows modes and EXIF orientations."""

from __future__ import annotations

import struct

import numpy as np
from PIL import ExifTags, Image

from hgs_toolkit.errors import DataError

DEEP = ("I", "I;16", "I;16B", "I;16L", "I;16N")
"""Pillow's modes of grey images of 16 bits, of which the upper 8 are kept."""

OPAQUE = ("1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr", *DEEP)
TRANSPARENT = ("LA", "La", "PA", "RGBA", "RGBa")

TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # fmt: skip
"""EXIF orientation (CIPA DC-008, tag 0x0112) to what makes the image upright."""


def has_alpha(image: Image.Image) -> bool:
    """Whether an image has any kind of transparency; nothing is decoded."""
    return image.mode in TRANSPARENT or ("transparency" in image.info and image.mode not in DEEP)


def upright_size(image: Image.Image) -> tuple[int, int]:
    """Width and height of an image once it is upright; nothing is decoded."""
    return image.size[::-1] if _orientation(image) >= 5 else image.size


def upright(image: Image.Image) -> Image.Image:
    """The image turned and mirrored as its EXIF orientation says; itself, where that says nothing."""
    turn = TURNS.get(_orientation(image))
    if turn is None:
        return image
    turned = image.transpose(turn)
    turned.info.pop("exif", None)
    return turned


def check_mode(image: Image.Image, name: str) -> None:
    """Raise a DataError that names the image and its colour mode if :func:`to_rgb` cannot read it."""
    if image.mode not in OPAQUE + TRANSPARENT:
        known = "grey, palette, RGB or CMYK of 8 bits, or grey of 16"
        raise DataError(f"{name} has the colour mode {image.mode}; expected {known}: convert it")


def to_rgb(image: Image.Image, name: str, *, turn: bool = True) -> Image.Image:
    """The image as RGB, or as RGBA where it has any transparency, of 8 bits.

    Args:
        turn: whether it is made upright; a camera may belong to the pixels as they are stored.

    Raises:
        DataError: if its colour mode is not read.
        OSError, ValueError, SyntaxError, EOFError: Pillow's, if its content is broken.
    """
    check_mode(image, name)
    transparent = has_alpha(image)
    result = upright(image) if turn else image
    if result.mode in DEEP:  # Pillow would clip values at 255
        result = Image.fromarray((np.asarray(result).astype(np.uint32) >> 8).clip(0, 255).astype(np.uint8))
        transparent = False
    wanted = "RGBA" if transparent else "RGB"
    return result if result.mode == wanted else result.convert(wanted)


def _orientation(image: Image.Image) -> int:
    """EXIF orientation, 1 where there is none: from what the header brought, since getexif would decode a PNG."""
    data = image.info.get("exif")
    if not data:
        return 1
    exif = Image.Exif()
    try:
        exif.load(data)
        value = exif.get(ExifTags.Base.Orientation, 1)
    except (OSError, ValueError, SyntaxError, KeyError, TypeError, struct.error):  # a broken block is no orientation
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1
