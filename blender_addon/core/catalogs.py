# SPDX-License-Identifier: GPL-3.0-or-later
"""Catalogues of Blender's Asset Browser: the text file beside the .blend files of an asset library."""

from __future__ import annotations

import uuid
from pathlib import Path

from .saving import whole_file

FILE = "blender_assets.cats.txt"
HEADER = "# Catalogs of this asset library, a line each: UUID:path/of/catalog:simple name\n\nVERSION 1\n\n"

NAMESPACE = uuid.UUID("6f0d7f0e-8a5e-4a36-9d2c-5d5a1c1f4b77")
"""Namespace of our catalogues' identifiers, so that a name has the same one everywhere."""

FORBIDDEN = str.maketrans({":": "-", "/": "-", "\\": "-", "\n": " ", "\r": " "})


def add_catalog(folder: Path, name: str) -> str:
    """The identifier of the catalogue ``Gaussian Splats/name`` in the library ``folder``; added if it is missing.

    What stands in the file already is kept.

    Raises:
        OSError: if the file cannot be read or written.
    """
    clean = name.translate(FORBIDDEN).strip() or "Seeds"
    identifier = str(uuid.uuid5(NAMESPACE, clean))
    path = folder / FILE
    text = path.read_text(encoding="utf-8") if path.exists() else HEADER
    if identifier not in text:
        line = f"{identifier}:Gaussian Splats/{clean}:Gaussian Splats-{clean}\n"
        text = text if text.endswith("\n") else text + "\n"
        with whole_file(path, replace=True) as temporary:
            temporary.write_text(text + line, encoding="utf-8")
    return identifier
