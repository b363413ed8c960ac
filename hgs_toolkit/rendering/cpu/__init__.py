"""The CPU backend: Numba kernels, forward and backward. Importing it imports Numba, which takes a second."""

from hgs_toolkit.memory import keep_freed_blocks
from hgs_toolkit.rendering.cpu.autograd import render
from hgs_toolkit.rendering.cpu.jit import compiling, needs_compiling

__all__ = ["compiling", "needs_compiling", "render"]

# A pass takes megabytes for records, pairs and slots and gives them back; fresh memory costs a page fault for every
# 4 kB, in all a tenth to a quarter of the time of drawing.
keep_freed_blocks()
