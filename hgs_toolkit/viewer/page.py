"""A page of one file: the scene, a splat renderer and controls, which a browser opens without a network."""

from __future__ import annotations

import base64
import html
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch

from hgs_toolkit.asset import AssetMetadata
from hgs_toolkit.files import write_bytes
from hgs_toolkit.gaussians import BACKGROUND_LEVEL, GaussianHierarchy
from hgs_toolkit.imaging.camera_paths import frame_scene
from hgs_toolkit.imaging.looks import LEVEL_COLORS, level_colors
from hgs_toolkit.imaging.scene_images import natural_background
from hgs_toolkit.viewer.packing import pack_scene

SCRIPTS = ("unpack.js", "detail.js", "sorting.js", "renderer.js", "camera.js", "page.js")
"""Parts of the page's program, in the order in which they are put together."""


@dataclass(frozen=True)
class PageSettings:
    """What a page says and how it first looks.

    Attributes:
        title: text of the page's heading and tab.
        focal: normalised focal length of its camera, in widths of a square image.
        radius: distance of the camera from ``center``, world units; None frames the scene wherever it lies.
        background: colour behind the scene, RGB in 0..1; None is black or white, as natural for the scene.
        yaw, pitch: direction of the first camera, degrees; 0 is the front.
        zoom: factor on the size of the scene in view.
        antialiased: whether the scene was trained for antialiased rendering.
    """

    title: str = "Gaussians"
    focal: float = 2.0
    radius: float | None = None
    background: Sequence[float] | None = None
    yaw: float = 0.0
    pitch: float = 0.0
    zoom: float = 1.0
    antialiased: bool = False

    @classmethod
    def of(cls, metadata: AssetMetadata, title: str, background: Sequence[float] | None = None) -> PageSettings:
        """The camera an asset was made for; one that frames the scene where it is a file of another program."""
        radius = metadata.radius if metadata.generator else None
        return cls(title, metadata.focal, radius, background, antialiased=metadata.antialiased)


def make_page(scene: GaussianHierarchy, settings: PageSettings | None = None) -> str:
    """HTML of one scene (a batch of one): self-contained, it neither loads nor sends anything.

    Raises:
        ShapeError: if the batch is not one, or there is no Gaussian.
    """
    settings = settings or PageSettings()
    packed = pack_scene(scene)
    facts = packed.header | {
        "title": settings.title,
        "view": _view(scene, settings),
        "levels": _levels(scene),
        "palette": LEVEL_COLORS,
        "antialiased": settings.antialiased,
    }
    parts = {
        "TITLE": html.escape(settings.title),
        "STYLE": _part("page.css"),
        # Without "<" nothing in a script element can end it, or make the browser look for another end.
        "FACTS": json.dumps(facts, allow_nan=False).replace("<", "\\u003c"),
        "BLOCK": base64.b64encode(packed.block).decode("ascii"),
        "PROGRAM": "\n".join(map(_part, SCRIPTS)),
    }
    pieces = _part("page.html").split("@@")
    # Every second piece is a name: parts are not searched for names of others.
    return "".join(parts[piece] if index % 2 else piece for index, piece in enumerate(pieces))


def save_page(
    path: str | Path, scene: GaussianHierarchy, settings: PageSettings | None = None, *, force: bool = True
) -> None:
    """Write :func:`make_page`'s page, atomically.

    Raises:
        HgsError: if the file cannot be written, or exists and not ``force``.
    """
    write_bytes(path, make_page(scene, settings).encode(), force=force)


def _part(name: str) -> str:
    return (files("hgs_toolkit.viewer") / "page" / name).read_text(encoding="utf-8")


def _view(scene: GaussianHierarchy, settings: PageSettings) -> dict[str, Any]:
    """First camera and background."""
    center, radius = torch.zeros(3), settings.radius
    if radius is None:
        center, radius = frame_scene(scene, settings.focal)
    background = settings.background or natural_background(scene)
    return {
        "focal": settings.focal * settings.zoom, "radius": radius, "center": center.tolist(),
        "yaw": math.radians(settings.yaw), "pitch": math.radians(settings.pitch), "background": list(background),
    }  # fmt: skip


def _levels(scene: GaussianHierarchy) -> list[dict[str, Any]]:
    """Name, number, count and display colour of each level that has Gaussians, the background last."""
    numbers = [level for level in (*range(scene.num_levels), BACKGROUND_LEVEL) if bool((scene.level == level).any())]
    return [
        {
            "level": level,
            "name": "background" if level == BACKGROUND_LEVEL else f"level {level}",
            "count": int((scene.level == level).sum()),
            "color": level_colors(torch.tensor(level)).tolist(),
        }
        for level in numbers
    ]
