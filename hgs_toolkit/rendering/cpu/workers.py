"""Running a kernel on several threads, without Numba's threading layers.

Those may not be entered from two threads (workqueue) or used after a fork (GNU OpenMP); kernels that release the
interpreter's lock and threads of our own have neither limit. Every kernel takes ``worker`` and ``workers`` first and
does its share; who does what never changes a result.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch

_pool: ThreadPoolExecutor | None = None


def run(kernel: Any, *args: Any) -> None:
    """Call ``kernel(worker, workers, *args)`` for ``torch.get_num_threads()`` workers and wait for all."""
    workers = torch.get_num_threads()
    others = [_threads().submit(kernel, worker, workers, *args) for worker in range(1, workers)]
    try:
        kernel(0, workers, *args)
    finally:
        for other in others:
            other.result()


def _threads() -> ThreadPoolExecutor:
    global _pool
    if _pool is None:
        _pool = ThreadPoolExecutor(max_workers=os.cpu_count(), thread_name_prefix="hgs-rasterizer")
    return _pool


def _forget_pool() -> None:
    """A forked child inherits the pool but not its threads."""
    global _pool
    _pool = None


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_forget_pool)
