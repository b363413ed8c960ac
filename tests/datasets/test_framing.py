from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from hgs_toolkit.datasets.framing import choose_square, cut, distort, undistort
from hgs_toolkit.datasets.sources.photographs import Lens
from hgs_toolkit.errors import DataError

NOISE = np.random.default_rng(0).integers(0, 256, (60, 80, 4)).astype(np.uint8)


def test_a_whole_image_of_the_right_size_is_copied() -> None:
    square = NOISE[:60, :60]
    lens = Lens(50, 50, 30, 30, 60, 60)
    assert np.array_equal(cut(Image.fromarray(square), lens, choose_square(lens, "principal", "x"), 60), square)


def test_crops_keep_what_they_say() -> None:
    lens = Lens(50, 50, 50, 25, 80, 60)
    principal = choose_square(lens, "principal", "x")
    assert (principal.left, principal.top, principal.width, principal.height) == (25, 0, 50, 50)
    assert principal.intrinsics(lens) == pytest.approx(np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]]))
    center = choose_square(lens, "center", "x")
    assert (center.left, center.top, center.width, center.height) == (10, 0, 60, 60)
    assert center.intrinsics(lens)[0] == pytest.approx([50 / 60, 0, 40 / 60])
    pad = choose_square(lens, "pad", "x")
    assert (pad.left, pad.top, pad.width, pad.height) == (0, -10, 80, 80)


def test_pixels_that_are_not_square_become_square() -> None:
    lens = Lens(100, 50, 40, 30, 80, 60)
    square = choose_square(lens, "principal", "x")
    assert (square.width, square.height) == (80, 40)
    K = square.intrinsics(lens)
    assert K[0, 0] == K[1, 1]


def test_a_wrong_focal_length_does_not_take_memory() -> None:
    with pytest.raises(DataError, match="x has focal lengths of 16 and 12800 pixels; expected none more than 8 times"):
        choose_square(Lens(16, 12800, 8, 8, 16, 16), "pad", "x")
    lens = Lens(100, 50, 40, 30, 80, 60)
    padded = cut(Image.fromarray(NOISE), lens, choose_square(lens, "pad", "x"), 60)
    assert padded.shape == (60, 60, 4)
    assert padded[:, :9].max() == padded[:, -9:].max() == 0
    assert padded[0, 15].max() > 0


def test_transparent_pixels_do_not_bleed_into_smaller_pictures() -> None:
    image = np.zeros((64, 64, 4), np.uint8)
    image[..., :3] = [0, 255, 0]  # a colour that nobody should see
    image[:, 32:] = [200, 0, 0, 255]
    lens = Lens(50, 50, 32, 32, 64, 64)
    for picture in (cut(Image.fromarray(image), lens, choose_square(lens, "center", "x"), 21), undistort(image, lens)):
        visible = picture[picture[..., 3] > 8]
        assert visible[:, 1].max() == 0
        assert visible[:, 0].min() > 180


@pytest.mark.parametrize("k", [-0.3, -0.1, 0.1, 0.5])
def test_undistorting_puts_every_point_where_a_pinhole_sees_it(k: float) -> None:
    lens = Lens(70.0, 75.0, 62.0, 46.0, 128, 96, (k, 0.02, 0.005, -0.003))
    grid = np.stack(np.meshgrid([40.5, 62.5, 85.5], [30.5, 46.5, 66.5])).reshape(2, -1)
    v, u = np.mgrid[0:96, 0:128] + 0.5
    for x, y in grid.T:
        bent_x, bent_y = distort(np.array(x), np.array(y), lens)
        spot = np.exp(-((u - bent_x) ** 2 + (v - bent_y) ** 2) / 8)
        straight = undistort(np.rint(255 * spot)[..., None].repeat(3, axis=2).astype(np.uint8), lens)[..., 0]
        brightest = np.unravel_index(straight.argmax(), straight.shape)
        assert abs(brightest[1] + 0.5 - x) <= 1
        assert abs(brightest[0] + 0.5 - y) <= 1


@pytest.mark.parametrize("k", [-0.15, 0.3, 1.0])
def test_the_square_of_a_distorted_image_has_no_holes(k: float) -> None:
    lens = Lens(70.0, 70.0, 60.0, 50.0, 128, 96, (k, 0.0, 0.0, 0.0))
    white = Image.new("RGB", (128, 96), (255, 255, 255))
    square = choose_square(lens, "principal", "x")
    assert cut(white, lens, square, 64).min() >= 250
    if k < 0:
        assert square.height == pytest.approx(92), "a barrel covers the whole pinhole image"
    else:
        assert square.height < 92


def test_a_lens_that_folds_the_image_is_refused() -> None:
    with pytest.raises(DataError, match="folds the image over"):
        choose_square(Lens(40, 40, 64, 48, 128, 96, (-0.4, 0.0, 0.0, 0.0)), "center", "x")


def test_a_lens_follows_the_size_of_its_image_but_not_another_shape() -> None:
    lens = Lens(100, 100, 64, 48, 128, 96)
    assert lens.resized((64, 48), "x") == Lens(50, 50, 32, 24, 64, 48)
    assert lens.resized((43, 32), "x").width == 43, "rounded sizes are no other shape"
    with pytest.raises(DataError, match=r"x is 96 x 128, its camera is for 128 x 96"):
        lens.resized((96, 128), "x")
