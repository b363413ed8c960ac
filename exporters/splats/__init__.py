"""Splat formats: one file a format, with its reader and writer side by side."""
