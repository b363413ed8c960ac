"""The files of a PlayCanvas .sog that are not packed into an archive: ``meta.json`` and its images in a folder.

splat-transform writes scenes so; the boxes of a streamed scene are such folders, too.
"""

from __future__ import annotations

from pathlib import Path

from hgs_toolkit.errors import FormatError
from hgs_toolkit.exporters.splats.reading import Reading
from hgs_toolkit.exporters.splats.sog import reading_of_sog
from hgs_toolkit.exporters.splats.sog_meta import META


def read_sog_folder(path: Path) -> Reading:
    """Read the scene of version 2 whose ``meta.json`` is ``path``, written by any program.

    Raises:
        FormatError: if a file is broken, missing or not in the folder, or the sizes contradict each other.
    """
    folder = path.parent
    size = sum(file.stat().st_size for file in folder.iterdir() if file.is_file()) if folder.is_dir() else 0

    def load(name: str) -> bytes:
        if Path(name).name != name:
            raise FormatError(f"it names '{name}'; expected a file in its folder")
        try:
            return (path if name == META else folder / name).read_bytes()
        except OSError as error:
            raise FormatError(f"it lacks {name}: {error.strerror or error}") from error
        except ValueError as error:
            raise FormatError(f"it names {name!r}, which no file can be called") from error

    return reading_of_sog(load, path, size)
