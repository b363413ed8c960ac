"""One process at a time compiles kernels; the others wait and find them compiled."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

logger = logging.getLogger(__name__)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Wait for the lock file ``path`` and hold it; where a file system has no locks, or is read-only, go on without."""
    lock = FileLock(path)
    try:
        lock.acquire()
    except (OSError, NotImplementedError) as error:
        logger.debug("working without the lock %s: %s", path, error)
    try:
        yield
    finally:
        lock.release()
