"""Image files to uint8 arrays and back, with every size checked before anything is decoded."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
from PIL import Image

from hgs_toolkit.errors import DataError
from hgs_toolkit.imaging.reading import to_rgb
from hgs_toolkit.stand_ins import stand_in_of

Pixels = npt.NDArray[np.uint8]
Size = tuple[int, int]
"""Width and height, pixels."""

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
FORMATS = ("PNG", "JPEG", "WEBP")

OTHER_SUFFIXES = (
    ".tif", ".tiff", ".bmp", ".gif", ".exr", ".hdr", ".heic", ".avif", ".jxl", ".jp2", ".ppm", ".tga", ".dng", ".cr2",
    ".cr3", ".nef", ".arw",
)  # fmt: skip
"""Suffixes of images of formats that are not read."""

MAX_IMAGE_BYTES = 1 << 26
"""Largest image file that is read: a 4096 x 4096 RGBA image without any compression."""

MAX_IMAGE_SIDE = 4096

LEAST_SIDE, LEAST_STAGE = 8, 16
"""Pixels a side at which a discriminator can be trained at least, and of the first stage of a plan."""


def is_image(name: str) -> bool:
    """Whether ``name`` has the suffix of an image; hidden files (such as macOS's ``._x.png``) do not count."""
    last = name.rpartition("/")[2]
    return last.lower().endswith(IMAGE_SUFFIXES) and not last.startswith(".")


def unread_images(names: Iterable[str]) -> str:
    """What to add to a message that images are missing: how many of ``names`` are images that are not read."""
    suffixes = Counter(
        suffix for name in names for suffix in OTHER_SUFFIXES
        if name.lower().endswith(suffix) and not name.rpartition("/")[2].startswith(".")
    )  # fmt: skip
    if not suffixes:
        return ""
    found = ", ".join(f"{count} {suffix}" for suffix, count in suffixes.most_common())
    return f"; images of other formats are not read ({found}): save them as .png or .jpg"


def open_image(data: bytes, name: str, max_side: int = MAX_IMAGE_SIDE) -> Image.Image:
    """The header of an image file as a lazy PIL image; nothing is decoded.

    Raises:
        DataError: naming ``name``, if it is no PNG, JPEG or WebP, or larger than ``max_side``.
    """
    stream = io.BytesIO(data)
    try:
        image = Image.open(stream, formats=FORMATS)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        why = "it is empty" if not data else str(error).replace(repr(stream), "its content")
        reason = stand_in_of(data) or f"is not a readable PNG, JPEG or WebP image: {why}"
        raise DataError(f"{name} {reason}") from error
    if max(image.size) > max_side:
        raise DataError(f"{name} is {image.width} x {image.height}; expected at most {max_side} pixels a side")
    return image


def decode(image: Image.Image, name: str) -> Pixels:
    """Pixels (H, W, 3 | 4) of an image from :func:`open_image`: upright, RGB, or RGBA where it has transparency.

    Raises:
        DataError: naming the image, if its content is broken or its colour mode is not read.
    """
    try:
        return np.array(to_rgb(image, name), dtype=np.uint8)
    except DataError:
        raise
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        raise DataError(f"{name} is broken: {error}") from error


def encode_png(pixels: Pixels | npt.NDArray[np.uint16], level: int = 6) -> bytes:
    """PNG file of pixels (H, W, 3 | 4), or grey (H, W) of 8 or 16 bits; the same pixels always give the same bytes.

    ``level`` is deflate's effort, 0 ... 9.
    """
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=level)
    return buffer.getvalue()


def shrink(pixels: Pixels, factor: int) -> Pixels:
    """Box average over ``factor`` x ``factor`` blocks of (H, W, 3 | 4); colours are weighted by straight alpha."""
    if factor == 1:
        return pixels
    height, width, channels = pixels.shape
    blocks = pixels.reshape(height // factor, factor, width // factor, factor, channels).astype(np.float32)
    if channels == 3:
        return to_uint8(blocks.mean(axis=(1, 3)))
    alpha = blocks[..., 3:]
    weight = alpha.sum(axis=(1, 3))  # (h, w, 1)
    color = (blocks[..., :3] * alpha).sum(axis=(1, 3)) / np.maximum(weight, 1)
    return to_uint8(np.concatenate([color, weight / factor**2], axis=-1))


def to_uint8(values: npt.NDArray[np.floating]) -> Pixels:
    """Values of 0 ... 255, any shape, rounded to the nearest integer."""
    pixels: Pixels = np.rint(values).astype(np.uint8)
    return pixels
