"""The writer of the container binary glTF 2.0; its reader is :mod:`hgs_toolkit.parsing.gltf`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from hgs_toolkit.errors import FormatError
from hgs_toolkit.parsing.gltf import Json, around_binary
from hgs_toolkit.parsing.stored import ParseError


def write_chunks(path: Path, document: Json, blocks: Iterable[NDArray[Any]], size: int) -> None:
    """Write a .glb file of the JSON ``document`` and the bytes of ``blocks``, which are ``size`` together.

    Raises:
        FormatError: if the file would exceed the 4 GiB of its format.
    """
    head, tail = _around(document, size)
    with open(path, "wb") as file:
        file.write(head)
        for block in blocks:
            block.tofile(file)
        file.write(tail)


def glb_bytes(document: Json, data: bytes) -> bytes:
    """A .glb file of the JSON ``document`` and ``data``; raises as :func:`write_chunks`."""
    head, tail = _around(document, len(data))
    return head + data + tail


def _around(document: Json, size: int) -> tuple[bytes, bytes]:
    try:
        return around_binary(document, size)
    except ParseError as error:
        raise FormatError(str(error)) from error
