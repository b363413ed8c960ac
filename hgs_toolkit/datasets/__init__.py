"""Posed images: readers and generators of training sets."""
