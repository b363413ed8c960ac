"""Critters: the built-in demo set of procedural animal heads."""
