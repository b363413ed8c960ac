"""Networks of a file's configuration, built without allocating more than the file justifies.

The bound is checked before each large tensor is made. Building on the device ``meta`` needs no such bound, but torch
imports its compiler for it: two seconds' work.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

BY_SIZE: tuple[Callable[..., Any], ...] = (torch.empty, torch.zeros, torch.ones, torch.full, torch.rand, torch.randn)
"""What makes a tensor of given sizes; ``torch.full`` takes them as its first argument."""

BY_COUNT: tuple[Callable[..., Any], ...] = (torch.arange, torch.linspace, torch.eye, torch.randperm)
"""What makes a tensor whose size follows from numbers: the largest number bounds it, or its square does."""

PRODUCTS: tuple[Callable[..., Any], ...] = (Tensor.matmul, Tensor.__matmul__, torch.matmul, torch.mm)


INTERMEDIATE, LEAST_ELEMENTS = 4, 1 << 20
"""Elements that building a network may take for each element of its file, and what it may always take."""

Network = TypeVar("Network", bound=nn.Module)


class TooLargeError(Exception):
    """More was to be allocated than is allowed."""


class _Bounded(TorchFunctionMode):
    def __init__(self, elements: int) -> None:
        super().__init__()
        self.left = elements

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in BY_SIZE:
            self._spend(math.prod(_sizes(args, kwargs)))
        elif func in BY_COUNT:
            largest = max((abs(int(value)) for value in args if isinstance(value, (int, float))), default=0)
            self._spend(largest**2 if func is torch.eye else largest)
        elif func in PRODUCTS:
            self._spend(math.prod(args[0].shape[:-1]) * args[1].shape[-1])
        return func(*args, **kwargs)

    def _spend(self, elements: int) -> None:
        self.left -= elements
        if self.left < 0:
            raise TooLargeError


def _sizes(args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[int]:
    given = kwargs.get("size", args[0] if args and isinstance(args[0], Sequence) else args)
    return [abs(int(size)) for size in given if isinstance(size, int)]


@contextmanager
def at_most(elements: int) -> Iterator[None]:
    """Raise a TooLargeError before the tensors that are made inside have more than ``elements`` elements in all."""
    with _Bounded(elements):
        yield


def build_within(build: Callable[[], Network], stored: int) -> Network:
    """The network that ``build`` makes, untrained; torch's random numbers stay as they were.

    Args:
        stored: number of elements of the tensors that are to be loaded into it. A network that would take far more,
            as that of a broken configuration may, is built on the device ``meta``: it has shapes but no memory.
    """
    try:
        with torch.random.fork_rng(devices=[]), at_most(INTERMEDIATE * stored + LEAST_ELEMENTS):
            return build()
    except TooLargeError:
        with torch.device("meta"):
            return build()
