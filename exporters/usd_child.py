"""Run as a program of its own: reads the Gaussians of a USD file and writes their arrays to standard output, as .npz.

    python usd_child.py FILE

USD ends the whole process at some damaged files, so :mod:`~hgs_toolkit.exporters.usd` lets this one take the risk. It
imports nothing of the toolkit, which would take longer than the reading. What is wrong with a file that can be read is
said as text in place of the arrays, in an entry ``error``.
"""

from __future__ import annotations

import io
import os
import sys
from typing import Any

import numpy as np

TYPE = "ParticleField3DGaussianSplat"
WIDTHS = {"positions": 3, "orientations": 4, "scales": 3, "opacities": 1, "radiance:sphericalHarmonicsCoefficients": 3}
DEGREE = "radiance:sphericalHarmonicsDegree"


LEAST_MEMORY, TIMES_FILE = 2**29, 100
"""Bytes this process may allocate: so many, and a hundred times the file, as packed formats may unpack to."""


class UnusableError(Exception):
    """A file without what is looked for."""


def read(path: str) -> dict[str, Any]:
    """Arrays by name, a number for each prim before it; ``matrix`` (4, 4) for column vectors, ``degree``, ``z_up``."""
    from pxr import Sdf, Usd, UsdGeom

    layer = Sdf.Layer.OpenAsAnonymous(path)
    if layer is None:
        raise UnusableError("it is no readable USD file")
    if others := layer.GetCompositionAssetDependencies():
        raise UnusableError(f"it refers to other files ({others[0]}); join them first: usdcat --flatten")
    stage, time = Usd.Stage.Open(layer), Usd.TimeCode.EarliestTime()
    prims = [prim for prim in stage.Traverse() if prim.GetTypeName() == TYPE]
    if not prims:
        raise UnusableError(f"it has no prim of type {TYPE}")
    found: dict[str, Any] = {"z_up": UsdGeom.GetStageUpAxis(stage) == UsdGeom.Tokens.z, "prims": len(prims)}
    for index, prim in enumerate(prims):
        for name, width in WIDTHS.items():
            candidates = (prim.GetAttribute(name + half).Get(time) for half in ("", "h"))
            value = next((value for value in candidates if value is not None and len(value)), None)
            if value is None:
                raise UnusableError(f"{prim.GetPath()} lacks '{name}'")
            found[f"{index} {name}"] = np.array(value, np.float32).reshape(-1, width)
        found[f"{index} degree"] = prim.GetAttribute(DEGREE).Get()
        # USD's matrices are for row vectors.
        found[f"{index} matrix"] = np.array(UsdGeom.Imageable(prim).ComputeLocalToWorldTransform(time)).T
    return found


def bound_memory(path: str) -> None:
    """Let USD fail at a damaged file that promises gigabytes, instead of allocating them (where POSIX has bounds)."""
    if sys.platform == "win32":
        return
    import resource

    most = LEAST_MEMORY + TIMES_FILE * os.path.getsize(path)
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


def main(path: str) -> None:
    """Write the arrays of the file ``path``, or what is wrong with it."""
    bound_memory(path)
    try:
        found = read(path)
    except UnusableError as error:
        found = {"error": str(error)}
    except Exception as error:  # errors of USD carry text that may be no text
        found = {"error": f"it is no readable USD file ({type(error).__name__})"}
    buffer = io.BytesIO()
    np.savez(buffer, **found)
    sys.stdout.buffer.write(buffer.getvalue())


if __name__ == "__main__":
    main(sys.argv[1])
