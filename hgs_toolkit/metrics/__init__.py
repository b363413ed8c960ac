"""Measures of quality, each named after its feature extractor."""
