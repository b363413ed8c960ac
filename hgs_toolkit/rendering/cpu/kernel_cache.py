"""Numba's cache of machine code on disk, made safe for several processes and for helpers in other files.

Numba's own cache has two gaps. It notices a change of a kernel's file, not of the files of its helpers; and two
processes that save at the same moment can write an index that names the other's machine code. Here the digest of all
sources is part of the file names, so that code of other sources is never read, and saving goes one process at a time.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import pickle
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numba
from numba.core.caching import FunctionCache, IndexDataCacheFile

from hgs_toolkit.rendering.locking import locked

logger = logging.getLogger(__name__)

DIGEST_LETTERS = 12
"""Hexadecimal digits of the sources' digest in a file name."""


class KernelCache(FunctionCache):
    """The stored machine code of ``function``, as compiled from ``sources``.

    Raises:
        RuntimeError: if Numba finds no folder that can be written.
    """

    def __init__(self, function: Callable[..., None], sources: Iterable[Path]) -> None:
        super().__init__(function)
        self._sources = sorted({*sources, Path(function.__code__.co_filename)})
        self._stem = f"{self._impl.filename_base}-{_digest(self._sources)}"
        self._cache_file = IndexDataCacheFile(self._cache_path, self._stem, self._impl.locator.get_source_stamp())

    @property
    def folder(self) -> Path:
        """Where the files are."""
        return Path(self._cache_path)

    @property
    def stored(self) -> bool:
        """Whether there is machine code of these sources."""
        return (self.folder / f"{self._stem}.nbi").exists()

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Numba's hook: the stored code for a signature, None if there is none or it cannot be read."""
        try:
            return super().load_overload(sig, target_context)
        except (OSError, EOFError, pickle.UnpicklingError) as error:
            logger.debug("no stored code of %s: %s", self._stem, error)
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Numba's hook: store code; where that fails, the next process compiles again."""
        try:
            with locked(self.folder / "hgs-saving.lock"):
                super().save_overload(sig, data)
                self._remove_outdated()
        except (EOFError, pickle.UnpicklingError):
            self.flush()  # a broken index, as a power failure leaves it
        except OSError as error:
            logger.warning("the compiled %s cannot be kept in %s: %s", self._stem, self.folder, error.strerror or error)

    def _remove_outdated(self) -> None:
        """Remove code of this kernel and this Python that is older than the sources; others may do so, too."""
        kernel, _, line_and_python = self._impl.filename_base.rpartition("-")
        python = line_and_python.partition(".")[2]
        newest = max(source.stat().st_mtime for source in self._sources)
        for path in self.folder.glob(f"{kernel}-*.{python}*.nb[ic]"):
            with contextlib.suppress(OSError):
                if not path.name.startswith(self._stem) and path.stat().st_mtime < newest:
                    path.unlink()


def _digest(sources: Iterable[Path]) -> str:
    """The content of ``sources`` and Numba's version as a few letters."""
    content = hashlib.sha256(numba.__version__.encode())
    for source in sources:
        content.update(source.name.encode() + b"\0" + source.read_bytes())
    return content.hexdigest()[:DIGEST_LETTERS]
