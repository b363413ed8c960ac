"""What a pickle of the GSGAN authors holds: names, modules, tensors; made without running anything of the file."""

from __future__ import annotations

import io
import math
import warnings
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from hgs_toolkit.errors import CheckpointError

NUMBER_TYPES = (torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.int32, torch.bool)
MAX_DIMENSIONS = 8
MAX_NUMBERS = 1 << 40


@dataclass(frozen=True)
class Name:
    """A global that the file names and this module knows, by name only."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(frozen=True)
class Inert:
    """A placeholder for an object that is not needed and was not built."""

    what: Name


@dataclass(eq=False)
class Module:
    """A network module of the file: its ``__dict__`` as plain values.

    Attributes:
        kind: class name.
        state: attributes by name; ``_parameters``, ``_buffers`` and ``_modules`` among them.
    """

    kind: str
    state: dict[str, Any] = field(default_factory=dict)


def describe(value: Any) -> str:
    """What ``value`` is, for messages."""
    if isinstance(value, Inert):
        return f"what was made by '{value.what}'"
    return f"'{value}'" if isinstance(value, Name) else f"a value of type {type(value).__name__}"


def storage_of(data: bytes) -> torch.storage.TypedStorage:
    """A typed storage from the legacy ``torch.save`` bytes that a pickled tensor carries."""
    if not isinstance(data, bytes):
        raise TypeError("tensor data that are not bytes")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # typed storages are deprecated; these files have them
            storage = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception:  # torch names no set of exceptions; its texts advise to switch the safe reading off
        raise CheckpointError(
            f"tensor data of {len(data)} bytes are damaged or hold something else than numbers; the file was refused"
        ) from None
    if not isinstance(storage, torch.storage.TypedStorage):
        raise CheckpointError(f"tensor data hold {describe(storage)}; expected one storage of numbers")
    return storage


def tensor_of(storage: Any, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any) -> Tensor:
    """The view of a storage that a tensor is, after checking that it lies within."""
    if not isinstance(storage, torch.storage.TypedStorage):
        raise CheckpointError(f"a tensor is made of {describe(storage)}; expected a storage of numbers")
    if not isinstance(size, tuple) or not isinstance(stride, tuple) or len(size) != len(stride):
        raise TypeError("a tensor whose size and stride do not fit each other")
    numbers = (offset, *size, *stride)
    if len(size) > MAX_DIMENSIONS or not all(type(n) is int and 0 <= n < MAX_NUMBERS for n in numbers):
        raise TypeError("a tensor whose size, stride or offset are no sensible numbers")
    untyped = storage._untyped_storage
    if storage.dtype not in NUMBER_TYPES:
        raise CheckpointError(f"a tensor of type {storage.dtype}; expected real numbers")
    available = untyped.nbytes() // storage.dtype.itemsize
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    count = math.prod(list(size))
    if count > available or (count and last >= available):
        raise CheckpointError(f"a tensor of size {size} in a storage of {available} numbers; the file is damaged")
    return torch.empty(0, dtype=storage.dtype).set_(untyped, offset, size, stride)


def parameter_of(data: Any, *_: Any) -> Tensor:
    """The tensor of a parameter."""
    if not isinstance(data, Tensor):
        raise CheckpointError(f"a parameter is made of {describe(data)}; expected a tensor")
    return data
