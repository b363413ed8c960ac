"""Image files of every colour mode and orientation, read by one reader."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from hgs_toolkit.errors import DataError
from hgs_toolkit.imaging.images import load_image
from hgs_toolkit.imaging.reading import TURNS, has_alpha, to_rgb, upright_size

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 4, 3), dtype=np.uint8)


def stored(image: Image.Image, kind: str = "PNG", **options: Any) -> Image.Image:
    """The image as it comes back from a file."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return Image.open(io.BytesIO(buffer.getvalue()))


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_turned_as_their_exif_orientation_says(orientation: int, kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = stored(Image.fromarray(PIXELS), kind, exif=exif, **({"lossless": True} if kind == "WEBP" else {}))
    expected = ImageOps.exif_transpose(image).convert("RGB")
    assert upright_size(image) == expected.size
    assert np.array_equal(np.asarray(to_rgb(image, "x")), np.asarray(expected))
    assert to_rgb(image, "x", turn=False).size == (4, 6)
    assert (orientation == 1) == (orientation not in TURNS)


@pytest.mark.parametrize("block", [b"nonsense", b"II*\0"])
def test_a_header_with_broken_exif_is_an_upright_image(block: bytes) -> None:
    image = stored(Image.fromarray(PIXELS), "JPEG", exif=b"Exif\0\0" + block)
    assert upright_size(image) == (4, 6)


def test_grey_of_16_bits_keeps_its_upper_8_and_other_modes_become_rgb(tmp_path: Path) -> None:
    deep = np.array([[0, 255, 256, 65535]], dtype=np.uint16)
    assert np.asarray(to_rgb(stored(Image.fromarray(deep)), "x"))[0, :, 1].tolist() == [0, 0, 1, 255]
    grey = Image.fromarray(PIXELS[..., 0])
    assert np.array_equal(np.asarray(to_rgb(stored(grey), "x")), np.repeat(PIXELS[..., :1], 3, axis=2))
    cmyk = stored(Image.new("CMYK", (2, 2), (0, 255, 255, 0)), "JPEG", quality=100)
    red, green, blue = np.asarray(to_rgb(cmyk, "x"))[0, 0]
    assert red > 240 > 15 > max(green, blue)
    palette = Image.fromarray(PIXELS).quantize(8)
    palette.info["transparency"] = 0
    read = to_rgb(stored(palette, transparency=0), "x")
    assert (read.mode, has_alpha(stored(palette, transparency=0))) == ("RGBA", True)
    Image.new("CMYK", (2, 2), (0, 255, 255, 0)).save(tmp_path / "x.jpg")
    assert load_image(tmp_path / "x.jpg").shape == (2, 2, 3)


def test_grey_of_16_bits_has_no_alpha_whatever_colour_its_file_calls_transparent() -> None:
    deep = stored(Image.fromarray(np.array([[0, 255, 256, 65535]], dtype=np.uint16)), transparency=0)
    assert not has_alpha(deep)
    assert to_rgb(deep, "x").mode == "RGB"


def test_a_mode_that_is_not_read_is_named() -> None:
    with pytest.raises(DataError, match=r"x\.tif has the colour mode F; expected grey, palette"):
        to_rgb(Image.new("F", (2, 2)), "x.tif")
