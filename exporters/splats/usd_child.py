"""Run as a program of its own: reads the Gaussians of a USD file and writes their arrays to another, as safetensors.

    python usd_child.py FILE OUT MOST_CONTENT

Some damaged files make USD end the process, and others make it allocate gigabytes. So
:mod:`~hgs_toolkit.exporters.splats.usd` runs this program, whose memory is bounded, to read them. It imports nothing of
the toolkit, which would take longer than the reading. OUT gets an array for each prim and each name of WIDTHS, called
by the prim's number and that name. Its metadata have an entry ``stage``, the other facts as JSON, or an entry
``error``, a sentence that says what is wrong.
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
"""Environment variables to run this program with: they save the memory of threads that a single file does not need."""

TIMES_FILE, FREE_BYTES = 10, 2**24
"""Memory that reading may add to the process: a multiple of the file's size, and bytes for 16,000 prims of any kind."""

BYTES_A_VALUE = 312
"""Bytes that USD's text parser takes for each number of an array: 104, three times while its vector doubles."""

BINARY = b"PXR-USDC"
"""First bytes of a binary file."""

ASSUMED_HELD = 2**29
"""Bytes that the process is assumed to hold before it reads if the system does not say."""

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
"""Stage that is read first, so that the memory of USD's schemas and libraries is not counted as the file's."""

Arrays = dict[str, NDArray[Any]]


class UnusableError(Exception):
    """A file that does not hold the Gaussians that are looked for."""


def open_layer(path: str) -> Any:
    """Open the file as a layer; raises an UnusableError if it refers to other files."""
    from pxr import Sdf

    layer = Sdf.Layer.OpenAsAnonymous(path)
    if layer is None:
        raise UnusableError("it is not a readable USD file")
    if others := [name for name in layer.GetCompositionAssetDependencies() if name]:  # an empty name is the file's own
        raise UnusableError(f"it refers to other files ({others[0]}); join them first: usdcat --flatten")
    return layer


def read(layer: Any) -> tuple[Arrays, dict[str, Any]]:
    """Views of USD's own arrays (count, width) by name, and the other facts.

    The facts are ``z_up`` and, for each of ``prims``, its ``degree`` and its ``matrix`` (4, 4) for column vectors.
    """
    from pxr import Usd, UsdGeom

    stage, time = Usd.Stage.Open(layer), Usd.TimeCode.EarliestTime()
    arrays: Arrays = {}
    everywhere = Usd.TraverseInstanceProxies()  # also in copies, whose prims USD keeps once
    prims = [prim for prim in stage.Traverse(everywhere) if prim.GetTypeName() == TYPE]
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
    """Write a safetensors file: the length of a JSON header, the header, the arrays as float32."""
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
    """The number of bytes that reading the file may add to the process.

    A binary file holds its arrays as they are used. The parser of text keeps far more than the text of each number.
    """
    with open(path, "rb") as file:
        start = file.read(len(BINARY))
        commas = 0 if start == BINARY else sum(block.count(b",") for block in iter(lambda: file.read(2**20), b""))
    return FREE_BYTES + max(TIMES_FILE * os.path.getsize(path), BYTES_A_VALUE * commas)


@contextmanager
def bounded_memory(more: int) -> Iterator[None]:
    """Deny allocations beyond ``more`` bytes above what the process holds now; without effect on Windows."""
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
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))  # an error message needs memory, too


def held() -> int:
    """The number of bytes of data that the process holds, as the system counts them against the bound."""
    try:
        with open("/proc/self/statm") as file:
            pages = int(file.read().split()[5])
    except OSError:
        return ASSUMED_HELD
    return pages * os.sysconf("SC_PAGESIZE")


def end_where_memory_ends() -> None:
    """Abort the process at the first allocation that is denied.

    Otherwise C++ throws an exception, after which USD may wait for ever for a task that it lost.
    """
    try:
        library = ctypes.CDLL("libstdc++.so.6")
        library._ZSt15set_new_handlerPFvvE(ctypes.cast(library.abort, ctypes.c_void_p))
    except (OSError, AttributeError):  # it is another C++ library; the caller's time limit ends the reading
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
    except Exception as error:  # the message of an error of USD may not be valid text
        write(out, {}, error=f"it is not a readable USD file ({type(error).__name__})")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
