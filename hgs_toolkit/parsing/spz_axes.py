# SPDX-License-Identifier: Apache-2.0
"""The axes that an .spz declares in its extension SPZ_ADOBE_coordinate_system.

Extensions are records of type, length and content. They follow the header in version 4, and the planes before it. The
content of this one is a number: an entry of AXES, whose letters name the directions of x, y and z.
"""

from __future__ import annotations

import struct

EXTENSION = 0xADBE0003
"""Type of the extension: the vendor Adobe in the upper half, its third extension in the lower."""

RECORD = struct.Struct("<II")
"""Type and length of an extension."""

AXES = (
    "", "LDB", "RDB", "LUB", "RUB", "LDF", "RDF", "LUF", "RUF", "LFD", "RFD", "LFU", "RFU", "LBD", "RBD", "LBU", "RBU",
)  # fmt: skip
"""Names of the axes by their number (enum CoordinateSystem of Niantic's library); 0 leaves them to convention."""


def declared_axes(extensions: bytes) -> str:
    """The name of the axes that the records of ``extensions`` declare; empty if they declare none that is known."""
    position = 0
    while position + RECORD.size <= len(extensions):
        kind, length = RECORD.unpack_from(extensions, position)
        position += RECORD.size
        content = extensions[position : position + length]
        if kind == EXTENSION and len(content) == length == 4:
            number = int.from_bytes(content, "little")
            return AXES[number] if number < len(AXES) else ""
        position += length
    return ""
