"""``hgs doctor``'s lines about the GPU: card, driver, CUDA, gsplat, its kernels, and a measured image."""

from __future__ import annotations

import shutil
import statistics
import subprocess
import time

Row = tuple[str, str, str]

MEASURED_SIZE, MEASURED_GAUSSIANS, MEASURED_TIMES = 256, 20_000, 5
"""Pixels of the side of the measured image, number of its Gaussians, and of repetitions."""

PROGRAM_SECONDS = 10
"""Seconds after which a program that is asked for its version is given up."""


def gpu_rows() -> list[Row]:
    """Card, CUDA's compiler, and gsplat with the state of its kernels."""
    import torch

    from hgs_toolkit.devices import cuda_works
    from hgs_toolkit.rendering.gsplat_build import kernel_state

    works = cuda_works()
    card = torch.cuda.get_device_name() if works else "none"
    built = (
        f"torch was built for CUDA {torch.version.cuda}" if torch.version.cuda else "torch was built for the CPU only"
    )
    state = kernel_state()
    compiler = "none" if state.cuda_home is None else str(state.cuda_home)
    needed = "" if state.cuda_home or not works else "gsplat's kernels need CUDA's toolkit; is CUDA_HOME set?"
    kernels = "compiled" if state.compiled else "not compiled"
    build = (
        "" if state.compiled or not works else "; to compile them now: hgs sample --device cuda --seeds 0 --out FOLDER"
    )
    return [
        ("GPU", card, built),
        ("GPU driver", _driver(), ""),
        ("CUDA compiler", compiler, needed),
        ("gsplat", state.version or "missing", state.fault or f"kernels {kernels} in {state.folder}{build}"),
    ]


def measured_row() -> Row:
    """One image, forward and backward, by the renderer of this machine; where kernels are missing, it is left out."""
    from hgs_toolkit.errors import HgsError
    from hgs_toolkit.rendering import choose_backend, needs_compiling

    device = "cuda" if choose_backend().name == "gsplat" else "cpu"
    if needs_compiling(device) or choose_backend(device).name == "torch":
        return ("speed", "not measured", "the kernels are not compiled")
    try:
        milliseconds = _measure(device)
    except (HgsError, RuntimeError) as error:
        return ("speed", "failed", str(error).splitlines()[0])
    what = f"{MEASURED_SIZE} x {MEASURED_SIZE} pixels, {MEASURED_GAUSSIANS} Gaussians, forward and backward, {device}"
    return ("speed", f"{milliseconds:.1f} ms", what)


def _measure(device: str) -> float:
    """Milliseconds of the measured image, the median."""
    import torch

    from hgs_toolkit.cameras import frontal
    from hgs_toolkit.rendering import rasterize

    generator = torch.Generator().manual_seed(0)
    means = (0.4 * torch.randn(1, MEASURED_GAUSSIANS, 3, generator=generator)).to(device).requires_grad_()
    quats = torch.randn(1, MEASURED_GAUSSIANS, 4, generator=generator).to(device)
    ones = torch.ones(1, MEASURED_GAUSSIANS, 3, device=device)
    camera = frontal().to(torch.device(device))
    views = (camera.viewmats[None], camera.pixel_intrinsics(MEASURED_SIZE, MEASURED_SIZE)[None])
    times = []
    for _ in range(MEASURED_TIMES + 1):
        started = time.perf_counter()
        image, _ = rasterize(means, quats, 0.01 * ones, 0.5 * ones[..., 0], ones, *views, MEASURED_SIZE, MEASURED_SIZE)
        image.sum().backward()
        if device == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - started)
    return 1000 * statistics.median(times[1:])


def _driver() -> str:
    """The driver's version as nvidia-smi says it."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return "none"
    command = [program, "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PROGRAM_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return "nvidia-smi does not answer"
    return done.stdout.strip().splitlines()[0] if done.returncode == 0 and done.stdout.strip() else "none"
