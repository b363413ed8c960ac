"""Texture files before they are decoded: those beside a model, and those that a glTF file holds itself."""

from __future__ import annotations

import base64
import binascii
import io
from collections.abc import Callable
from typing import Any

from PIL import Image

from hgs_toolkit.datasets.images import MAX_IMAGE_BYTES
from hgs_toolkit.errors import DataError

MAX_TEXTURE_PIXELS = 1 << 26
"""Number of pixels of the largest texture that is decoded."""

WEBP = "EXT_texture_webp"

Json = dict[str, Any]


def check_texture(data: bytes, name: str) -> None:
    """Refuse what is no image, or too large to decode, from its header.

    Raises:
        DataError: naming the texture.
    """
    if len(data) > MAX_IMAGE_BYTES:
        raise DataError(f"the texture {name} has {len(data):,} bytes; expected at most {MAX_IMAGE_BYTES:,}")
    try:
        with Image.open(io.BytesIO(data)) as image:
            pixels = image.width * image.height
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DataError(f"the texture {name} is not a readable image: {error}") from error
    if pixels > MAX_TEXTURE_PIXELS:
        raise DataError(f"the texture {name} has {pixels:,} pixels; expected at most {MAX_TEXTURE_PIXELS:,}")


def drop_unreadable(document: Json, binary: bytes | None, read: Callable[[str], bytes]) -> list[str]:
    """Take the base colour textures that a glTF file holds and that cannot be decoded out of ``document``.

    Args:
        binary: the binary chunk of a .glb.
        read: gives a file beside the model, for buffers that lie there.

    Returns:
        A reason for each. Images that are files of their own are left to whoever reads these.
    """
    reasons = list[str]()
    for number, material in enumerate(document.get("materials", [])):
        surface = material.get("pbrMetallicRoughness", {})
        if "baseColorTexture" not in surface:
            continue
        texture = document["textures"][surface["baseColorTexture"]["index"]]
        index = texture.get("extensions", {}).get(WEBP, {}).get("source", texture.get("source"))
        name = f"of the material {material.get('name', number)}"
        try:
            if index is None:
                raise DataError(f"the texture {name} is in a format that is not read; expected PNG, JPEG or WebP")
            data = _embedded(document, document["images"][index], binary, read)
            if data is not None:
                check_texture(data, name)
        except DataError as error:
            reasons.append(str(error))
            del surface["baseColorTexture"]
    return reasons


def _embedded(document: Json, image: Json, binary: bytes | None, read: Callable[[str], bytes]) -> bytes | None:
    """The bytes of an image in a buffer or a data URI; None for a file of its own."""
    if "bufferView" not in image:
        uri = str(image["uri"])
        return _of_data_uri(uri) if uri.startswith("data:") else None
    view = document["bufferViews"][image["bufferView"]]
    buffer = document["buffers"][view["buffer"]]
    if "uri" in buffer:
        uri = str(buffer["uri"])
        content = _of_data_uri(uri) if uri.startswith("data:") else read(uri)
    else:
        content = binary or b""
    start = view.get("byteOffset", 0)
    return content[start : start + view["byteLength"]]


def _of_data_uri(uri: str) -> bytes:
    try:
        return base64.b64decode(uri.partition(",")[2])
    except binascii.Error as error:
        raise DataError(f"a data URI is broken: {error}") from error
