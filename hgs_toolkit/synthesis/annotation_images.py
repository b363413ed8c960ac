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
    alpha = layers.alpha[..., None]
    if plan.background == "transparent":
        straight = expose(layers.color / np.maximum(alpha, 1e-6), view.exposure)
        return to_bytes(np.concatenate([straight, alpha], axis=-1))
    if plan.background == "model":  # black shows through it, as in the model's training
        return to_bytes(expose(layers.color, view.exposure))
    behind: Any = view.color if plan.background == "random" else plan.color
    if plan.background == "pictures":
        assert backgrounds is not None
        behind = backgrounds.square(view.crop, plan.settings.size) / np.float32(255)
    color = layers.color + (1 - alpha) * np.asarray(behind, dtype=np.float32)
    return to_bytes(expose(color, view.exposure))


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
    normal = layers.normal
    length = np.sqrt(np.einsum("hwc,hwc->hw", normal, normal))
    scaled = normal * (np.float32(127.5) / np.maximum(length, np.float32(1e-12)))[..., None]
    scaled += np.float32(128)  # rounded: 127.5 and a half
    pixels: Pixels = scaled.astype(np.uint8)
    return pixels


def level_image(layers: Layers) -> Pixels:
    """The level (H, W) with the largest share of each pixel, plus 2; see NOTHING and BACKGROUND."""
    assert layers.level is not None
    most, strongest = layers.level[..., 0], np.full(layers.alpha.shape, BACKGROUND, np.uint8)
    for column in range(1, layers.level.shape[-1]):  # argmax over so short an axis takes several times as long
        stronger = layers.level[..., column] > most
        strongest[stronger] = BACKGROUND + column
        most = np.where(stronger, layers.level[..., column], most)
    strongest[layers.alpha <= 0] = NOTHING
    return strongest


def to_bytes(values: Values) -> Pixels:
    """Values in 0..1, of any shape, as bytes: clamped and rounded."""
    scaled = values * np.float32(255)
    return to_uint8(np.clip(scaled, 0, 255, out=scaled))
