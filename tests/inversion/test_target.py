"""Photographs of any size and mode as targets."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from hgs_toolkit.cameras import frontal
from hgs_toolkit.errors import DataError, HgsError, ShapeError
from hgs_toolkit.inversion.target import Target, read_camera, read_photograph, target_of_rgba


def _save(path: Path, pixels: np.ndarray, mode: str | None = None) -> Path:
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(path)
    return path


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "1", "CMYK"])
def test_every_mode_of_picture_becomes_colours(mode: str, tmp_path: Path) -> None:
    path = _save(tmp_path / ("a.tif" if mode == "CMYK" else "a.png"), np.full((20, 20, 3), 255, np.uint8), mode)
    colors, coverage = read_photograph(path, 8)
    assert coverage is None
    torch.testing.assert_close(colors, torch.ones(8, 8, 3), atol=0.01, rtol=0)


@pytest.mark.parametrize("mode", ["P", "L", "RGB"])
def test_one_transparent_colour_is_no_subject(mode: str, tmp_path: Path) -> None:
    pixels = np.zeros((4, 4, 3), np.uint8)
    pixels[:2] = 200
    image = Image.fromarray(pixels).convert(mode)
    image.save(tmp_path / "a.png", transparency=image.getpixel((0, 3)))
    _, coverage = read_photograph(tmp_path / "a.png", 4)
    assert coverage is not None
    assert coverage[:, 0, 0].tolist() == [1, 1, 0, 0]


def test_sixteen_bits_keep_their_range(tmp_path: Path) -> None:
    grey = np.full((4, 4), 32768, np.uint16)
    colors, _ = read_photograph(_save(tmp_path / "a.png", grey), 4)
    torch.testing.assert_close(colors, torch.full((4, 4, 3), 0.5), atol=0.01, rtol=0)


def test_a_photograph_that_was_taken_sideways_stands_upright(tmp_path: Path) -> None:
    pixels = np.zeros((16, 16, 3), np.uint8)
    pixels[:, :8] = 255  # stored: white on the left
    turned = Image.Exif()
    turned[0x0112] = 6  # to be shown turned by 90 degrees, clockwise
    Image.fromarray(pixels).save(tmp_path / "a.jpg", exif=turned)
    colors, _ = read_photograph(tmp_path / "a.jpg", 16)
    assert colors[:7].min() > 0.9
    assert colors[9:].max() < 0.1


def test_of_an_oblong_picture_the_middle_square_is_taken(tmp_path: Path) -> None:
    pixels = np.zeros((10, 30, 3), np.uint8)
    pixels[:, 10:20] = 255
    colors, _ = read_photograph(_save(tmp_path / "a.png", pixels), 5)
    assert colors.shape == (5, 5, 3)
    assert colors.min() == 1


def test_shrinking_averages_and_weighs_colours_by_alpha(tmp_path: Path) -> None:
    pixels = np.zeros((4, 4, 4), np.uint8)
    pixels[:2] = (255, 0, 0, 255)
    pixels[2:] = (0, 255, 0, 0)  # invisible: its colour must not leak in
    colors, coverage = read_photograph(_save(tmp_path / "a.png", pixels), 1)
    assert coverage is not None
    torch.testing.assert_close(coverage[0, 0], torch.tensor([0.5]), atol=1e-3, rtol=0)
    torch.testing.assert_close(colors[0, 0], torch.tensor([0.5, 0.0, 0.0]), atol=1e-3, rtol=0)


def test_a_mask_says_where_the_subject_is(tmp_path: Path) -> None:
    picture = _save(tmp_path / "a.png", np.full((8, 8, 3), 200, np.uint8))
    white = np.zeros((8, 8), np.uint8)
    white[:, :4] = 255
    _, coverage = read_photograph(picture, 8, _save(tmp_path / "m.png", white))
    assert coverage is not None
    assert coverage[:, :4].min() == 1
    assert coverage[:, 4:].max() == 0
    with pytest.raises(DataError, match="4 x 8"):
        read_photograph(picture, 8, _save(tmp_path / "n.png", white[:, :4]))


def test_the_square_follows_the_mask_so_that_nothing_of_the_subject_is_cut_off(tmp_path: Path) -> None:
    """A standing figure, higher than the image is wide, at the lower border."""
    picture = _save(tmp_path / "a.png", np.full((40, 20, 3), 200, np.uint8))
    figure = np.zeros((40, 20), np.uint8)
    figure[10:40, 6:12] = 255
    mask = _save(tmp_path / "m.png", figure)
    for fill in (None, 0.75):
        _, coverage = read_photograph(picture, 40, mask, fill)
        assert coverage is not None
        side = 30 if fill is None else 40
        assert float(coverage.sum()) == pytest.approx(figure.sum() / 255 * (40 / side) ** 2, rel=0.05)
    assert coverage is not None
    rows = coverage[..., 0].any(1).nonzero()
    assert (int(rows.min()), int(rows.max())) == (5, 34)  # in the middle, and three quarters of the square


def test_a_subject_within_the_middle_square_leaves_it_there(tmp_path: Path) -> None:
    picture = _save(tmp_path / "a.png", np.full((10, 30, 3), 200, np.uint8))
    spot = np.zeros((10, 30), np.uint8)
    spot[4:6, 12:18] = 255
    _, coverage = read_photograph(picture, 10, _save(tmp_path / "m.png", spot))
    assert coverage is not None
    assert torch.equal(coverage[..., 0], torch.from_numpy(spot[:, 10:20] / np.float32(255)))
    spot[:, 20:22] = 255
    _, moved = read_photograph(picture, 10, _save(tmp_path / "m.png", spot))
    assert moved is not None
    assert float(moved.sum()) == pytest.approx((spot[:, 12:22] / 255).sum())


def test_what_is_no_picture_is_refused_by_name(tmp_path: Path) -> None:
    text = tmp_path / "a.png"
    text.write_text("no picture")
    for path in (text, tmp_path / "missing.png"):
        with pytest.raises(HgsError, match=path.name):
            read_photograph(path, 8)


def test_a_target_stands_over_any_colour_where_its_coverage_is_known() -> None:
    pixels = torch.zeros(1, 2, 2, 4)
    pixels[..., 0] = 1.0
    pixels[0, 0, 0, 3] = 1.0
    over = target_of_rgba(pixels, frontal()).over(torch.tensor([0.0, 0.0, 1.0]))
    assert over[0, 0, 0].tolist() == [1, 0, 0]
    assert over[0, 1, 1].tolist() == [0, 0, 1]
    unknown = target_of_rgba(pixels[..., :3], frontal())
    assert torch.equal(unknown.over(torch.rand(3)), unknown.colors)


def test_contradicting_shapes_are_refused() -> None:
    with pytest.raises(ShapeError, match="2, 4, 4, 3"):
        Target(torch.zeros(2, 4, 4, 3), None, frontal())
    with pytest.raises(ShapeError, match="coverage"):
        Target(torch.zeros(1, 4, 4, 3), torch.zeros(1, 4, 3, 1), frontal())


def test_a_camera_file_holds_one_label(tmp_path: Path) -> None:
    path = tmp_path / "camera.json"
    path.write_text(json.dumps({"label": frontal().labels[0].tolist()}))
    torch.testing.assert_close(read_camera(path).labels, frontal().labels)
    for content in ("{}", "[1, 2]", '{"label": [1, 2]}', "not json", json.dumps({"label": [None] * 25})):
        path.write_text(content)
        with pytest.raises(DataError, match=r"camera\.json"):
            read_camera(path)


def test_a_camera_that_is_bent_or_sees_nothing_is_refused(tmp_path: Path) -> None:
    whole = frontal().labels[0].tolist()
    for place, value, said in (
        (0, 0.5, "has no rotation"),
        (0, -whole[0], "has no rotation"),
        (16, 0.0, "focal lengths"),
    ):
        path = tmp_path / "camera.json"
        path.write_text(json.dumps({"label": [value if index == place else old for index, old in enumerate(whole)]}))
        with pytest.raises(DataError, match=said):
            read_camera(path)


def test_a_mask_without_a_subject_is_refused(tmp_path: Path) -> None:
    pixels = np.full((8, 8, 4), 200, np.uint8)
    photo = _save(tmp_path / "a.png", pixels[..., :3])
    ones = _save(tmp_path / "ones.png", np.eye(8, dtype=np.uint8))  # 0 and 1, as segmentation writes them
    with pytest.raises(DataError, match=r"the mask .*ones\.png shows no subject \(the largest value is 1 of 255\)"):
        read_photograph(photo, 8, ones)
    pixels[..., 3] = 0
    with pytest.raises(DataError, match=r"the alpha of .*clear\.png shows no subject"):
        read_photograph(_save(tmp_path / "clear.png", pixels), 8)


def test_a_mask_may_be_transparent_where_no_subject_is(tmp_path: Path) -> None:
    mask = np.full((8, 8, 4), 255, np.uint8)
    mask[:, 4:, 3] = 0
    photo = _save(tmp_path / "a.png", np.full((8, 8, 3), 200, np.uint8))
    _, coverage = read_photograph(photo, 8, _save(tmp_path / "mask.png", mask))
    assert coverage is not None
    assert coverage[0, :, 0].tolist() == [1, 1, 1, 1, 0, 0, 0, 0]
