"""The wait for the rasteriser's kernels, which are compiled once on each machine, made visible."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from hgs_toolkit.cli.console import Reporter


def compile_kernels(report: Reporter, device: torch.device | str) -> None:
    """Compile the kernels for ``device`` now if they will be needed and are not compiled yet.

    Raises:
        HgsError: if gsplat does not work on the CUDA device.
    """
    import torch

    from hgs_toolkit.rendering import choose_backend, needs_compiling, warm_up

    on_gpu = torch.device(device).type == "cuda"
    if not on_gpu and choose_backend(device).name != "cpu":
        return
    if not needs_compiling(device):
        if on_gpu:
            warm_up(device)  # loads gsplat's kernels and draws one Gaussian: a fault is found before the work
        return
    if on_gpu:
        report.note("compiling gsplat's CUDA kernels, once on this machine: about ten minutes of one core, shared")
    else:
        report.note("compiling the CPU rasteriser, once on this machine: up to a minute")
    with report.progress("compiling"):
        warm_up(device)
