"""How much memory this process may still take, whether it keeps what it has, and when it looks for garbage."""

from __future__ import annotations

import gc
import os
import threading
from pathlib import Path

UNKNOWN = 8 * 1024**3
"""Assumed where the system does not say."""

FREED_BLOCK = (32 << 20) - (1 << 16)
"""Size in bytes of the largest block that glibc's allocator keeps when it is freed (DEFAULT_MMAP_THRESHOLD_MAX)."""

START_UP = 3.0
"""Seconds after its start in which a command does not look for garbage."""

CGROUP = Path("/sys/fs/cgroup")


def available_memory() -> int:
    """Bytes that can be allocated without swapping: the machine's, or what a container's limit leaves."""
    return min(_of_machine(), _of_container())


def keep_freed_blocks() -> None:
    """Let glibc's allocator keep freed blocks of up to 32 MB for the next use, as it does once one was freed.

    Until then it gives them back to the system, and each new block costs a page fault for every 4 kB: about a tenth of
    the time of a small scene. Other allocators do as they did.
    """
    bytes(FREED_BLOCK)


def collect_after_start_up(seconds: float = START_UP) -> threading.Timer:
    """Leave garbage alone for ``seconds``, and what lives by then for ever after: the modules of torch and a model.

    While a command imports, nearly all that it makes stays; Python would look through it 400 times, for a sixth of the
    time of the imports. Processes that are forked meanwhile collect at once.

    Returns:
        The started timer, which ends with the process.
    """

    def begin() -> None:
        gc.collect()
        gc.freeze()
        gc.enable()

    gc.disable()
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=gc.enable)
    timer = threading.Timer(seconds, begin)
    timer.daemon = True
    timer.start()
    return timer


def _of_machine() -> int:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        kilobytes = next(line.split()[1] for line in lines if line.startswith("MemAvailable:"))
        return int(kilobytes) * 1024
    except (OSError, StopIteration, ValueError):
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2  # macOS says only what is built in
    except (AttributeError, ValueError, OSError):
        return UNKNOWN


def _of_container() -> int:
    """What version 2 control groups leave; a large number where there is no limit."""
    try:
        limit = int((CGROUP / "memory.max").read_text())
        return max(limit - int((CGROUP / "memory.current").read_text()), 0)
    except (OSError, ValueError):  # no such file, or "max"
        return 2**63 - 1
