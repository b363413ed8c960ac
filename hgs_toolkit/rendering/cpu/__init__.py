"""The CPU backend: Numba kernels, forward and backward. Importing it imports Numba, which takes a second."""

from hgs_toolkit.rendering.cpu.autograd import render
from hgs_toolkit.rendering.cpu.jit import needs_compiling

__all__ = ["needs_compiling", "render"]
