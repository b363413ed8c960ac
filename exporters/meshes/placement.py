"""How a mesh lies in a file: up axis, unit, size and floor, and the transform there from scene units, y up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import trimesh

from hgs_toolkit.errors import ConfigError

UP_AXES = ("y", "z")

UNITS = {"metre": 1.0, "millimetre": 1000.0}
"""Units of a file per scene unit; a scene unit counts as a metre."""

Y_UP_TO_Z_UP = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
"""A quarter turn about x: y becomes z, and what faced +z faces -y, the front in Blender and in slicers."""


@dataclass(frozen=True)
class MeshPlacement:
    """How a mesh lies in a file.

    Attributes:
        up: ``y`` or ``z``.
        unit: a key of UNITS.
        size: longest side in that unit; None keeps the scene's size.
        floor: move the mesh up or down so that it stands on height 0.
    """

    up: str = "y"
    unit: str = "metre"
    size: float | None = None
    floor: bool = False

    def __post_init__(self) -> None:
        if self.up not in UP_AXES:
            raise ConfigError(f"up axis '{self.up}'; expected {' or '.join(UP_AXES)}")
        if self.size is not None and not 0 < self.size < 1e6:
            raise ConfigError(f"size {self.size:g}; expected more than 0 and less than a million {self.unit}s")


def place_meshes(meshes: dict[str, trimesh.Trimesh], placement: MeshPlacement) -> dict[str, trimesh.Trimesh]:
    """Copies of the meshes under one transform; the size and the floor of the first mesh determine it."""
    first = next(iter(meshes.values()))
    matrix = np.eye(4)
    turn = Y_UP_TO_Z_UP if placement.up == "z" else np.eye(3)
    longest = float(first.extents.max())
    scale = UNITS[placement.unit] if placement.size is None else placement.size / longest
    matrix[:3, :3] = turn * scale
    if placement.floor:
        height = UP_AXES.index(placement.up) + 1
        matrix[height, 3] = -(first.vertices @ matrix[:3, :3].T)[:, height].min()
    placed = {}
    for name, mesh in meshes.items():
        placed[name] = mesh.copy()
        placed[name].apply_transform(matrix)
    return placed
