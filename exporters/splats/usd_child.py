"""Run as a program of its own: reads the Gaussians of a USD file and writes their arrays to another, as safetensors.

    python usd_child.py FILE OUT MOST_CONTENT

USD ends the whole process at some damaged files and allocates gigabytes at others, so
:mod:`~hgs_toolkit.exporters.splats.usd` lets this one take the risk, with bounded memory. It imports nothing of the
toolkit, which would take longer than the reading. OUT holds an array for each name of WIDTHS and prim, with the prim's
number before it, and as its metadata entry ``stage`` the rest as JSON, or an entry ``error`` that says what is wrong.
"""

from __future__ import annotations

import ctypes
import json
import os
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

TYPE = "ParticleField3DGaussianSplat"
WIDTHS = {"positions": 3, "orientations": 4, "scales": 3, "opacities": 1, "radiance:sphericalHarmonicsCoefficients": 3}
DEGREE = "radiance:sphericalHarmonicsDegree"

ENVIRONMENT = {"PXR_WORK_THREAD_LIMIT": "1", "OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}
"""Variables to run this with: stacks and arenas of threads are memory too, and USD reads one file in one thread."""

TIMES_FILE, FREE_BYTES = 10, 2**24
"""Memory that reading may add to the process: so many times the file, and what 16,000 prims of other kinds need."""

BYTES_A_VALUE = 312
"""What USD's text parser takes for each number of an array: 104 bytes, three times over while its vector doubles."""

BINARY = b"PXR-USDC"

ASSUMED_HELD = 2**29
"""What the process holds before it reads, where the system does not tell."""

SMALLEST = """#usda 1.0
def ParticleField3DGaussianSplat "g"
{
    point3f[] positions = [(1, 2, 3)]
    quatf[] orientations = [(1, 0, 0, 0)]
    float3[] scales = [(1, 1, 1)]
    float[] opacities = [0.5]
    uniform int radiance:sphericalHarmonicsDegree = 0
    float3[] radiance:sphericalHarmonicsCoefficients = [(0, 0, 0)]
}
"""
"""A stage read first, so that USD's schemas and libraries are not counted as a file's."""

Arrays = dict[str, NDArray[Any]]


class UnusableError(Exception):
    """A file without what is looked for."""


def open_layer(path: str) -> Any:
    """The file as a layer that refers to no other."""
    from pxr import Sdf

    layer = Sdf.Layer.OpenAsAnonymous(path)
    if layer is None:
        raise UnusableError("it is no readable USD file")
    if others := [name for name in layer.GetCompositionAssetDependencies() if name]:  # none: of the file itself
        raise UnusableError(f"it refers to other files ({others[0]}); join them first: usdcat --flatten")
    return layer


def read(layer: Any) -> tuple[Arrays, dict[str, Any]]:
    """Views of USD's own arrays (count, width) by name, and the rest.

    That is ``z_up`` and for each of ``prims`` its ``degree`` and its ``matrix`` (4, 4) for column vectors.
    """
    from pxr import Usd, UsdGeom

    stage, time = Usd.Stage.Open(layer), Usd.TimeCode.EarliestTime()
    arrays: Arrays = {}
    prims = [prim for prim in stage.Traverse() if prim.GetTypeName() == TYPE]
    if not prims:
        raise UnusableError(f"it has no prim of type {TYPE}")
    found: dict[str, Any] = {"z_up": UsdGeom.GetStageUpAxis(stage) == UsdGeom.Tokens.z, "prims": []}
    for index, prim in enumerate(prims):
        for name, width in WIDTHS.items():
            candidates = (prim.GetAttribute(name + half).Get(time) for half in ("", "h"))
            value = next((value for value in candidates if value is not None and len(value)), None)
            if value is None:
                raise UnusableError(f"{prim.GetPath()} lacks '{name}'")
            arrays[f"{index} {name}"] = np.asarray(value).reshape(-1, width)
        degree = prim.GetAttribute(DEGREE).Get()
        if not isinstance(degree, int):
            raise UnusableError(f"{prim.GetPath()} lacks '{DEGREE}'")
        # USD's matrices are for row vectors.
        matrix = np.array(UsdGeom.Imageable(prim).ComputeLocalToWorldTransform(time)).T
        found["prims"].append({"degree": degree, "matrix": matrix.tolist()})
    return arrays, found


def write(path: str, arrays: Arrays, **texts: str) -> None:
    """A safetensors file: the length of a JSON header, the header, the arrays as float32."""
    header: dict[str, Any] = {"__metadata__": texts}
    end = 0
    for name, values in arrays.items():
        start, end = end, end + 4 * values.size
        header[name] = {"dtype": "F32", "shape": values.shape, "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for values in arrays.values():
            file.write(np.ascontiguousarray(values, "<f4").data)


def allowance(path: str) -> int:
    """Bytes that reading the file may add to the process.

    A binary file holds its arrays as they are used. Of text, the parser keeps far more than the text of each number.
    """
    with open(path, "rb") as file:
        start = file.read(len(BINARY))
        commas = 0 if start == BINARY else sum(block.count(b",") for block in iter(lambda: file.read(2**20), b""))
    return FREE_BYTES + max(TIMES_FILE * os.path.getsize(path), BYTES_A_VALUE * commas)


@contextmanager
def bounded_memory(more: int) -> Iterator[None]:
    """Deny allocations beyond ``more`` bytes above what the process holds now; Windows cannot."""
    if sys.platform == "win32":
        yield
        return
    import resource

    end_where_memory_ends()
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    most = held() + more
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    resource.setrlimit(resource.RLIMIT_DATA, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))  # for the words about it


def held() -> int:
    """Bytes of data that the process holds, as the system counts them against the bound."""
    try:
        with open("/proc/self/statm") as file:
            pages = int(file.read().split()[5])
    except OSError:
        return ASSUMED_HELD
    return pages * os.sysconf("SC_PAGESIZE")


def end_where_memory_ends() -> None:
    """Abort at the first allocation that is denied.

    C++ throws there, at which USD may wait for ever for a task that it lost.
    """
    try:
        library = ctypes.CDLL("libstdc++.so.6")
        library._ZSt15set_new_handlerPFvvE(ctypes.cast(library.abort, ctypes.c_void_p))
    except (OSError, AttributeError):  # another C++ library: the time that a reading may take has an end, too
        return


def main(path: str, out: str, most_content: int) -> None:
    """Write the arrays of the file ``path``, or what is wrong with it."""
    from pxr import Sdf

    smallest = Sdf.Layer.CreateAnonymous(".usda")
    smallest.ImportFromString(SMALLEST)
    read(smallest)
    more = allowance(path)
    try:
        with bounded_memory(more):
            arrays, rest = read(open_layer(path))
            content = 4 * sum(values.size for values in arrays.values())
            if content > most_content:
                raise UnusableError(f"its prims hold {content} bytes of arrays; expected at most {most_content}")
            write(out, arrays, stage=json.dumps(rest))
    except UnusableError as error:
        write(out, {}, error=str(error))
    except MemoryError:
        write(out, {}, error=f"to read it takes more than the {more} bytes of memory that a file of its size may need")
    except Exception as error:  # errors of USD carry text that may be no text
        write(out, {}, error=f"it is no readable USD file ({type(error).__name__})")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
