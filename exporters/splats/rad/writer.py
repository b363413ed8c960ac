"""The writer of Spark's .rad, version 1: a tree from which a viewer draws as many Gaussians as it has time for.

A JSON header is followed by chunks of 65,536 Gaussians, each with a JSON header of its own and deflated columns (all
x, all y, ...). The root is the first node; the children of a node lie side by side and after it. Spark starts from the
root and replaces nodes by their children until its budget is used up. So every leaf must be a Gaussian of the scene,
and every inner node must look like the leaves below it: see :mod:`~hgs_toolkit.exporters.splats.merge_tree`. Since
every inner node has two children, any budget is met exactly. Order and signs of the harmonics are those of 3D-GS. The
reader is in :mod:`~hgs_toolkit.exporters.splats.rad.reader`.

The frame is ``y_up`` unless another is asked for, because Spark draws in the world of three.js without a rotation.
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

from hgs_toolkit.encoding import dc_to_rgb, sh_bases
from hgs_toolkit.errors import FormatError
from hgs_toolkit.exporters.frames import frame_signs
from hgs_toolkit.exporters.options import ExportOptions
from hgs_toolkit.exporters.splats.merge_tree import MergeTree, TreeNodes, blocks, merged_nodes
from hgs_toolkit.exporters.splats.packing.quaternions import equal_rotations
from hgs_toolkit.exporters.splats.rad.encodings import PLAIN
from hgs_toolkit.exporters.splats.reading import offset_of
from hgs_toolkit.exporters.splats.stored import with_finite_sizes
from hgs_toolkit.exporters.splats.transform import convert_frame
from hgs_toolkit.gaussians import GaussianHierarchy
from hgs_toolkit.imaging.camera_paths import subject_bounds
from hgs_toolkit.version import program_name

FRAME = "y_up"

FRAME_COMMENT = re.compile(r"frame (y_up|rdf)")
"""Pattern of the frame's name in the header's comment."""

OFFSET_COMMENT = re.compile(r"offset (\S+ \S+ \S+)")
"""Pattern, in the header's comment, of the point relative to which the coordinates are given, in the file's frame."""

FILE_MAGIC, CHUNK_MAGIC, VERSION = b"RAD0", b"RADC", 1
CHUNK = 65_536
"""Number of nodes in a chunk; Spark addresses pages of this size."""

MAX_NODES = 2**32 - 1
"""Greatest number of nodes that the format can index."""

ALIGNMENT = 8
"""Bytes to whose multiples headers and columns are padded."""

RAW_DEFLATE = -15
"""Code by which zlib knows a stream without header; the format calls such a stream "gz"."""

COMPRESSION_LEVEL = 6

MOST_COVERING = 2.0
"""Largest alpha of a node."""

SUBJECT_SHARE = 0.95
"""Share of the Gaussians that are the subject; those farther out do not count for the size of an image."""

PIXELS_ACROSS = 200
"""Diameter in pixels from which a viewer can ask for all Gaussians of the subject. The toolkit's own cameras show it at
285 of 320 pixels, and its far side as if at 230."""

DENSEST = 10
"""Gaussians for each pixel of the subject above which the diameter grows, so that fine scans are not blurred for it."""

Columns = dict[str, tuple[str, NDArray[Any]]]
"""Encodings and values (N, width) of properties by their names."""


def write_rad(path: Path, scene: GaussianHierarchy, options: ExportOptions) -> None:
    """Write one scene as a tree.

    Raises:
        FormatError: if it has more nodes than the format can index.
    """
    if 2 * scene.num_gaussians - 1 > MAX_NODES:
        raise FormatError(f"{scene.num_gaussians} Gaussians; a .rad file holds at most {(MAX_NODES + 1) // 2}")
    frame = options.frame or FRAME
    scene = convert_frame(scene.detach().to("cpu", torch.float32), "y_up", frame)
    scene = scene.replace(log_scales=with_finite_sizes(scene.log_scales, ".rad"))
    nodes, least, degree = merged_nodes(scene), least_size(scene), scene.sh_degree
    chunks = [_chunk(nodes, rows, least, degree) for rows in blocks(len(nodes), CHUNK)]
    ends = np.cumsum([len(chunk) for chunk in chunks]).tolist()
    header = {
        "version": VERSION, "type": "gsplat", "count": len(nodes), "maxSh": degree, "lodTree": True, "chunkSize": CHUNK,
        "allChunkBytes": ends[-1],
        "chunks": [{"offset": end - len(chunk), "bytes": len(chunk)} for end, chunk in zip(ends, chunks, strict=True)],
        "comment": f"{program_name()}, frame {frame}{_offset_text(frame, options)}",
    }  # fmt: skip
    with open(path, "wb") as file:
        file.write(_described(FILE_MAGIC, header))
        file.writelines(chunks)


def _offset_text(frame: str, options: ExportOptions) -> str:
    """The end of the header's comment that states the offset; empty if there is none."""
    if not any(options.offset):
        return ""
    signed = offset_of(np.array(options.offset) * frame_signs("y_up", frame))
    return ", offset " + " ".join(repr(value) for value in signed)


def least_size(scene: GaussianHierarchy) -> float:
    """The size in world units of a pixel of the smallest image in which all Gaussians of ``scene`` can be drawn."""
    _, radius = subject_bounds(scene, SUBJECT_SHARE)
    across = max(PIXELS_ACROSS, math.sqrt(scene.num_gaussians / (DENSEST * math.pi / 4)))
    return 2 * float(radius) / across


def openable(tree: MergeTree, least: float) -> MergeTree:
    """``tree`` with its small inner nodes enlarged to the size ``least`` and thinned so that they cover as much.

    Spark never opens a node that is smaller than a pixel, however much of the budget is left. The size of a node is
    twice the mean of its standard deviations, and more if its alpha is above 1.
    """
    sizes = np.maximum(2 * tree.scales.mean(axis=1), np.finfo(np.float32).tiny)  # (M,)
    growth = np.where(tree.first_child >= 0, least / sizes, 1).clip(min=1)
    return replace(tree, scales=tree.scales * growth[:, None], density=tree.density / growth**2)


def _chunk(nodes: TreeNodes, rows: slice, least: float, degree: int) -> bytes:
    """The chunk of some nodes, of which inner ones are at least of the size ``least``."""
    smaller = (slice(rows.start + part.start, rows.start + part.stop) for part in blocks(rows.stop - rows.start))
    parts = [_columns(openable(nodes.part(part), least), degree) for part in smaller]
    properties, payload = [], bytearray()
    for name, (encoding, _) in parts[0].items():
        data = _deflated(np.concatenate([part[name][1] for part in parts]).T)
        properties.append({"property": name, "encoding": encoding, "compression": "gz",
                           "offset": len(payload), "bytes": len(data)})  # fmt: skip
        payload += data + bytes(-len(data) % ALIGNMENT)
    header = {
        "version": VERSION, "base": rows.start, "count": rows.stop - rows.start, "payloadBytes": len(payload),
        "maxSh": degree, "lodTree": True, "properties": properties,
    }  # fmt: skip
    return _described(CHUNK_MAGIC, header) + struct.pack("<Q", len(payload)) + bytes(payload)


def _described(magic: bytes, header: dict[str, Any]) -> bytes:
    """A padded JSON header after its magic number and length."""
    text = json.dumps(header, separators=(",", ":")).encode()
    return magic + struct.pack("<I", len(text)) + text + bytes(-len(text) % ALIGNMENT)


def _columns(tree: MergeTree, degree: int) -> Columns:
    """The encoding and the values (count, width) of each property.

    Positions are whole floats; the other properties, of which Spark itself keeps 8 bits, are half floats.
    """
    columns: Columns = {
        "center": ("f32", tree.means),
        "alpha": ("f16", covering(tree.density)[:, None]),
        "rgb": ("f16", dc_to_rgb(torch.from_numpy(tree.sh[:, 0])).numpy()),
        "scales": ("ln_f16", np.log(tree.scales)),
        "orientation": ("f16", upright(tree.quats)[:, 1:]),
        "child_count": ("u16", np.where(tree.first_child >= 0, 2, 0)[:, None]),
        "child_start": ("u32", tree.first_child.clip(0)[:, None]),
    }
    for l_ in range(1, degree + 1):
        part = tree.sh[:, sh_bases(l_ - 1) : sh_bases(l_)]  # (count, 2 l + 1, 3)
        columns[f"sh{l_}"] = ("f16", part.reshape(len(part), -1))
    return {name: (encoding, values.astype(PLAIN[encoding])) for name, (encoding, values) in columns.items()}


def covering(density: NDArray[np.float64]) -> NDArray[np.float64]:
    """Spark's alphas (N,) for densities (N,).

    Up to 1, the alpha is the density D; above, it is 1 + (a - 1) / 4 with D = exp((a^2 - 1) / e). Spark's shader turns
    such an alpha into the opacity 1 - (1 - exp(-r^2 / 2))^D of D opaque Gaussians one behind the other.
    """
    steepness = np.sqrt(1 + np.e * np.log(density.clip(1)))
    return np.where(density > 1, (1 + (steepness - 1) / 4).clip(max=MOST_COVERING), density)


def upright(quats: NDArray[np.float64]) -> NDArray[np.float64]:
    """The quaternions (N, 4) wxyz with the largest w among the four that give the same ellipsoid.

    A file holds only x, y and z. The reader computes w as a difference, whose relative error is large if w is small.
    Half a turn about one of the ellipsoid's own axes exchanges w with another component, which may be larger.
    """
    equal = equal_rotations(quats)  # (4, N, 4)
    largest = np.abs(equal[..., 0]).argmax(axis=0)  # (N,)
    best: NDArray[np.float64] = equal[largest, np.arange(len(quats))]  # (N, 4)
    return best * np.where(best[:, :1] < 0, -1.0, 1.0)


def _deflated(values: NDArray[Any]) -> bytes:
    compressor = zlib.compressobj(COMPRESSION_LEVEL, zlib.DEFLATED, RAW_DEFLATE)
    return compressor.compress(np.ascontiguousarray(values).tobytes()) + compressor.flush()
