"""The wait for the CPU rasteriser's kernels, which are compiled once on each machine, made visible."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from hgs_toolkit.cli.console import Reporter


def compile_kernels(report: Reporter, device: torch.device | str) -> None:
    """Compile the CPU kernels now, forward and backward, if they will be needed and are not in the cache yet."""
    from hgs_toolkit.rendering import choose_backend

    if choose_backend(device).name != "cpu":
        return
    from hgs_toolkit.rendering.cpu import autograd, jit  # autograd names every kernel

    assert autograd
    if jit.needs_compiling():
        report.note("compiling the CPU rasteriser, once on this machine: about a minute")
        with report.progress("compiling"):
            _draw_and_differentiate()


def _draw_and_differentiate() -> None:
    import torch

    from hgs_toolkit.rendering import rasterize

    quat, view = torch.tensor([[[1.0, 0, 0, 0]]]), torch.eye(4)[None, None]
    means = torch.tensor([[[0.0, 0, 3]]], requires_grad=True)
    intrinsics = torch.tensor([[[[8.0, 0, 4], [0, 8, 4], [0, 0, 1]]]])
    ones = torch.ones(1, 1, 3)
    images, _ = rasterize(means, quat, ones, ones[..., 0], ones, view, intrinsics, 8, 8)
    images.sum().backward()
