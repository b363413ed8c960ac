"""Gaussians in binary glTF (KHR_gaussian_splatting): reader, writer, and tiles of Cesium."""
