"""The CPU backend: Numba kernels, forward and backward."""
