"""Runs that start from other runs: weights to begin with, growing, and plans of several stages."""
