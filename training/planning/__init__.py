"""Plans for sets that nobody tuned for: what a set is like, the settings that follow, and how long they take."""

SIZES = (16, 32, 64, 128, 256, 512)
"""Resolutions that stages can have, pixels."""
