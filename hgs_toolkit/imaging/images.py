"""Pictures out of tensors: bytes, grids, PNG files, films. Display RGB in 0..1 comes in, nothing is rescaled."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor

from hgs_toolkit.errors import HgsError, ShapeError
from hgs_toolkit.files import atomic_path

Bytes = NDArray[np.uint8]

FILM_SUFFIXES = (".mp4", ".gif")


def to_uint8(images: Tensor) -> Bytes:
    """Images (..., channels) in 0..1 as bytes of the same shape: clamped and rounded, NaN becomes 0."""
    values = images.detach().float().nan_to_num(0.0).clamp(0, 1)
    return (values * 255).round().to(torch.uint8).cpu().numpy()


def grid(images: Tensor, columns: int | None = None, gap: int = 0, background: float = 1.0) -> Tensor:
    """Images (M, H, W, channels) in one (rows*H + gaps, columns*W + gaps, channels), filled row by row.

    Args:
        images: pictures of one size.
        columns: pictures a row; None makes the grid as square as it gets.
        gap: pixels between pictures.
        background: value of gaps and of places left over in the last row.
    """
    if images.ndim != 4 or not len(images):
        raise ShapeError(f"images of shape {tuple(images.shape)}; expected (M, H, W, channels) with M of at least 1")
    count, height, width, channels = images.shape
    columns = min(columns or math.ceil(math.sqrt(count)), count)
    rows = math.ceil(count / columns)
    sheet = images.new_full((rows * (height + gap) - gap, columns * (width + gap) - gap, channels), background)
    for index, image in enumerate(images):
        top, left = index // columns * (height + gap), index % columns * (width + gap)
        sheet[top : top + height, left : left + width] = image
    return sheet


def save_png(path: str | Path, image: Tensor | Bytes, *, force: bool = True) -> None:
    """Write one picture (H, W, 1, 3 or 4), a tensor in 0..1 or bytes, as PNG, atomically.

    Raises:
        HgsError: if the file cannot be written, or exists and not ``force``.
        ShapeError: if the shape is not that of a picture.
    """
    pixels = to_uint8(image) if isinstance(image, Tensor) else image
    if pixels.ndim != 3 or pixels.shape[2] not in (1, 3, 4):
        raise ShapeError(f"a picture of shape {pixels.shape}; expected (H, W, 1, 3 or 4)")
    picture = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    with atomic_path(path, force=force) as temporary:
        picture.save(temporary, format="PNG")


def load_png(path: str | Path) -> Bytes:
    """Pixels (H, W, 3 or 4) of a picture file, upright as its EXIF entry says.

    Grey and palette pictures become RGB, those with any kind of transparency RGBA; of 16 bits the upper 8 are kept.

    Raises:
        HgsError: if the file cannot be read as a picture.
    """
    try:
        with Image.open(path) as file:
            picture = ImageOps.exif_transpose(file)
            if picture.mode.startswith("I;16"):  # which Pillow would clip at 255
                picture = Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
            seen_through = "A" in picture.getbands() or "transparency" in picture.info
            return np.array(picture.convert("RGBA" if seen_through else "RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise HgsError(f"cannot read the picture {path}: {reason}") from error


def save_film(path: str | Path, frames: Iterable[Bytes], fps: float = 30, *, force: bool = True) -> None:
    """Write frames (H, W, 3) of one size as H.264 .mp4 or looping .gif, atomically; frames may be a generator.

    H.264 wants even sizes: an odd row or column is repeated once.

    Raises:
        HgsError: if the suffix is neither .mp4 nor .gif, there is no frame, or the file cannot be written.
    """
    import imageio.v3

    path = Path(path)
    if path.suffix.lower() not in FILM_SUFFIXES:
        raise HgsError(f"cannot write a film as '{path.suffix}'; expected {' or '.join(FILM_SUFFIXES)}")
    frames = iter(frames)
    first = next(frames, None)
    if first is None:
        raise HgsError(f"no frames for {path}; expected at least one")
    frames = itertools.chain([first], frames)
    with atomic_path(path, force=force) as temporary:
        if path.suffix.lower() == ".gif":
            # GIF counts in hundredths of a second.
            duration = max(10 * round(100 / fps), 20)
            imageio.v3.imwrite(temporary, list(frames), extension=".gif", duration=duration, loop=0)
            return
        with imageio.v3.imopen(temporary, "w", plugin="pyav", extension=".mp4") as film:
            film.init_video_stream("libx264", fps=fps)
            for frame in frames:
                film.write_frame(_even(frame))


def _even(frame: Bytes) -> Bytes:
    height, width = frame.shape[:2]
    return np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
