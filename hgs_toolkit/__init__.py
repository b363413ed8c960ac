"""Hierarchical Gaussian GANs: train, sample, render, export."""
