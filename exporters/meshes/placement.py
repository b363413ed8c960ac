"""How a mesh lies in a file: up axis, unit, size and floor, and the transform there from scene units, y up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import trimesh

from hgs_toolkit.errors import ConfigError

UP_AXES = ("y", "z")

UNITS = {"metre": 1.0, "millimetre": 1000.0}
"""Units of a file per scene unit; a scene unit counts as a metre."""

VOXEL, MAX_VOXELS = "voxel", 256
"""The unit of a grid of voxels, and the greatest number of them along a side."""

Y_UP_TO_Z_UP = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
"""A quarter turn about x: y becomes z, and what faced +z faces -y, the front in Blender and in slicers."""


@dataclass(frozen=True)
class MeshPlacement:
    """How a mesh lies in a file.

    Attributes:
        up: ``y`` or ``z``.
        unit: a key of UNITS, or VOXEL: the lowest corner is the origin then.
        size: longest side in that unit; None keeps the scene's size, or of voxels the points of the mesh's grid.
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
        if self.size is not None and self.unit == VOXEL and self.size not in range(1, MAX_VOXELS + 1):
            raise ConfigError(f"size {self.size:g}; expected a whole number of voxels from 1 to {MAX_VOXELS}")

    def scale(self, mesh: trimesh.Trimesh) -> float:
        """Units of the file per unit of ``mesh``."""
        longest = float(mesh.extents.max())
        if self.size is not None:
            return self.size / longest
        if self.unit == VOXEL:
            return min(int(mesh.metadata.get("hgs", {}).get("resolution", MAX_VOXELS)), MAX_VOXELS) / longest
        return UNITS[self.unit]


def place_meshes(meshes: dict[str, trimesh.Trimesh], placement: MeshPlacement) -> dict[str, trimesh.Trimesh]:
    """Copies of the meshes under one transform; the size and the floor of the first mesh determine it."""
    first = next(iter(meshes.values()))
    matrix = np.eye(4)
    turn = Y_UP_TO_Z_UP if placement.up == "z" else np.eye(3)
    matrix[:3, :3] = turn * placement.scale(first)
    lowest = (first.vertices @ matrix[:3, :3].T).min(axis=0)
    if placement.unit == VOXEL:
        matrix[:3, 3] = -lowest
    elif placement.floor:
        height = UP_AXES.index(placement.up) + 1
        matrix[height, 3] = -lowest[height]
    placed = {}
    for name, mesh in meshes.items():
        placed[name] = mesh.copy(include_cache=True)  # with its normals: those of a texture's seams cannot be made anew
        placed[name].apply_transform(matrix)
    return placed
