"""What the reader and the writer of 3D Tiles have in common."""

from __future__ import annotations

import numpy as np

from hgs_toolkit.exporters.splats.companion import CompanionKind

VERSION = "1.1"

CONTENT_EXTENSION = "3DTILES_content_gltf"
"""Extension of a tileset that says which extensions its .glb tiles need; Cesium draws splats only if it names both."""

FOLDERS = CompanionKind("tiles")
"""The folders of tiles that the writer makes."""

Z_UP_FROM_Y_UP = np.array([[1.0, 0, 0, 0], [0, 0, -1, 0], [0, 1, 0, 0], [0, 0, 0, 1]])
"""The turn that 3D Tiles prescribe for the content of a tile: glTF is y up, a tileset is z up."""
