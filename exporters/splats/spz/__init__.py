"""Niantic's .spz: its header and axes, the reader and the writer."""
