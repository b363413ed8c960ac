# SPDX-License-Identifier: GPL-3.0-or-later
"""Niantic's .spz, versions 1 to 4; y up unless the file declares other axes."""

from __future__ import annotations

from pathlib import Path

from ..parsing.spz import parse_parts, unpack_planes
from ..parsing.spz_axes import AXES, declared_axes
from ..parsing.spz_layout import EXTENDED
from ..parsing.unpacking import NoZstandardError
from ..splats import ActivatedSplats, SplatError, parse_errors_as_splat_errors, splats_from_stored

FRAMES = {0: "y_up", 4: "y_up", 6: "rdf", 12: "z_up"}
"""Frames by the number of the declared axes: none, RUB, RDF, RFU; the others are not turned here."""


def read_spz(path: Path) -> ActivatedSplats:
    """Read a .spz; harmonics above degree 3 are left out.

    Raises:
        SplatError: if it is none, truncated, promises more than it can hold, declares axes that are not turned here, or
            is of version 4 and nothing here can unpack that.
    """
    return spz_splats(path.read_bytes())


def spz_splats(data: bytes) -> ActivatedSplats:
    """The Gaussians of an .spz; raises as :func:`read_spz`."""
    with parse_errors_as_splat_errors():
        try:
            header, planes, extensions = parse_parts(data)
        except NoZstandardError as error:
            raise SplatError("it is of version 4, which this Blender's Python cannot unpack (no Zstandard); convert it "
                             "first: hgs export FILE FILE.ply") from error  # fmt: skip
        frame = _declared_frame(extensions) if header.flags & EXTENDED else "y_up"
        parsed = unpack_planes(header, planes)
    return splats_from_stored(*parsed, frame=frame)


def _declared_frame(extensions: bytes) -> str:
    """The frame that the extensions of a file declare; ``y_up`` if they declare none that is known."""
    number = AXES.index(declared_axes(extensions))
    if number not in FRAMES:
        raise SplatError(f"it declares axes (number {number}) that are not turned here; convert it first: "
                         "hgs export FILE.spz FILE.ply")  # fmt: skip
    return FRAMES[number]
