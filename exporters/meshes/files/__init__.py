"""Mesh file formats: one file a format, each from placed meshes to bytes."""
