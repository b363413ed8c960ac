"""Meshes from Gaussians: density, surface, colour, and the files that hold them."""
