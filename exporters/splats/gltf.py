"""The writer of the container binary glTF 2.0; its reader is :mod:`hgs_toolkit.parsing.gltf`."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from hgs_toolkit.errors import FormatError
from hgs_toolkit.parsing.gltf import (
    BINARY_CHUNK,
    CHUNK_HEADER_BYTES,
    HEADER_BYTES,
    JSON_CHUNK,
    MAGIC,
    VERSION,
    Json,
)


def write_chunks(path: Path, document: Json, blocks: Iterable[NDArray[Any]], size: int) -> None:
    """Write a .glb file of the JSON ``document`` and the bytes of ``blocks``, which are ``size`` together.

    Raises:
        FormatError: if the file would exceed the 4 GiB of its format.
    """
    text = json.dumps(document, separators=(",", ":"), allow_nan=False).encode()
    text += b" " * (-len(text) % 4)
    padding = -size % 4
    total = HEADER_BYTES + 2 * CHUNK_HEADER_BYTES + len(text) + size + padding
    if total >= 2**32:
        raise FormatError(f"{total} bytes; a .glb file holds at most {2**32 - 1}, write .ply")
    with open(path, "wb") as file:
        file.write(struct.pack("<4sII", MAGIC, VERSION, total))
        file.write(struct.pack("<II", len(text), JSON_CHUNK) + text)
        file.write(struct.pack("<II", size + padding, BINARY_CHUNK))
        for block in blocks:
            block.tofile(file)
        file.write(bytes(padding))
