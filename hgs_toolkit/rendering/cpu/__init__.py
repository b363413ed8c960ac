"""The CPU backend: Numba kernels, forward and backward. Importing it imports Numba, which takes a second."""

from hgs_toolkit.rendering.cpu.autograd import render
from hgs_toolkit.rendering.cpu.jit import compiling, needs_compiling

__all__ = ["compiling", "needs_compiling", "render"]
