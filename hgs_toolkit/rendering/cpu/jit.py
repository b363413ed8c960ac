"""Compiling kernels once and keeping them: the decorators and the state of the cache."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from numba import njit

from hgs_toolkit.rendering.cpu.kernel_cache import KernelCache
from hgs_toolkit.rendering.locking import locked

logger = logging.getLogger(__name__)

_kernels: list[Any] = []

# Kernels share helpers, so that a change of any of these files is a change of every kernel.
_SOURCES = [
    *Path(__file__).parent.glob("*.py"),
    *(Path(__file__).parent.parent / name for name in ("settings.py", "harmonics.py")),
]


def cached(function: Callable[..., None], sources: Iterable[Path] = ()) -> Any:
    """Compile ``function`` on its first call, without the interpreter's lock, and keep the machine code on disk.

    It is kept beside the source file or in the user's cache folder, whichever can be written (or where
    NUMBA_CACHE_DIR says); if neither can, it is compiled once per process. A change of the function's own file or of
    ``sources`` is noticed.
    """
    compiled: Any = njit(nogil=True, error_model="numpy")(function)
    try:
        compiled._cache = KernelCache(function, sources)  # in place of Numba's own, which cache=True would put there
    except RuntimeError as error:
        logger.warning(
            "%s will be compiled in every process (%s); set NUMBA_CACHE_DIR to a writable folder",
            function.__name__, error,
        )  # fmt: skip
    return compiled


def kernel(function: Callable[..., None]) -> Any:
    """A :func:`cached` kernel of the rasteriser, compiled anew after a change of any of its files."""
    compiled = cached(function, _SOURCES)
    _kernels.append(compiled)
    return compiled


def inlined(function: Callable[..., Any]) -> Any:
    """Compile a helper of kernels, which LLVM inlines: a call would pass every number that an array is made of."""
    return njit(nogil=True, error_model="numpy", forceinline=True)(function)


def needs_compiling() -> bool:
    """Whether the next call compiles some kernel: it is neither loaded nor in the cache."""
    return any(not compiled.signatures and not _is_stored(compiled) for compiled in _kernels)


def compiling() -> AbstractContextManager[None]:
    """Hold this while the kernels compile: a second process waits, and then finds them in the cache."""
    folders = [cache.folder for cache in map(_cache, _kernels) if cache is not None]
    return locked(folders[0] / "hgs-compiling.lock") if folders and needs_compiling() else nullcontext()


def signature_counts() -> dict[str, int]:
    """How many variants of each kernel this process has compiled or loaded."""
    return {compiled.py_func.__name__: len(compiled.signatures) for compiled in _kernels}


def _cache(compiled: Any) -> KernelCache | None:
    """The cache of a kernel; None where no folder can be written."""
    return compiled._cache if isinstance(compiled._cache, KernelCache) else None


def _is_stored(compiled: Any) -> bool:
    cache = _cache(compiled)
    return cache is not None and cache.stored
