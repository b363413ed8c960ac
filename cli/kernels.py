"""Compiling the CPU rasteriser's kernels, once on each machine, with a note about the wait."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from hgs_toolkit.cli.console import Reporter


def compile_kernels(report: Reporter, device: torch.device | str) -> None:
    """Compile the CPU kernels now if they will be needed and are not in the cache yet."""
    from hgs_toolkit.rendering import choose_backend, needs_compiling, warm_up

    if choose_backend(device).name == "cpu" and needs_compiling():
        report.note("compiling the CPU rasteriser, once on this machine: up to a minute")
        with report.progress("compiling"):
            warm_up()
