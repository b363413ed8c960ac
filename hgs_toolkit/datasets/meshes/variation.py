"""What is varied each time a model is drawn, so that a few models make a set in which they cannot be counted.

A text or another drawing on a texture would be ruined by mirroring, so models are never mirrored.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from hgs_toolkit.datasets.critters.raycast import Values
from hgs_toolkit.datasets.scene_prior import LIGHT
from hgs_toolkit.errors import DataError


@dataclass(frozen=True)
class Drawing:
    """One choice of everything that varies; the default changes nothing.

    Attributes:
        scale: (3,) factors of the model's axes, at most 1 so that it stays inside its sphere.
        color: (3, 3) matrix that turns sRGB colours into those drawn.
        light: (3,) unit vector to the sun.
    """

    scale: Values = field(default_factory=lambda: np.ones(3, dtype=np.float32))
    color: Values = field(default_factory=lambda: np.eye(3, dtype=np.float32))
    light: Values = field(default_factory=lambda: LIGHT)


@dataclass(frozen=True)
class Variation:
    """How far a drawing may differ from the model as it is; 0 varies nothing.

    Attributes:
        hue: largest turn of the hues, radians.
        value: largest relative change of the colours' value, in [0, 1).
        light: largest turn of the sun around the model, radians; its height changes by up to a quarter of that.
        scale: largest relative change of each axis' length, in [0, 1).
    """

    hue: float = 0.0
    value: float = 0.0
    light: float = 0.0
    scale: float = 0.0

    def __post_init__(self) -> None:
        for name, limit in (("hue", math.pi), ("value", 0.95), ("light", math.pi), ("scale", 0.95)):
            if not 0 <= getattr(self, name) <= limit:
                raise DataError(f"the variation of {name} is {getattr(self, name):g}; expected 0 ... {limit:.3g}")

    def draw(self, rng: np.random.Generator) -> Drawing:
        """A drawing, every change uniform within its limit."""
        hue, value, turn, lift = rng.uniform(-1, 1, 4)
        scale = 1 + self.scale * rng.uniform(-1, 1, 3)
        return Drawing(
            scale=(scale / scale.max()).astype(np.float32) if self.scale else np.ones(3, dtype=np.float32),
            color=((1 + self.value * value) * _hue_rotation(self.hue * hue)).astype(np.float32),
            light=_turned_light(self.light * turn, 0.25 * self.light * lift),
        )


def _hue_rotation(angle: float) -> Values:
    """Rotation (3, 3) of colours around the grey axis, which keeps their mean."""
    third, cosine, sine = 1 / 3, math.cos(angle), math.sin(angle)
    near, far = third * (1 - cosine), sine * math.sqrt(third)
    own = cosine + near
    rows = [[own, near - far, near + far], [near + far, own, near - far], [near - far, near + far, own]]
    matrix: Values = np.array(rows, dtype=np.float32)
    return matrix


def _turned_light(turn: float, lift: float) -> Values:
    """LIGHT turned around the vertical axis and raised, radians."""
    if turn == 0 and lift == 0:
        unturned: Values = LIGHT
        return unturned
    x, y, z = LIGHT.astype(float)
    yaw, pitch = math.atan2(x, z) + turn, min(max(math.asin(y) + lift, 0.0), math.pi / 2)
    level = math.cos(pitch)
    return np.array([math.sin(yaw) * level, math.sin(pitch), math.cos(yaw) * level], dtype=np.float32)
