"""Datasets, losses, optimisation and measurement."""
