"""Checkpoints of the GSGAN authors: read without executing anything."""
