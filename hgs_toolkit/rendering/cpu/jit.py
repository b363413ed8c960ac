"""Compiling kernels once and keeping them: the decorators and the state of the cache."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numba import njit

logger = logging.getLogger(__name__)

_kernels: list[Any] = []

# Numba looks only at a kernel's own file to see whether its compiled form is stale; kernels here share helpers.
_SOURCES = [*Path(__file__).parent.glob("*.py"), Path(__file__).parent.parent / "settings.py"]


def cached(function: Callable[..., None]) -> Any:
    """Compile ``function`` on its first call, without the interpreter's lock, and keep the machine code on disk.

    Numba keeps it beside the source file or in the user's cache folder, whichever can be written (or where
    NUMBA_CACHE_DIR says); if neither can, it is compiled once per process. A change of the function's own file is
    noticed, one of its helpers' files is not.
    """
    try:
        return njit(nogil=True, cache=True, error_model="numpy")(function)
    except RuntimeError as error:
        logger.warning(
            "%s will be compiled in every process (%s); set NUMBA_CACHE_DIR to a writable folder",
            function.__name__, error,
        )  # fmt: skip
        return njit(nogil=True, error_model="numpy")(function)


def kernel(function: Callable[..., None]) -> Any:
    """A :func:`cached` kernel of the rasteriser, compiled anew after a change of any of its files."""
    compiled = cached(function)
    _forget_stale(compiled)
    _kernels.append(compiled)
    return compiled


def inlined(function: Callable[..., Any]) -> Any:
    """Compile a helper of kernels; LLVM inlines it."""
    return njit(nogil=True, error_model="numpy")(function)


def needs_compiling() -> bool:
    """Whether the next call compiles some kernel: it is neither loaded nor in the cache."""
    return any(not compiled.signatures and not _index_files(compiled) for compiled in _kernels)


def signature_counts() -> dict[str, int]:
    """How many variants of each kernel this process has compiled or loaded."""
    return {compiled.py_func.__name__: len(compiled.signatures) for compiled in _kernels}


def _index_files(compiled: Any) -> list[Path]:
    """Files in which Numba lists the compiled forms of a kernel; the name ends in line number and Python version."""
    folder = compiled.stats.cache_path
    return list(Path(folder).glob(f"{_file_stem(compiled)}-*.nbi")) if folder else []


def _file_stem(compiled: Any) -> str:
    return f"{Path(compiled.py_func.__code__.co_filename).stem}.{compiled.py_func.__qualname__}"


def _forget_stale(compiled: Any) -> None:
    newest = max(source.stat().st_mtime for source in _SOURCES)
    for index in _index_files(compiled):
        if index.stat().st_mtime < newest:
            index.unlink(missing_ok=True)
