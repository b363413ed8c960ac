"""The names that images and animations are chosen by. Nothing heavy is imported here, so that help texts stay quick."""

from __future__ import annotations

from typing import Literal

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
