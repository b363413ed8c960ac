"""What is to be shown: photographs of one subject, their cameras, and where the subject is."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from hgs_toolkit.cameras import LABEL_SIZE, Cameras
from hgs_toolkit.errors import DataError, ShapeError
from hgs_toolkit.imaging.images import Bytes, load_image

logger = logging.getLogger(__name__)

MAX_PHOTOGRAPH_SIDE = 16384
"""Pixels a side; larger files are refused before they are decoded."""


@dataclass(frozen=True, eq=False)
class Target:
    """V photographs of one subject.

    Attributes:
        colors: (V, H, W, 3) display RGB in 0..1, multiplied by ``coverage`` where that is known.
        coverage: (V, H, W, 1) share of each pixel that the subject covers; None where nobody knows, and the whole
            picture counts.
        cameras: (V,).
    """

    colors: Tensor
    coverage: Tensor | None
    cameras: Cameras

    def __post_init__(self) -> None:
        views, height, width = self.colors.shape[:3]
        if self.colors.ndim != 4 or self.colors.shape[3] != 3 or height != width or views != len(self.cameras):
            raise ShapeError(
                f"colours of shape {tuple(self.colors.shape)} and {len(self.cameras)} cameras; expected (V, H, H, 3) "
                "and V"
            )
        if self.coverage is not None and self.coverage.shape != (*self.colors.shape[:3], 1):
            raise ShapeError(f"coverage of shape {tuple(self.coverage.shape)}; expected {(views, height, width, 1)}")

    @property
    def resolution(self) -> int:
        """Height and width of the photographs."""
        return self.colors.shape[1]

    def over(self, background: Tensor) -> Tensor:
        """The photographs (V, H, W, 3) over a colour (3,); as they are where the coverage is not known."""
        if self.coverage is None:
            return self.colors
        return self.colors + background.to(self.colors) * (1 - self.coverage)

    def to(self, device: torch.device) -> Target:
        """The same photographs and cameras on another device."""
        coverage = None if self.coverage is None else self.coverage.to(device)
        return Target(self.colors.to(device), coverage, self.cameras.to(device))

    def seen_from(self, cameras: Cameras) -> Target:
        """The same photographs with other cameras (V,)."""
        return Target(self.colors, self.coverage, cameras)


def target_of_rgba(pixels: Tensor, cameras: Cameras) -> Target:
    """The target of pictures (V, H, W, 3 or 4) in 0..1; alpha is straight, as files have it."""
    if pixels.shape[-1] == 3:
        return Target(pixels, None, cameras)
    return Target(pixels[..., :3] * pixels[..., 3:], pixels[..., 3:], cameras)


def read_photograph(path: str | Path, resolution: int, mask: str | Path | None = None) -> tuple[Tensor, Tensor | None]:
    """A picture of any size and mode as colours (H, H, 3) and coverage (H, H, 1) of ``resolution`` pixels.

    The middle square of an oblong picture is taken. Coverage is the picture's own alpha, times ``mask`` (white: the
    subject); None if it has neither.

    Raises:
        DataError: if a file is too large, or the mask has another size than the picture.
        HgsError: if a file is no readable picture.
    """
    pixels = _read(path)
    coverage = pixels[..., 3:] if pixels.shape[2] == 4 and pixels[..., 3].min() < 255 else None
    if mask is not None:
        shown = _read(mask)[..., :3].mean(axis=2, keepdims=True).round().astype(np.uint8)
        if shown.shape[:2] != pixels.shape[:2]:
            raise DataError(
                f"the mask {mask} is {shown.shape[1]} x {shown.shape[0]}, the picture {path} {pixels.shape[1]} x "
                f"{pixels.shape[0]}; expected the same size"
            )
        coverage = shown if coverage is None else (coverage.astype(np.float32) * shown / 255).astype(np.uint8)
    if coverage is None:
        return _resized(path, pixels[..., :3], resolution), None
    weight = coverage.astype(np.float32) / 255
    return _resized(path, pixels[..., :3] * weight, resolution), _resized(path, coverage, resolution)


def read_camera(path: str | Path) -> Cameras:
    """The camera (1,) of a JSON file: {"label": [25 numbers]}, an EG3D label (camera-to-world, then intrinsics).

    Raises:
        DataError: if the file holds something else.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read the camera {path}: {error}") from error
    label = content.get("label") if isinstance(content, dict) else None
    if not isinstance(label, list) or len(label) != LABEL_SIZE or not all(_is_number(value) for value in label):
        raise DataError(f'{path} is no camera; expected {{"label": [{LABEL_SIZE} numbers]}}, as metrics.json has one')
    return Cameras.from_labels(torch.tensor([label], dtype=torch.float32))


def _read(path: str | Path) -> Bytes:
    try:
        with Image.open(path) as picture:
            width, height = picture.size
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise DataError(f"cannot read the picture {path}: {reason}") from error
    if max(width, height) > MAX_PHOTOGRAPH_SIDE:
        raise DataError(f"{path} is {width} x {height}; expected at most {MAX_PHOTOGRAPH_SIDE} pixels a side")
    return load_image(path)


def _resized(path: str | Path, values: Bytes | np.ndarray, resolution: int) -> Tensor:
    """(h, w, C) of 0..255 as the middle square (resolution, resolution, C) of 0..1."""
    height, width = values.shape[:2]
    side = min(height, width)
    if height != width:
        logger.info("%s is %d x %d: its middle square is used", path, width, height)
    top, left = (height - side) // 2, (width - side) // 2
    square = torch.from_numpy(np.ascontiguousarray(values[top : top + side, left : left + side], dtype=np.float32))
    channels = square.movedim(2, 0)[None] / 255  # (1, C, side, side)
    if side != resolution:
        channels = torch.nn.functional.interpolate(
            channels, size=(resolution, resolution), mode="bilinear", align_corners=False, antialias=True
        )
    return channels[0].movedim(0, 2).contiguous()


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e30
