"""Tensors as images: bytes, grids, PNG files, videos. Values are display RGB in 0..1; nothing is rescaled."""

from __future__ import annotations

import io
import itertools
import math
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from hgs_toolkit.errors import DataError, HgsError, ShapeError
from hgs_toolkit.files import atomic_path
from hgs_toolkit.imaging.choices import VIDEO_SUFFIXES, refuse_fast_gif
from hgs_toolkit.imaging.reading import to_rgb
from hgs_toolkit.stand_ins import stand_in

Bytes = NDArray[np.uint8]


def to_uint8(images: Tensor) -> Bytes:
    """Images (..., channels) in 0..1 as bytes of the same shape: clamped and rounded, NaN becomes 0."""
    values = images.detach().float().nan_to_num(0.0).clamp(0, 1)
    return (values * 255).round().to(torch.uint8).cpu().numpy()


def grid(images: Tensor, columns: int | None = None, gap: int = 0, background: float = 1.0) -> Tensor:
    """Images (M, H, W, channels) in one (rows*H + gaps, columns*W + gaps, channels), filled row by row.

    Args:
        images: images of one size.
        columns: images in a row; None makes the grid as square as possible.
        gap: pixels between images.
        background: value of gaps and of empty places in the last row; in images with alpha they are transparent.
    """
    if images.ndim != 4 or not len(images):
        raise ShapeError(f"images of shape {tuple(images.shape)}; expected (M, H, W, channels) with M of at least 1")
    count, height, width, channels = images.shape
    columns = min(columns or math.ceil(math.sqrt(count)), count)
    rows = math.ceil(count / columns)
    sheet = images.new_full((rows * (height + gap) - gap, columns * (width + gap) - gap, channels), background)
    if channels == 4:
        sheet[..., 3] = 0
    for index, image in enumerate(images):
        top, left = index // columns * (height + gap), index % columns * (width + gap)
        sheet[top : top + height, left : left + width] = image
    return sheet


def save_png(path: str | Path, image: Tensor | Bytes, *, force: bool = True) -> None:
    """Write one image (H, W, 1, 3 or 4), a tensor in 0..1 or bytes, as PNG, atomically.

    Raises:
        HgsError: if the file cannot be written, or exists and not ``force``.
        ShapeError: if the shape is not that of an image.
    """
    pixels = to_uint8(image) if isinstance(image, Tensor) else image
    if pixels.ndim != 3 or pixels.shape[2] not in (1, 3, 4):
        raise ShapeError(f"an image of shape {pixels.shape}; expected (H, W, 1, 3 or 4)")
    encoder = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    with atomic_path(path, force=force) as temporary:
        encoder.save(temporary, format="PNG")


def load_image(path: str | Path) -> Bytes:
    """Pixels (H, W, 3 or 4) of an image file, turned upright as its EXIF orientation says.

    Grey, palette and CMYK images become RGB, those with any kind of transparency RGBA; of 16 bits the upper 8 are kept.

    Raises:
        HgsError: if the file cannot be read as an image.
    """
    try:
        with Image.open(path) as file:
            return np.array(to_rgb(file, str(path)))
    except DataError:
        raise
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise HgsError(why_unreadable(path, error)) from error


def why_unreadable(path: str | Path, error: Exception) -> str:
    """The sentence about an image that could not be opened because of ``error``."""
    if what := stand_in(Path(path)):
        return f"{path} {what}"
    reason = error.strerror if isinstance(error, OSError) and error.strerror else error
    return f"cannot read the image {path}: {reason}"


def save_video(path: str | Path, frames: Iterable[Bytes], fps: float = 30, *, force: bool = True) -> None:
    """Write frames (H, W, 3) of one size as H.264 .mp4 or looping .gif, atomically; frames may be a generator.

    H.264 wants even sizes: an odd row or column is repeated once.

    Raises:
        HgsError: if the suffix is neither .mp4 nor .gif, ``fps`` is more than a .gif can have, there is no frame, or
            the file cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() not in VIDEO_SUFFIXES:
        raise HgsError(f"cannot write a video as '{path.suffix}'; expected {' or '.join(VIDEO_SUFFIXES)}")
    refuse_fast_gif(path, fps)
    frames = iter(frames)
    first = next(frames, None)
    if first is None:
        raise HgsError(f"no frames for {path}; expected at least one")
    frames = itertools.chain([first], frames)
    # Packed in memory first: on a full disk the libraries would complain a second time when their files are closed.
    with atomic_path(path, force=force) as temporary:
        temporary.write_bytes(_gif(frames, fps) if path.suffix.lower() == ".gif" else _mp4(frames, fps))


def _gif(frames: Iterable[Bytes], fps: float) -> bytes:
    import imageio.v3

    images = list(frames)
    # GIF counts in hundredths of a second: frames take turns at being longer, so that all together last as they should.
    ends = [round(100 * index / fps) for index in range(len(images) + 1)]
    durations = [10 * (end - start) for start, end in itertools.pairwise(ends)]
    packed: bytes = imageio.v3.imwrite("<bytes>", images, extension=".gif", duration=durations, loop=0)
    return packed


def _mp4(frames: Iterable[Bytes], fps: float) -> bytes:
    import imageio.v3

    packed = io.BytesIO()
    with imageio.v3.imopen(packed, "w", plugin="pyav", extension=".mp4") as video:
        video.init_video_stream("libx264", fps=fps)
        for frame in frames:
            video.write_frame(_even(frame))
    return packed.getvalue()


def _even(frame: Bytes) -> Bytes:
    height, width = frame.shape[:2]
    return np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
