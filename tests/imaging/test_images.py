"""Pictures: bytes, grids, PNG and film files."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import imageio.v3
import numpy as np
import pytest
import torch
from PIL import Image, ImageSequence

from hgs_toolkit.errors import HgsError, ShapeError
from hgs_toolkit.imaging import images as images_module
from hgs_toolkit.imaging.images import grid, load_image, save_png, save_video, to_uint8


def noise(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


def test_bytes_are_rounded_and_clamped() -> None:
    values = torch.tensor([-1.0, 0.0, 0.5 / 255 + 1e-6, 1.0, 2.0, torch.nan, torch.inf])
    assert to_uint8(values).tolist() == [0, 0, 1, 255, 255, 0, 255]


def test_every_byte_survives_display_values() -> None:
    values = torch.arange(256, dtype=torch.uint8)
    assert to_uint8(values.float() / 255).tolist() == values.tolist()


@pytest.mark.parametrize(("count", "columns", "rows_columns"), [(1, None, (1, 1)), (5, None, (2, 3)), (6, 2, (3, 2))])
def test_a_grid_holds_every_picture_in_reading_order(
    count: int, columns: int | None, rows_columns: tuple[int, int]
) -> None:
    images, gap = noise(count, 5, 7, 3), 2
    sheet = grid(images, columns, gap=gap)
    rows, across = rows_columns
    assert sheet.shape == (rows * 5 + (rows - 1) * gap, across * 7 + (across - 1) * gap, 3)
    for index, image in enumerate(images):
        top, left = index // across * (5 + gap), index % across * (7 + gap)
        assert torch.equal(sheet[top : top + 5, left : left + 7], image)


def test_gaps_and_empty_places_have_the_background() -> None:
    sheet = grid(torch.zeros(3, 4, 4, 1), 2, gap=1, background=0.5)
    assert (sheet[:, 4] == 0.5).all()
    assert (sheet[5:, 5:] == 0.5).all()


def test_gaps_between_images_with_alpha_are_transparent() -> None:
    sheet = grid(torch.ones(3, 2, 2, 4), columns=2, gap=1)
    assert sheet[..., 3].sum() == 3 * 4
    assert sheet[3:, 3:, 3].max() == 0


def test_a_grid_of_nothing_is_refused() -> None:
    with pytest.raises(ShapeError, match=r"expected \(M, H, W, channels\)"):
        grid(torch.zeros(0, 4, 4, 3))


@pytest.mark.parametrize("channels", [3, 4])
def test_png_keeps_every_byte(channels: int, tmp_path: Path) -> None:
    image = noise(6, 5, channels)
    save_png(tmp_path / "a.png", image)
    assert np.array_equal(load_image(tmp_path / "a.png"), to_uint8(image))


def test_a_grey_picture_reads_as_rgb(tmp_path: Path) -> None:
    save_png(tmp_path / "a.png", torch.full((2, 2, 1), 0.2))
    assert (load_image(tmp_path / "a.png") == 51).all()


def test_what_is_no_picture_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ShapeError, match=r"expected \(H, W, 1, 3 or 4\)"):
        save_png(tmp_path / "a.png", torch.zeros(2, 2, 2))
    (tmp_path / "b.png").write_bytes(b"GIF8 no")
    with pytest.raises(HgsError, match="cannot read the image"):
        load_image(tmp_path / "b.png")
    with pytest.raises(HgsError, match="cannot read the image"):
        load_image(tmp_path / "missing.png")


@pytest.mark.parametrize("suffix", [".mp4", ".gif"])
def test_a_film_has_all_frames_of_the_size_codecs_allow(suffix: str, tmp_path: Path) -> None:
    colors = np.linspace(40, 200, 7)
    frames = (np.full((31, 33, 3), color, np.uint8) for color in colors)
    save_video(tmp_path / f"a{suffix}", frames, fps=25)
    loaded = imageio.v3.imread(tmp_path / f"a{suffix}")
    even = suffix == ".mp4"
    assert loaded.shape == (7, 31 + even, 33 + even, 3)
    np.testing.assert_allclose(loaded[:, 15, 15, 0], colors, atol=6)


@pytest.mark.parametrize("fps", [12.5, 30, 40, 50])
def test_a_gif_lasts_as_long_as_its_frames_a_second_say(fps: float, tmp_path: Path) -> None:
    save_video(tmp_path / "a.gif", (np.full((8, 8, 3), 5 * index, np.uint8) for index in range(40)), fps=fps)
    with Image.open(tmp_path / "a.gif") as file:
        durations = [frame.info["duration"] for frame in ImageSequence.Iterator(file)]
    assert sum(durations) == pytest.approx(40_000 / fps, abs=10)
    assert max(durations) - min(durations) <= 10
    with pytest.raises(HgsError, match=r"60 frames a second; a \.gif has at most 50, write an \.mp4"):
        save_video(tmp_path / "b.gif", [], fps=60)


def test_a_film_in_another_format_is_refused_and_a_failed_one_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(HgsError, match=r"expected \.mp4 or \.gif"):
        save_video(tmp_path / "a.avi", [])
    with pytest.raises(HgsError, match="no frames"):
        save_video(tmp_path / "a.gif", [])
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full is Linux's")
@pytest.mark.parametrize("suffix", [".gif", ".mp4"])
def test_a_full_disk_is_one_error_without_a_second_one_from_the_library(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(images_module, "atomic_path", lambda path, force: nullcontext(Path("/dev/full")))
    with pytest.raises(OSError, match="No space left on device"):
        save_video(tmp_path / f"a{suffix}", [to_uint8(noise(16, 16, 3))] * 3)
    assert capfd.readouterr().err == ""
