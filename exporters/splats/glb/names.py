"""What the reader and the writer of Gaussians in glTF have in common: the names and numbers of the extension."""

from __future__ import annotations

EXTENSION = "KHR_gaussian_splatting"

SPZ_EXTENSION = "KHR_gaussian_splatting_compression_spz_2"
"""The proposed companion extension: a buffer view holds an .spz file in place of the attributes' values."""

MAX_DEGREE = 3

POINTS, FLOAT, UNSIGNED_BYTE, ARRAY_BUFFER = 0, 5126, 5121, 34962

LEVEL_ENTRY = "hgs_level"
"""Entry of a node's ``extras`` that states the level of its Gaussians."""

LEVEL, PARENT = "_LEVEL", "_PARENT"
"""Custom attributes that keep the tree."""


def named(name: str) -> str:
    """The name of one of the extension's attributes."""
    return f"{EXTENSION}:{name}"


def harmonics(degree: int, first: int = 0) -> list[str]:
    """The names of the coefficients' attributes from the degree ``first`` on, in the order of a scene's."""
    return [named(f"SH_DEGREE_{l_}_COEF_{n}") for l_ in range(first, degree + 1) for n in range(2 * l_ + 1)]


def splat_properties() -> dict[str, str]:
    """What a primitive's extension states of our Gaussians."""
    return {
        "kernel": "ellipse", "colorSpace": "srgb_rec709_display",
        "projection": "perspective", "sortingMethod": "cameraDistance",
    }  # fmt: skip
