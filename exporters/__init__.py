"""Files of other programs: splat formats, meshes, and the table that finds a format by its suffix."""
