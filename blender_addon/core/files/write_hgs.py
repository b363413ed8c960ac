# SPDX-License-Identifier: GPL-3.0-or-later
"""Gaussians as the toolkit's own ``.hgs``: exact, with the tree; y up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from ..splats import NO_PARENT, OFFSET, ActivatedSplats, offset_of, stored_values
from .read_hgs import METADATA_KEY

FORMAT_VERSION = 1
ALIGNMENT = 8
"""Alignment of the header of a safetensors file, bytes."""


def write_hgs(path: Path, splats: ActivatedSplats) -> None:
    """Write Gaussians with y up to ``path``; those without a tree are all of level 0."""
    stored, count = stored_values(splats), len(splats)
    level = np.zeros(count, np.int32) if splats.level is None else splats.level
    parent = np.full(count, NO_PARENT, np.int32) if splats.parent is None else splats.parent
    arrays = {
        "means": stored.means, "log_scales": stored.log_scales, "quats": stored.quats, "sh": stored.sh,
        "opacity_logits": stored.logits, "level": level, "parent": parent,
    }  # fmt: skip
    metadata: dict[str, Any] = {"format_version": FORMAT_VERSION}
    if (offset := offset_of(splats.facts)).any():
        metadata[OFFSET] = offset.tolist()
    header: dict[str, Any] = {"__metadata__": {METADATA_KEY: json.dumps(metadata)}}
    blobs, start = [], 0
    for name, array in arrays.items():
        is_whole = array.dtype.kind == "i"
        blob = np.ascontiguousarray(array, "<i4" if is_whole else "<f4")
        header[name] = {"dtype": "I32" if is_whole else "F32", "shape": array.shape,
                        "data_offsets": [start, start + blob.nbytes]}  # fmt: skip
        blobs.append(blob)
        start += blob.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % ALIGNMENT)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for blob in blobs:
            blob.tofile(file)
