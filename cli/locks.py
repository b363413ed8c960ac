"""One process at a time writes an output file or folder. A lock ends with its process, however that ends.

Lock files lie in a folder of the user below the system's temporary one, named by the output's path, so that nothing is
left beside the output. They keep processes of one machine apart.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hgs_toolkit.errors import HgsError


@contextmanager
def locked(out: Path, part: str = "") -> Iterator[None]:
    """Hold the output ``out`` while this is open.

    Args:
        part: which part of ``out`` is meant, if several processes make it together.

    Raises:
        HgsError: if another process holds it; the message names that process and when it began.
    """
    from filelock import FileLock, Timeout

    name = os.fsencode(out.resolve()) + f"#{part}".encode()  # a path need not be UTF-8
    base = _lock_folder() / hashlib.sha256(name).hexdigest()[:32]
    holder = base.with_suffix(".json")
    lock = FileLock(base.with_suffix(".lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise HgsError(
            f"{out} is being written by {_described(holder)}; wait for it, stop it, or choose another output"
        ) from None
    except (OSError, NotImplementedError):  # a file system that knows no locks
        yield
        return
    try:
        started = time.strftime("%Y-%m-%d %H:%M:%S")
        with suppress(OSError):
            holder.write_text(json.dumps({"process": os.getpid(), "started": started}), encoding="utf-8")
        yield
    finally:
        with suppress(OSError):
            holder.unlink()
        lock.release()


def _lock_folder() -> Path:
    user = os.getuid() if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")
    folder = Path(tempfile.gettempdir()) / f"hgs-locks-{user}"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def _described(holder: Path) -> str:
    """The process that holds a lock, in words."""
    try:
        facts = json.loads(holder.read_text(encoding="utf-8"))
        return f"process {int(facts['process'])}, which began at {facts['started']}"
    except (OSError, ValueError, KeyError, TypeError):  # between the two steps of taking a lock
        return "another process"
