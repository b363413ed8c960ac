"""The names that images and animations are chosen by. Nothing heavy is imported here, so that help texts stay quick."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from hgs_toolkit.errors import ConfigError

Mode = Literal["rgb", "depth", "alpha", "normal", "level", "ellipsoid", "anchors"]
"""What an image shows: colour, another property of the scene, hard ellipsoids, or the generator's anchors."""

Trajectory = Literal["orbit", "ellipse", "sweep", "frontal"]
"""Camera paths: around the subject, swaying in front of it, from side to side, standing still in front."""

SceneAnimation = Literal["grow", "shrink"]
"""Changes of one scene over a turn of the loop."""

VIDEO_SUFFIXES = (".mp4", ".gif")
"""Suffixes of videos that can be written."""

AnimationKind = Literal["interpolate", "grow", "shrink", "levels", "mix"]
"""Animations of a model's scenes."""

GIF_FPS = 50
"""Frames a second of a .gif at most: browsers slow down what is faster."""


def refuse_fast_gif(path: Path, fps: float) -> None:
    """Raise a ConfigError for a .gif of more than GIF_FPS frames a second."""
    if path.suffix.lower() == ".gif" and fps > GIF_FPS:
        raise ConfigError(f"{fps:g} frames a second; a .gif has at most {GIF_FPS}, write an .mp4")
