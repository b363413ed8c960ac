"""Meshes as MagicaVoxel .vox: the voxels that the surface passes through, with a palette of 255 colours.

The chunks are MAIN around SIZE (voxels along x, y, z), XYZI (their number; x, y, z and palette index of each, one byte
each) and RGBA (the palette, whose entry i - 1 is index i). z points up.
"""

from __future__ import annotations

import struct

import numpy as np
import trimesh
from numpy.typing import NDArray
from PIL import Image

from hgs_toolkit.exporters.meshes.color import vertex_colors
from hgs_toolkit.exporters.meshes.placement import MAX_VOXELS

VERSION = 150

COLORS = 255
"""Number of colours of the palette; index 0 means empty."""

PLAIN = 178
"""Grey level of a mesh without colours, sRGB."""


def encode_vox(mesh: trimesh.Trimesh) -> bytes:
    """The file of a mesh that is placed in voxels, of which the longest side has at most MAX_VOXELS."""
    places, colors = surface_voxels(mesh, min(max(round(float(mesh.extents.max())), 1), MAX_VOXELS))
    indices, palette = _quantized(colors)
    size = places.max(axis=0) + 1
    rows = np.concatenate([places, indices[:, None] + 1], axis=1).astype(np.uint8)
    chunks = [
        _chunk(b"SIZE", struct.pack("<3I", *(int(side) for side in size))),
        _chunk(b"XYZI", struct.pack("<I", len(rows)) + rows.tobytes()),
        _chunk(b"RGBA", palette.tobytes()),
    ]
    return b"VOX " + struct.pack("<I", VERSION) + _chunk(b"MAIN", b"", b"".join(chunks))


def surface_voxels(mesh: trimesh.Trimesh, side: int) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Places (M, 3), 0 to ``side`` - 1, of the voxels that the surface passes through, and their colours (M, 3).

    ``side`` voxels span the longest side of the mesh. The surface is sampled at less than half a voxel.
    """
    low, pitch = mesh.bounds[0], float(mesh.extents.max()) / side
    last = np.maximum(np.ceil(mesh.extents / pitch - 1e-6).astype(int) - 1, 0)  # what ends on a boundary lies before it
    corners = (mesh.triangles - low) / pitch  # (F, 3, 3), voxels
    colors = vertex_colors(mesh)
    corner_colors = np.full((*corners.shape[:2], 3), PLAIN) if colors is None else colors[mesh.faces].astype(int)
    longest = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max(axis=1)
    steps = np.maximum(np.ceil(2.2 * longest), 1).astype(int)
    keys, sums = [], []
    for count in np.unique(steps):
        weights = _barycentric(int(count))  # (S, 3)
        group = steps == count
        points = np.einsum("sk,fkc->fsc", weights, corners[group]).reshape(-1, 3)
        paint = np.einsum("sk,fkc->fsc", weights, corner_colors[group]).reshape(-1, 3)
        places = np.clip(np.floor(points).astype(np.int64), 0, last)
        key, inverse = np.unique(places @ [side * side, side, 1], return_inverse=True)
        total = np.stack([np.bincount(inverse, column) for column in (*paint.T, np.ones(len(paint)))], axis=1)
        keys.append(key)
        sums.append(total)
    key, inverse = np.unique(np.concatenate(keys), return_inverse=True)
    whole = np.zeros((len(key), 4))
    np.add.at(whole, inverse, np.concatenate(sums))
    places = np.stack([key // side**2, key // side % side, key % side], axis=1)
    return places - places.min(axis=0), np.asarray(np.rint(whole[:, :3] / whole[:, 3:]), np.uint8)


def _barycentric(steps: int) -> NDArray[np.float64]:
    """(S, 3) weights of the points of a triangle on a lattice of ``steps`` intervals along each edge."""
    i, j = (index.ravel() for index in np.mgrid[: steps + 1, : steps + 1])
    inside = i + j <= steps
    return np.asarray(np.stack([i, j, steps - i - j], axis=1)[inside] / steps)


def _quantized(colors: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The entry of each colour (M,) in a palette (256, 4) RGBA, of which the first COLORS are used."""
    image = Image.fromarray(colors[None]).quantize(COLORS, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    palette = np.zeros((256, 4), np.uint8)
    entries = np.array(image.getpalette(), np.uint8).reshape(-1, 3)[:COLORS]
    palette[: len(entries), :3] = entries
    palette[: len(entries), 3] = 255
    return np.asarray(image).reshape(-1), palette


def _chunk(name: bytes, content: bytes, children: bytes = b"") -> bytes:
    return name + struct.pack("<2I", len(content), len(children)) + content + children
