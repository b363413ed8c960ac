"""Our PNG files are what Pillow reads as the pixels that went in."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hgs_toolkit.synthesis.png import png_bytes


@pytest.mark.parametrize("gradual", [True, False])
@pytest.mark.parametrize(("channels", "kind"), [((), np.uint8), ((), np.uint16), ((3,), np.uint8), ((4,), np.uint8)])
@pytest.mark.parametrize("size", [(1, 1), (3, 7), (64, 64)])
def test_other_programs_read_the_pixels(
    size: tuple[int, int], channels: tuple[int, ...], kind: Any, gradual: bool
) -> None:
    pixels = np.random.default_rng(0).integers(0, np.iinfo(kind).max, (*size, *channels), kind, endpoint=True)
    data = png_bytes(pixels, gradual=gradual)
    with Image.open(io.BytesIO(data)) as image:
        image.verify()
    with Image.open(io.BytesIO(data)) as image:
        np.testing.assert_array_equal(np.array(image), pixels)
    assert data == png_bytes(pixels.copy(), gradual=gradual)


def test_gradual_pictures_pack_better_with_differences_and_flat_ones_without() -> None:
    noise = np.random.default_rng(0).normal(0, 1, (64, 64)).round()
    slope = (np.add.outer(2.0 * np.arange(64), 1.7 * np.arange(64)) + noise).astype(np.uint8)
    flat = (np.hypot(*np.mgrid[-32:32, -32:32]) < 20).astype(np.uint8)
    assert len(png_bytes(slope, gradual=True)) < 0.5 * len(png_bytes(slope, gradual=False))
    assert len(png_bytes(flat, gradual=False)) <= len(png_bytes(flat, gradual=True))
