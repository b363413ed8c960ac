"""PlayCanvas .sog, version 2: a zip of ``meta.json`` and lossless WebP images, one pixel a Gaussian.

Positions are 16 bits of sign(x) log(1 + |x|) in two images (low and high bytes). Log scales and constant coefficients
are indices into codebooks of 256. Rotations are the three smaller components of the quaternion (8 bits each); an alpha
of 252..255 says which one was dropped. Higher harmonics are labels into a palette whose entries are codebook indices.
The frame is that of the .ply. Streamed scenes consist of the same files: :func:`sog_files` and :func:`reading_of_sog`.
"""

from __future__ import annotations

import json
import logging
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hgs_toolkit.conventions import sh_bases
from hgs_toolkit.errors import FormatError
from hgs_toolkit.exporters.frames import frame_signs
from hgs_toolkit.exporters.limits import BLOCK, check_promise, is_count
from hgs_toolkit.exporters.options import ExportOptions
from hgs_toolkit.exporters.splats.packing.codebooks import codebook, codes
from hgs_toolkit.exporters.splats.packing.morton import bounds_of, morton_order
from hgs_toolkit.exporters.splats.packing.quaternions import BOUND, drop_largest, restore_largest
from hgs_toolkit.exporters.splats.packing.webp import Bytes, pixels_to_webp, webp_to_pixels
from hgs_toolkit.exporters.splats.reading import Reading, offset_of, reading_of
from hgs_toolkit.exporters.splats.sog_meta import (
    ANTIALIASED,
    FRAME,
    MAX_GAUSSIANS,
    META,
    MODEL,
    PALETTE,
    Meta,
    opened_bundle,
    read_member,
    take_means,
)
from hgs_toolkit.exporters.splats.stored import (
    Floats,
    StoredSplats,
    logits_of_bytes,
    opacity_bytes,
    rest_bases,
    splats_of,
)
from hgs_toolkit.version import program_name

if TYPE_CHECKING:
    from hgs_toolkit.gaussians import GaussianHierarchy

logger = logging.getLogger(__name__)

NO_OPTIONS = ExportOptions()

FIRST_TAG = 252
"""Alpha of a quaternion whose component w was dropped; the next numbers mean x, y and z."""

PALETTE_COLUMNS = 64
"""Palette entries in each row of the image of centroids."""

BYTES_PER_GAUSSIAN = 4 * 14
"""Bytes of one Gaussian in memory, without higher harmonics."""

Files = dict[str, bytes]
"""Contents of files by their names."""


def write_sog(path: Path, scene: GaussianHierarchy | StoredSplats, options: ExportOptions) -> None:
    """Write one scene with its Gaussians in Morton order.

    Raises:
        FormatError: if the scene has no Gaussians, or more than the largest image has pixels.
    """
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as bundle:
        for name, data in sog_files(scene, options.frame or FRAME, options).items():
            # The entry has a fixed date, so equal scenes give equal bytes.
            bundle.writestr(zipfile.ZipInfo(name), data)


def read_sog(path: Path) -> Reading:
    """Read one scene of version 2, written by any program.

    Raises:
        FormatError: if the archive or an image is broken or missing, or the sizes contradict each other.
    """
    size = path.stat().st_size
    with opened_bundle(path) as bundle:
        folder = _outer_folder(bundle)
        return reading_of_sog(lambda name: read_member(bundle, folder + name, size), path, size)


def _outer_folder(bundle: zipfile.ZipFile) -> str:
    """The name, with a slash, of the one folder that holds all, as a program that packs folders leaves it; else ""."""
    found = [name for name in bundle.namelist() if name == META or name.endswith(f"/{META}")]
    only = [name for name in found if not name.startswith("__MACOSX/")]
    return only[0].removesuffix(META) if len(only) == 1 else ""


def sog_files(
    scene: GaussianHierarchy | StoredSplats, frame: str = FRAME, options: ExportOptions = NO_OPTIONS
) -> Files:
    """The files of one scene, ``meta.json`` first, with its Gaussians in Morton order.

    Args:
        scene: a batch of one or arrays, in the ``y_up`` frame.
        frame: the frame of the files; ``meta.json`` states it, but other programs assume ``rdf``.
        options: the writer's options, of which the offset and the way of drawing are used.
    """
    splats = splats_of(scene, frame)
    if not 0 < len(splats) <= MAX_GAUSSIANS:
        raise FormatError(f"{len(splats)} Gaussians; a .sog file holds 1 to {MAX_GAUSSIANS}")
    splats = splats.take(morton_order(splats.means))
    images: dict[str, bytes] = {}
    meta: dict[str, Any] = {
        "version": 2,
        "asset": {"generator": program_name(), "frame": frame} | _offset_entry(frame, options),
        "count": len(splats),
        "means": _put_means(images, splats.means),
        "scales": _put_scales(images, splats.log_scales),
        "quats": _put_quats(images, splats.quats),
        "sh0": _put_colours(images, splats),
    }
    if options.antialiased:
        meta[MODEL] = ANTIALIASED
    if splats.sh_degree:
        meta["shN"] = _put_harmonics(images, splats)
    return {META: json.dumps(meta, allow_nan=False).encode()} | images


def _offset_entry(frame: str, options: ExportOptions) -> dict[str, Any]:
    """The entry of ``asset`` that states the offset, in the frame of the files; none if there is no offset."""
    signed = np.array(options.offset) * frame_signs("y_up", frame)
    return {"offset": offset_of(signed)} if any(options.offset) else {}


def reading_of_sog(load: Callable[[str], bytes], path: Path, size: int) -> Reading:
    """The scene whose files ``load`` returns by name.

    Args:
        load: returns the bytes of the file of that name, or raises a FormatError.
        path: the path that errors name.
        size: bytes of all files together, which bound what they may unpack to.
    """
    try:
        meta = Meta.parse(load(META))
        needed = meta.count * (BYTES_PER_GAUSSIAN + 12 * rest_bases(meta.bands))
        check_promise(needed, size)
        means = take_means(meta, load)
        with np.errstate(over="ignore"):  # a position beyond float32 becomes infinite, which is counted later
            single = means.astype(np.float32)
        splats = StoredSplats(
            single, meta.book("scales")[_pixels(meta, load, "scales")[:, :3]], _take_quats(meta, load),
            *_take_colours(meta, load),
        )  # fmt: skip
    except FormatError as error:
        raise FormatError(f"{path}: {error}") from error
    return replace(reading_of(path, splats, meta.frame, means, meta.offset), antialiased=meta.antialiased)


def _put_means(images: Files, means: Floats) -> dict[str, Any]:
    """Images of 16 bits of the positions' logarithms between their bounds: one of low bytes, one of high bytes."""
    low, high = (_signed_log(bound) for bound in bounds_of(means))
    extent = np.where(high > low, high - low, 1)
    steps = np.empty(means.shape, np.uint16)
    for start in range(0, len(means), BLOCK):
        logs = _signed_log(means[start : start + BLOCK].astype(np.float64))
        steps[start : start + BLOCK] = np.rint((logs - low) / extent * 65535)
    images["means_l.webp"] = pixels_to_webp((steps & 255).astype(np.uint8))
    images["means_u.webp"] = pixels_to_webp((steps >> 8).astype(np.uint8))
    return {"mins": low.tolist(), "maxs": high.tolist(), "files": ["means_l.webp", "means_u.webp"]}


def _signed_log(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """sign(x) log(1 + |x|)."""
    result: NDArray[np.float64] = np.copysign(np.log1p(np.abs(values)), values)
    return result


def _put_scales(images: Files, log_scales: Floats) -> dict[str, Any]:
    book = codebook(log_scales)
    images["scales.webp"] = pixels_to_webp(codes(log_scales, book))
    return {"codebook": book.tolist(), "files": ["scales.webp"]}


def _put_quats(images: Files, quats: Floats) -> dict[str, Any]:
    largest, three = drop_largest(quats)
    pixels = np.empty((len(quats), 4), np.uint8)
    for start in range(0, len(quats), BLOCK):
        rows = slice(start, start + BLOCK)
        pixels[rows, :3] = np.rint((three[rows] / BOUND * 0.5 + 0.5) * 255).clip(0, 255)
    pixels[:, 3] = largest + FIRST_TAG
    images["quats.webp"] = pixels_to_webp(pixels)
    return {"files": ["quats.webp"]}


def _take_quats(meta: Meta, load: Callable[[str], bytes]) -> Floats:
    pixels = _pixels(meta, load, "quats")
    if int(pixels[:, 3].min()) < FIRST_TAG:
        raise FormatError(f"a quaternion has the tag {pixels[:, 3].min()}; expected {FIRST_TAG} to 255")
    return restore_largest(pixels[:, 3] - FIRST_TAG, (pixels[:, :3].astype(np.float32) / np.float32(127.5) - 1) * BOUND)


def _put_colours(images: Files, splats: StoredSplats) -> dict[str, Any]:
    book = codebook(splats.sh[:, 0])
    pixels = np.column_stack([codes(splats.sh[:, 0], book), opacity_bytes(splats.logits)])
    images["sh0.webp"] = pixels_to_webp(pixels)
    return {"codebook": book.tolist(), "files": ["sh0.webp"]}


def _take_colours(meta: Meta, load: Callable[[str], bytes]) -> tuple[Floats, Floats]:
    """Coefficients (N, K, 3) and logits (N,)."""
    pixels = _pixels(meta, load, "sh0")
    sh = np.zeros((meta.count, sh_bases(meta.bands), 3), np.float32)
    sh[:, 0] = meta.book("sh0")[pixels[:, :3]]
    if meta.bands:
        sh[:, 1:] = _take_harmonics(meta, load)
    return sh, logits_of_bytes(pixels[:, 3])


def _put_harmonics(images: Files, splats: StoredSplats) -> dict[str, Any]:
    """Images of a palette of higher coefficients and of the entry of each Gaussian, its low byte first."""
    from hgs_toolkit.exporters.splats.packing.palettes import palette  # the only part that needs torch

    bases = splats.sh.shape[1] - 1
    centres, labels = palette(splats.sh[:, 1:].reshape(len(splats), -1), PALETTE)  # (P, bases * 3)
    book = codebook(centres)
    images["shN_centroids.webp"] = pixels_to_webp(codes(centres, book).reshape(-1, 3), PALETTE_COLUMNS * bases)
    images["shN_labels.webp"] = pixels_to_webp(
        np.column_stack([labels & 255, labels >> 8, 0 * labels]).astype(np.uint8)
    )
    return {
        "count": len(centres), "bands": splats.sh_degree, "codebook": book.tolist(),
        "files": ["shN_centroids.webp", "shN_labels.webp"],
    }  # fmt: skip


def _take_harmonics(meta: Meta, load: Callable[[str], bytes]) -> Floats:
    """The higher coefficients (N, K - 1, 3); raises a FormatError if a label is beyond the palette."""
    centroids, labels = meta.names("shN", 2)
    count, bases = meta.values["shN"].get("count"), rest_bases(meta.bands)
    if not is_count(count, 1, PALETTE):
        raise FormatError(f"{META} promises a palette of {count!r}; expected 1 to {PALETTE}")
    entries = webp_to_pixels(load(centroids), centroids, count * bases, PALETTE_COLUMNS * bases)[:, :3]
    low, high = webp_to_pixels(load(labels), labels, meta.count)[:, :2].T.astype(np.intp)
    label = low + 256 * high
    if int(label.max()) >= count:
        raise FormatError(f"{labels} asks for entry {label.max()} of a palette of {count}")
    harmonics: Floats = meta.book("shN")[entries].reshape(count, bases, 3)[label]
    return harmonics


def _pixels(meta: Meta, load: Callable[[str], bytes], part: str) -> Bytes:
    (name,) = meta.names(part, 1)
    return webp_to_pixels(load(name), name, meta.count)
