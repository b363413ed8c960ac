"""The reader of .spz, versions 1 to 4, written by any program.

The axes are RUB, which is ``y_up``, unless the file declares others in an extension. Without a declaration they are a
matter of convention: many programs write the coordinates of their .ply unchanged. A caller who knows names the frame.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hgs_toolkit.conventions import MAX_OPACITY_LOGIT
from hgs_toolkit.exporters.splats.reading import Reading, parse_errors_name, reading_of, tell_antialiased
from hgs_toolkit.exporters.splats.spz.axes import FRAME, FRAMES, from_axes
from hgs_toolkit.exporters.splats.stored import StoredSplats
from hgs_toolkit.parsing.spz import parse_parts, unpack_planes
from hgs_toolkit.parsing.spz_axes import declared_axes
from hgs_toolkit.parsing.spz_layout import ANTIALIASED, EXTENDED, MAX_DEGREE, Header

logger = logging.getLogger(__name__)


class Unpacked(NamedTuple):
    """The parts of an .spz file: its header, its Gaussians in the file's axes, and its extensions."""

    header: Header
    splats: StoredSplats
    extensions: bytes


def unpack_spz(data: bytes) -> Unpacked:
    """Unpack an .spz file of version 1 to 4.

    Raises:
        ParseError: if the file is truncated, is no .spz, has another version, or promises more than it holds.
    """
    header, planes, extensions = parse_parts(data)
    splats = StoredSplats(*unpack_planes(header, planes))
    # Opacities of 0 and 1 have infinite logits in the file.
    np.clip(splats.logits, -MAX_OPACITY_LOGIT, MAX_OPACITY_LOGIT, out=splats.logits)
    return Unpacked(header, splats, extensions)


def read_spz(path: Path) -> Reading:
    """Read one scene of version 1 to 4.

    Raises:
        FormatError: if the file is truncated, is no .spz, has another version, or promises more than it holds.
    """
    data = path.read_bytes()
    with parse_errors_name(path):
        header, splats, extensions = unpack_spz(data)
    if header.degree == MAX_DEGREE:
        logger.warning("%s has spherical harmonics of degree 4; those above degree 3 are not kept", path)
    antialiased = tell_antialiased(path, bool(header.flags & ANTIALIASED))
    axes = declared_axes(extensions) if header.flags & EXTENDED else ""
    if axes:
        logger.info("%s declares its axes: %s", path, axes)
    reading = reading_of(path, splats, FRAMES.get(axes, FRAME))
    content = reading.content if axes in ("", *FRAMES) else from_axes(reading.scene, axes)
    return Reading(content, reading.offset, antialiased, axes)
