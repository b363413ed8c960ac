"""Meshes from Gaussians, and the table of mesh formats (``table.py``)."""
