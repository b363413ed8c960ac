"""Spark's .rad, version 1: a tree of Gaussians from which the viewer draws, for each view, as many as it has time for.

After a JSON header come chunks of 65,536 Gaussians, each with a JSON header of its own and its values column by column
(all x, all y, ...), deflated. A node's children are side by side and behind it; the root is the first. Spark draws a
node in place of its children until its budget is used up, so every leaf must be a Gaussian of the scene and every inner
node look like the leaves below it: see :mod:`~hgs_toolkit.exporters.splats.merge_tree`. A tree of pairs meets any
budget exactly. Higher harmonics, signs and order are those of 3D-GS. The reader is in
:mod:`~hgs_toolkit.exporters.splats.rad.reader`.

The frame is y up unless another is asked for: Spark draws in three.js' world, which is y up, without a turn.
"""

from __future__ import annotations

import json
import math
import re
import struct
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hgs_toolkit.encoding import dc_to_rgb, sh_bases, sh_degree
from hgs_toolkit.errors import FormatError
from hgs_toolkit.exporters.frames import convert_frame
from hgs_toolkit.exporters.options import ExportOptions
from hgs_toolkit.exporters.splats.merge_tree import MergeTree, merge_tree
from hgs_toolkit.exporters.splats.packing.quaternions import equal_rotations
from hgs_toolkit.exporters.splats.rad.encodings import PLAIN
from hgs_toolkit.gaussians import GaussianHierarchy
from hgs_toolkit.imaging.camera_paths import subject_bounds
from hgs_toolkit.version import program_name

FRAME = "y_up"

FRAME_COMMENT = re.compile(r"frame (y_up|rdf)")
"""What the writer says of it in the header's comment."""

FILE_MAGIC, CHUNK_MAGIC, VERSION = b"RAD0", b"RADC", 1
CHUNK = 65_536
"""Nodes of a chunk; Spark addresses pages of this size."""

MAX_NODES = 2**32 - 1

ALIGNMENT = 8

RAW_DEFLATE = -15
"""zlib's code for a stream without header; the format calls it "gz"."""

COMPRESSION_LEVEL = 6

MOST_COVERING = 2.0
"""Largest alpha of a node."""

SUBJECT_SHARE = 0.95
"""Of the Gaussians; what is farther away than these is no part of what a picture frames."""

PIXELS_ACROSS = 200
"""Diameter of the subject, pixels, from which on all its Gaussians can be asked for. Our own cameras show it across 285
of a picture's 320 pixels, and what lies on its far side as if across 230."""

DENSEST = 10
"""Gaussians on a pixel of the subject beyond which this needs a larger picture: fine scans are not blurred for it."""

Columns = dict[str, tuple[str, NDArray[Any]]]


def write_rad(path: Path, scene: GaussianHierarchy, options: ExportOptions) -> None:
    """Write one scene as a tree.

    Raises:
        FormatError: if it has more nodes than the format can count.
    """
    if 2 * scene.num_gaussians - 1 > MAX_NODES:
        raise FormatError(f"{scene.num_gaussians} Gaussians; a .rad file holds at most {(MAX_NODES + 1) // 2}")
    frame = options.frame or FRAME
    scene = convert_frame(scene.detach().to("cpu", torch.float32), "y_up", frame)
    tree = openable(merge_tree(scene), least_size(scene))
    degree = sh_degree(tree.sh.shape[1])
    chunks = [_chunk(tree, start, degree) for start in range(0, len(tree), CHUNK)]
    ends = np.cumsum([len(chunk) for chunk in chunks]).tolist()
    header = {
        "version": VERSION, "type": "gsplat", "count": len(tree), "maxSh": degree, "lodTree": True, "chunkSize": CHUNK,
        "allChunkBytes": ends[-1],
        "chunks": [{"offset": end - len(chunk), "bytes": len(chunk)} for end, chunk in zip(ends, chunks, strict=True)],
        "comment": f"{program_name()}, frame {frame}",
    }  # fmt: skip
    with open(path, "wb") as file:
        file.write(_described(FILE_MAGIC, header))
        file.writelines(chunks)


def least_size(scene: GaussianHierarchy) -> float:
    """Size of a pixel, world units, in the smallest picture in which all Gaussians of ``scene`` can be asked for."""
    _, radius = subject_bounds(scene, SUBJECT_SHARE)
    across = max(PIXELS_ACROSS, math.sqrt(scene.num_gaussians / (DENSEST * math.pi / 4)))
    return 2 * float(radius) / across


def openable(tree: MergeTree, least: float) -> MergeTree:
    """``tree`` with its small inner nodes grown to the size ``least``, and thinned as much: they cover what they did.

    Spark never opens a node whose size, twice the mean of its standard deviations (more with an alpha above 1), is less
    than a pixel, however much of the budget is left.
    """
    sizes = np.maximum(2 * tree.scales.mean(axis=1), np.finfo(np.float32).tiny)  # (M,)
    growth = np.where(tree.first_child >= 0, least / sizes, 1).clip(min=1)
    return replace(tree, scales=tree.scales * growth[:, None], density=tree.density / growth**2)


def _chunk(tree: MergeTree, start: int, degree: int) -> bytes:
    rows = slice(start, min(start + CHUNK, len(tree)))
    count, properties, payload = rows.stop - start, [], bytearray()
    for name, (encoding, values) in _columns(tree, rows, degree).items():
        data = _deflated(values.T.astype(PLAIN[encoding]))
        properties.append({"property": name, "encoding": encoding, "compression": "gz",
                           "offset": len(payload), "bytes": len(data)})  # fmt: skip
        payload += data + bytes(-len(data) % ALIGNMENT)
    header = {
        "version": VERSION, "base": start, "count": count, "payloadBytes": len(payload), "maxSh": degree,
        "lodTree": True, "properties": properties,
    }  # fmt: skip
    return _described(CHUNK_MAGIC, header) + struct.pack("<Q", len(payload)) + bytes(payload)


def _described(magic: bytes, header: dict[str, Any]) -> bytes:
    """A JSON header behind its magic number and length, padded."""
    text = json.dumps(header, separators=(",", ":")).encode()
    return magic + struct.pack("<I", len(text)) + text + bytes(-len(text) % ALIGNMENT)


def _columns(tree: MergeTree, rows: slice, degree: int) -> Columns:
    """Encoding and values (count, width) of each property.

    Half floats suffice where Spark itself keeps 8 bits; positions are whole floats.
    """
    inner = tree.first_child[rows] >= 0
    sh = tree.sh[rows]
    columns: Columns = {
        "center": ("f32", tree.means[rows]),
        "alpha": ("f16", covering(tree.density[rows])[:, None]),
        "rgb": ("f16", dc_to_rgb(torch.from_numpy(sh[:, 0])).numpy()),
        "scales": ("ln_f16", np.log(tree.scales[rows])),
        "orientation": ("f16", upright(tree.quats[rows])[:, 1:]),
        "child_count": ("u16", np.where(inner, 2, 0)[:, None]),
        "child_start": ("u32", tree.first_child[rows].clip(0)[:, None]),
    }
    for l_ in range(1, degree + 1):
        part = sh[:, sh_bases(l_ - 1) : sh_bases(l_)]  # (count, 2 l + 1, 3)
        columns[f"sh{l_}"] = ("f16", part.reshape(len(part), -1))
    return columns


def covering(density: NDArray[np.float64]) -> NDArray[np.float64]:
    """Spark's alpha (N,): the density up to 1, beyond it 1 + (a - 1) / 4 with D = exp((a^2 - 1) / e), D the density.

    That is how Spark's shader turns alphas above 1 into the cover 1 - (1 - exp(-r^2 / 2))^D of D opaque Gaussians.
    """
    steepness = np.sqrt(1 + np.e * np.log(density.clip(1)))
    return np.where(density > 1, (1 + (steepness - 1) / 4).clip(max=MOST_COVERING), density)


def upright(quats: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of the four rotations (N, 4) wxyz that give the same ellipsoid, the one with the largest w.

    A file holds x, y and z only. The reader's w is a difference, which rounding spoils where w is small; half a turn
    about one of the ellipsoid's own axes exchanges w with another component, and it is the largest afterwards.
    """
    equal = equal_rotations(quats)  # (4, N, 4)
    largest = np.abs(equal[..., 0]).argmax(axis=0)  # (N,)
    best: NDArray[np.float64] = equal[largest, np.arange(len(quats))]  # (N, 4)
    return best * np.where(best[:, :1] < 0, -1.0, 1.0)


def _deflated(values: NDArray[Any]) -> bytes:
    compressor = zlib.compressobj(COMPRESSION_LEVEL, zlib.DEFLATED, RAW_DEFLATE)
    return compressor.compress(np.ascontiguousarray(values).tobytes()) + compressor.flush()
