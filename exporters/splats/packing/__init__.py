"""Encodings that several packed splat formats share."""
