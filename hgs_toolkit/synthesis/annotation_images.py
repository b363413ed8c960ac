"""The images among the annotations, as arrays of pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hgs_toolkit.datasets.images import Pixels, to_uint8
from hgs_toolkit.imaging.srgb import linear_to_srgb, srgb_to_linear

if TYPE_CHECKING:
    from hgs_toolkit.synthesis.background_images import BackgroundImages
    from hgs_toolkit.synthesis.drawing import Layers
    from hgs_toolkit.synthesis.plan import SynthPlan
    from hgs_toolkit.synthesis.views import PlannedView

NOTHING, BACKGROUND = 0, 1
"""Values of a level image that are no level of the tree; level l is 2 + l."""

Values = NDArray[np.floating]


def compose(plan: SynthPlan, view: PlannedView, layers: Layers, backgrounds: BackgroundImages | None) -> Pixels:
    """The image (H, W, 3), or (H, W, 4) with straight alpha, over its background and exposed.

    Args:
        backgrounds: the images behind the scenes, where the plan's background is ``pictures``.
    """
    color, alpha = np.moveaxis(layers.color, -1, 0), layers.alpha  # (3, H, W), (H, W)
    if plan.background == "transparent":
        straight = expose(color / np.maximum(alpha, 1e-6), view.exposure)
        return _interleaved(np.concatenate([straight, alpha[None]]))
    if plan.background == "model":  # black shows through it, as in the model's training
        return _interleaved(expose(color, view.exposure))
    behind: Any = view.color if plan.background == "random" else plan.color
    behind = np.reshape(np.asarray(behind, dtype=np.float32), (3, 1, 1))
    if plan.background == "pictures":
        assert backgrounds is not None
        behind = np.moveaxis(backgrounds.square(view.crop, plan.settings.size) / np.float32(255), -1, 0)
    return _interleaved(expose(color + (1 - alpha) * behind, view.exposure))


def _interleaved(planes: Values) -> Pixels:
    """Values (C, H, W) in 0..1 as bytes (H, W, C)."""
    channels, height, width = planes.shape
    pixels = np.empty((height, width, channels), np.uint8)
    np.moveaxis(pixels, -1, 0)[:] = to_bytes(planes)
    return pixels


def expose(color: Values, stops: float) -> Values:
    """Display RGB as a camera would record it with ``stops`` more light: multiplied in linear light, then clipped.

    The transfer curve is sRGB's (IEC 61966-2-1).
    """
    if stops == 0:
        return color
    color = np.clip(color, 0, 1)
    return linear_to_srgb(np.clip(srgb_to_linear(color) * 2.0**stops, 0, 1))


def depth_image(layers: Layers, scale: int) -> NDArray[np.uint16]:
    """Depth (H, W) in steps of 1 / ``scale`` world units; 0 only where nothing is drawn."""
    assert layers.depth is not None
    steps = np.clip(np.rint(layers.depth * scale), 1, np.iinfo(np.uint16).max)
    return np.where(layers.alpha > 0, steps, 0).astype(np.uint16)


def normal_image(layers: Layers) -> Pixels:
    """World normals (H, W, 3), normalised, as (n + 1) / 2 of 255; 128 where nothing is drawn."""
    assert layers.normal is not None
    normal = np.moveaxis(layers.normal, -1, 0)  # (3, H, W)
    length = np.sqrt(normal[0] * normal[0] + normal[1] * normal[1] + normal[2] * normal[2])
    pixels = np.empty(layers.normal.shape, np.uint8)
    scaled = normal * (np.float32(127.5) / np.maximum(length, np.float32(1e-12)))
    scaled += np.float32(128)  # rounded: 127.5 and a half
    np.moveaxis(pixels, -1, 0)[:] = scaled.astype(np.uint8)
    return pixels


def level_image(layers: Layers) -> Pixels:
    """The level (H, W) with the largest share of each pixel, plus 2; see NOTHING and BACKGROUND."""
    assert layers.level is not None
    most, strongest = layers.level[..., 0], np.full(layers.alpha.shape, BACKGROUND, np.uint8)
    for column in range(1, layers.level.shape[-1]):  # argmax over so short an axis takes several times as long
        share = layers.level[..., column]
        np.copyto(strongest, BACKGROUND + column, where=share > most)
        most = np.maximum(most, share)
    np.copyto(strongest, NOTHING, where=layers.alpha <= 0)
    return strongest


def to_bytes(values: Values) -> Pixels:
    """Values in 0..1, of any shape, as bytes: clamped and rounded."""
    scaled = values * np.float32(255)
    return to_uint8(np.clip(scaled, 0, 255, out=scaled))
