"""gsplat's CUDA kernels: whether they are compiled, and compiling them, one process at a time.

gsplat compiles its kernels when they are first used, about ten minutes of one core. Two of its habits need care: it
deletes the build folder before it compiles, so that two processes at once destroy each other's build, and it finds
CUDA's folder through ``nvcc`` on the PATH, which may be a wrapper script that lies elsewhere.

Untested on hardware.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from packaging.version import Version

from hgs_toolkit.errors import HgsError
from hgs_toolkit.rendering.locking import locked

OLDEST, TOO_NEW = "1.5.3", "1.6"
"""Versions of gsplat: from the first on, below the second. gsplat 1.6 takes harmonics without a batch dimension."""

INSTALL = f"pip install 'gsplat>={OLDEST},<{TOO_NEW}'"

LIBRARY = "gsplat_cuda"
"""Name of gsplat's compiled library, and of its build folder."""

MAX_JOBS = 16
"""Largest number of compilers that run at once; each takes one to two gigabytes."""

NVCC_SECONDS = 30


@dataclass(frozen=True)
class KernelState:
    """What is known of gsplat on this machine, without running it.

    Attributes:
        version: of the installed package; None if there is none.
        fault: why this version cannot be used, in one sentence; None if it can.
        compiled: whether its kernels are compiled.
        folder: where they are compiled.
        cuda_home: folder of CUDA's compiler and headers; None if there is none.
    """

    version: str | None
    fault: str | None
    compiled: bool
    folder: Path
    cuda_home: Path | None


def kernel_state() -> KernelState:
    """Look for gsplat, its compiled kernels and CUDA's compiler."""
    try:
        installed = version("gsplat")
    except PackageNotFoundError:
        installed = None
    return KernelState(installed, version_fault(installed), kernels_are_compiled(), build_folder(), find_cuda_home())


def version_fault(installed: str | None) -> str | None:
    """Why gsplat ``installed`` cannot be used, in one sentence; None if it can."""
    if installed is None:
        return f"gsplat is not installed; run: {INSTALL}"
    if not Version(OLDEST) <= Version(installed) < Version(TOO_NEW):
        return f"gsplat {installed} is installed; expected {OLDEST} or newer but older than {TOO_NEW}: {INSTALL}"
    return None


def build_folder() -> Path:
    """Folder in which torch compiles gsplat's kernels (TORCH_EXTENSIONS_DIR, else torch's cache folder)."""
    import torch
    from torch.utils import cpp_extension

    root = os.environ.get("TORCH_EXTENSIONS_DIR")
    if root is None:
        cuda = torch.version.cuda
        build = "cpu" if cuda is None else f"cu{cuda.replace('.', '')}"
        python = f"py{sys.version_info.major}{sys.version_info.minor}{getattr(sys, 'abiflags', '')}"
        root = str(Path(cpp_extension.get_default_build_root()) / f"{python}_{build}")
    return Path(root) / LIBRARY


def kernels_are_compiled() -> bool:
    """Whether a compiled library is in the package or in the build folder."""
    if importlib.util.find_spec("gsplat") is None:
        return False
    if importlib.util.find_spec("gsplat.csrc") is not None:
        return True
    return any((build_folder() / f"{LIBRARY}{suffix}").is_file() for suffix in (".so", ".lib", ".pyd"))


def find_cuda_home() -> Path | None:
    """Folder with CUDA's headers: CUDA_HOME or CUDA_PATH, else what ``nvcc`` itself names."""
    for name in ("CUDA_HOME", "CUDA_PATH"):
        if name in os.environ and _has_headers(Path(os.environ[name])):
            return Path(os.environ[name])
    nvcc = shutil.which("nvcc")
    if nvcc is None:
        return None
    named = re.search(r"^#\$ TOP=(.+)$", _nvcc_plan(nvcc), re.MULTILINE)
    candidates = [Path(named[1].strip())] if named else []
    candidates.append(Path(nvcc).resolve().parent.parent)
    return next((folder.resolve() for folder in candidates if _has_headers(folder)), None)


@contextmanager
def build_environment() -> Iterator[None]:
    """CUDA_HOME and MAX_JOBS set for gsplat's build, as far as they can be found and are not set."""
    from torch.utils import cpp_extension

    home, saved, known = find_cuda_home(), dict(os.environ), cpp_extension.CUDA_HOME
    if home is not None:
        os.environ["CUDA_HOME"] = cpp_extension.CUDA_HOME = str(home)
    os.environ.setdefault("MAX_JOBS", str(min(os.cpu_count() or 1, MAX_JOBS)))
    try:
        yield
    finally:
        cpp_extension.CUDA_HOME = known
        for name in ("CUDA_HOME", "MAX_JOBS"):
            os.environ.pop(name, None)
            if name in saved:
                os.environ[name] = saved[name]


def load_kernels() -> None:
    """Load gsplat's kernels; compile them before if they are not, one process at a time.

    Raises:
        HgsError: if gsplat is missing or of another version, or if there are no kernels and no compiler for them.
        Exception: whatever a failing compilation raises.
    """
    state = kernel_state()
    if state.fault is not None:
        raise HgsError(state.fault)
    if not state.compiled and state.cuda_home is None:
        raise HgsError(
            "gsplat's CUDA kernels are not compiled and no CUDA compiler was found; install CUDA's toolkit for "
            "torch's version of CUDA, or set CUDA_HOME to its folder"
        )
    state.folder.parent.mkdir(parents=True, exist_ok=True)
    # Beside the build folder, not in it: gsplat deletes that folder.
    with locked(state.folder.parent / f"{LIBRARY}.hgs.lock"), build_environment():
        from gsplat.cuda import _backend

        if _backend._C is None:
            raise HgsError("gsplat found no CUDA compiler; set CUDA_HOME to the folder of CUDA's toolkit")


def _nvcc_plan(nvcc: str) -> str:
    """What ``nvcc`` would run; one of the lines names its folder."""
    command = [nvcc, "--dryrun", "-c", "x.cu"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=NVCC_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stderr + done.stdout


def _has_headers(folder: Path) -> bool:
    found = (folder / "include" / "cuda_runtime.h").is_file()
    return found or any(folder.glob("targets/*/include/cuda_runtime.h"))
