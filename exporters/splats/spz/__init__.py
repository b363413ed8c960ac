"""Niantic's .spz: the reader, the writer and the axes; its planes are parsed in ``hgs_toolkit.parsing``."""
