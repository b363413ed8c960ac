"""Materials of meshes as the renderer needs them: a colour and a texture, from .mtl files and from glTF."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from trimesh.visual.material import PBRMaterial, SimpleMaterial

from hgs_toolkit.datasets.critters.raycast import Values
from hgs_toolkit.datasets.meshes.obj_text import GRAY

GAMMA = 2.2
"""Exponent of the power law between sRGB and linear light: with it the product of two linear values is that of the two
in sRGB."""

MADE_UP_SIZE = (2, 2)
"""Width and height of the image in the material that trimesh makes up."""


@dataclass(frozen=True)
class Material:
    """Colour and texture of a surface.

    Attributes:
        color: (4,) float32 sRGB and alpha in [0, 1]; multiplies the texture.
        texture: (h, w, 4) uint8 sRGB and straight alpha, first row on top; None without one.
    """

    color: Values
    texture: npt.NDArray[np.uint8] | None = None


def read_material(material: Any, texture_size: int) -> Material:
    """A trimesh material with its texture averaged down to ``texture_size``; None is plain white."""
    if material is None:
        return Material(np.ones(4, dtype=np.float32))
    if _is_default(material):
        return Material(np.array([*GRAY, 1], dtype=np.float32))
    if isinstance(material, PBRMaterial):
        return _gltf_material(material, texture_size)
    image = getattr(material, "image", None)
    color = np.asarray(material.diffuse, np.float32) / np.float32(255)
    color[3] = _mtl_opacity(material.kwargs)
    if image is not None and ("kd" not in material.kwargs or not color[:3].any()):
        color[:3] = 1  # what has a texture needs no colour, and some exporters write Kd 0 beside one
    return Material(color, None if image is None else _texture(image, texture_size))


def _is_default(material: Any) -> bool:
    """Whether trimesh made the material up, as it does for texture coordinates without one."""
    if not isinstance(material, SimpleMaterial) or "_name" in vars(material) or material.kwargs:
        return False
    return material.image is None or material.image.size == MADE_UP_SIZE


def _gltf_material(material: PBRMaterial, texture_size: int) -> Material:
    """glTF 2.0, 3.9: the factor is linear, see GAMMA."""
    factor = material.baseColorFactor
    color = np.ones(4, dtype=np.float32) if factor is None else np.asarray(factor, np.float32) / np.float32(255)
    color[:3] **= 1 / GAMMA
    texture = None if material.baseColorTexture is None else _texture(material.baseColorTexture, texture_size)
    mode = material.alphaMode or "OPAQUE"
    if mode == "OPAQUE":
        color[3] = 1
    if texture is not None and mode != "BLEND":
        cutoff = 255 * (0.5 if material.alphaCutoff is None else material.alphaCutoff)
        texture[..., 3] = 255 if mode == "OPAQUE" else 255 * (texture[..., 3] >= cutoff)
    return Material(color, texture)


def _mtl_opacity(entries: dict[str, Any]) -> float:
    """The MTL file's ``d`` (dissolve), or 1 - ``Tr``."""
    for key, sign, offset in (("d", 1, 0), ("tr", -1, 1)):
        try:
            return min(max(offset + sign * float(entries[key][-1]), 0.0), 1.0)
        except (KeyError, IndexError, ValueError, TypeError):
            continue
    return 1.0


def _texture(image: Image.Image, size: int) -> npt.NDArray[np.uint8]:
    """(h, w, 4) uint8 with no side longer than ``size``."""
    converted = image.convert("RGBA")
    factor = -(-max(converted.size) // size)
    return np.array(converted.reduce(factor) if factor > 1 else converted, dtype=np.uint8)
