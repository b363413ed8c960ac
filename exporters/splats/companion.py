"""The folder beside a file of JSON that holds the rest of a scene, named after a hash of its content.

So a new scene never touches the files of an old one, and the scene changes in one step, with the JSON.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from hgs_toolkit.files import make_folder

FILES = "files"
"""Name of a folder in the temporary one; unlike the temporary one, other users may open it."""


@dataclass(frozen=True)
class CompanionKind:
    """How a format names its folders: ``prefix`` and twelve digits of a hash, beside files that end in ``suffix``."""

    prefix: str
    suffix: str

    @property
    def pattern(self) -> re.Pattern[str]:
        """What the folders' names look like."""
        return re.compile(rf"{self.prefix}-[0-9a-f]{{12}}")

    def tidy(self, path: Path) -> None:
        """Remove the folders beside ``path`` that no file of the format there names any more."""
        named = {
            match for file in path.parent.glob(f"*{self.suffix}")
            for match in self.pattern.findall(file.read_text("utf-8"))
        }  # fmt: skip
        for folder in path.parent.iterdir():
            if folder.is_dir() and self.pattern.fullmatch(folder.name) and folder.name not in named:
                shutil.rmtree(folder)


class Companion:
    """A folder that is being written; use it as a context, and call :meth:`finish` for its final name."""

    def __init__(self, kind: CompanionKind, parent: Path) -> None:
        self._kind, self._parent = kind, parent
        self._digest = hashlib.sha256()

    def __enter__(self) -> Companion:
        self._work = Path(tempfile.mkdtemp(prefix=f".tmp-{self._kind.prefix}-", dir=self._parent))
        self._files = make_folder(self._work / FILES)
        return self

    def __exit__(self, *error: object) -> None:
        shutil.rmtree(self._work, ignore_errors=True)

    def add(self, name: str, data: bytes) -> None:
        """Write the file ``name``, which may name a folder too."""
        path = self._files / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
        self._digest.update(f"{name} {len(data)}\n".encode() + data)

    def finish(self) -> str:
        """Give the folder its name, and return it; a folder of this name that exists has the same content."""
        folder = self._parent / f"{self._kind.prefix}-{self._digest.hexdigest()[:12]}"
        if not folder.exists():
            self._files.rename(folder)
        return folder.name
