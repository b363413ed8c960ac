"""Images that show a dataset at a glance: histograms of its poses, and a contact sheet."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from hgs_toolkit.cameras import Cameras, yaw_pitch_radius
from hgs_toolkit.datasets.critters.raycast import Array
from hgs_toolkit.datasets.eg3d import Labels, PosedImages
from hgs_toolkit.datasets.framing import compose_over
from hgs_toolkit.imaging.captions import labelled_sheet
from hgs_toolkit.imaging.images import grid, save_png

HISTOGRAMS, CONTACT = "poses.png", "contact.png"
"""Names of the files."""

PANEL = (240, 180)
"""Width and height of a histogram, pixels."""

BARS = 40
MOST_IMAGES, THUMBNAIL = 64, 96
INK, BAR = (40, 40, 40), (70, 120, 190)


def save_check_pictures(dataset: PosedImages, folder: Path, *, force: bool = False) -> list[Path]:
    """Write both images into ``folder`` and return their paths. HgsError if one exists and not ``force``."""
    paths = [folder / HISTOGRAMS, folder / CONTACT]
    values = pose_values(dataset.labels)
    save_png(
        paths[0], labelled_sheet([[_histogram(column) for column in values.values()]], [""], list(values)), force=force
    )
    save_png(paths[1], contact_sheet(dataset), force=force)
    return paths


def pose_values(labels: Labels) -> Mapping[str, Array]:
    """Yaw, pitch and roll in degrees, radius and focal length of labels (N, 25).

    The roll is the angle by which the world's up leans to the right in the image.
    """
    cameras = Cameras.from_labels(torch.from_numpy(labels).double())
    yaw, pitch, radius = yaw_pitch_radius(cameras.cam_to_world)
    up = cameras.cam_to_world[:, 1, :2]  # the world's y along the camera's x (right) and y (down)
    roll = torch.atan2(up[:, 0], -up[:, 1])
    columns = {"yaw": yaw.rad2deg(), "pitch": pitch.rad2deg(), "roll": roll.rad2deg(), "radius": radius}
    return {name: column.numpy() for name, column in (columns | {"focal": cameras.intrinsics[:, 0, 0]}).items()}


def contact_sheet(dataset: PosedImages) -> Tensor:
    """Up to MOST_IMAGES images, evenly spread over the set, over white, as one image (H, W, 3) in 0..1."""
    count = min(len(dataset), MOST_IMAGES)
    thumbnails = []
    for index in np.linspace(0, len(dataset) - 1, count).round().astype(int):
        pixels = dataset.image(int(index))
        pixels = compose_over(pixels, (1.0, 1.0, 1.0)) if pixels.shape[2] == 4 else pixels
        small = Image.fromarray(pixels).resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BICUBIC)
        thumbnails.append(torch.from_numpy(np.array(small)) / 255)
    return grid(torch.stack(thumbnails), gap=2)


def _histogram(values: Array) -> Tensor:
    """Bars of ``values`` with their range below, (H, W, 3) in 0..1."""
    width, height = PANEL
    middle, reach = float(values.mean()), max(float(np.ptp(values)) / 2, 1e-3)
    low, high = min(float(values.min()), middle - reach), max(float(values.max()), middle + reach)
    counts, _ = np.histogram(values, BARS, (low, high))
    panel = Image.new("RGB", PANEL, (255, 255, 255))
    draw, floor, step = ImageDraw.Draw(panel), height - 20, width / BARS
    for bar, count in enumerate(counts):
        top = floor - round((floor - 6) * int(count) / int(counts.max()))
        draw.rectangle((bar * step, top, (bar + 1) * step - 1, floor), fill=BAR)
    draw.line((0, floor, width, floor), fill=INK)
    draw.text((2, height - 2), f"{low:.4g}", fill=INK, anchor="lb")
    draw.text((width - 2, height - 2), f"{high:.4g}", fill=INK, anchor="rb")
    return torch.from_numpy(np.array(panel)) / 255
