"""The folder beside a file of JSON that holds the rest of a scene, named after a hash of its content.

So a new scene never touches the files of an old one, and the scene changes in one step, with the JSON.
"""

from __future__ import annotations

import filecmp
import hashlib
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hgs_toolkit.files import make_folder

FILES = "files"
"""Name of a folder in the temporary one; unlike the temporary one, other users may open it."""


@dataclass(frozen=True)
class CompanionKind:
    """How a format names its folders: ``prefix`` and twelve digits of a hash."""

    prefix: str

    @property
    def pattern(self) -> re.Pattern[str]:
        """What the folders' names look like."""
        return re.compile(rf"{self.prefix}-[0-9a-f]{{12}}")

    @contextmanager
    def replacing(self, path: Path) -> Iterator[None]:
        """A context in which ``path`` is replaced; afterwards the folder that it named before is removed.

        It stays if a .json beside it, of whatever scene, names it or cannot be read. No other folder is looked at:
        another process may have finished it, and not yet the file that names it.
        """
        try:
            before = self._named_in(path) if path.exists() else set()
        except OSError:
            before = set()
        yield
        if not before:
            return
        try:
            others = [file for file in path.parent.iterdir() if file.name.lower().endswith(".json") and file.is_file()]
            unused = before.difference(*map(self._named_in, others))
        except OSError:
            return
        for name in unused:
            shutil.rmtree(path.parent / name, ignore_errors=True)

    def _named_in(self, file: Path) -> set[str]:
        """The names of such folders in a text of any encoding: they are ASCII, between zeros in UTF-16."""
        return set(self.pattern.findall(file.read_bytes().replace(b"\0", b"").decode("ascii", "replace")))


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
        """Give the folder its name, and return it; one of this name that exists is replaced only if it was damaged."""
        folder = self._parent / f"{self._kind.prefix}-{self._digest.hexdigest()[:12]}"
        if folder.exists() and not self._equals(folder):
            folder.rename(self._work / "damaged")
        if not folder.exists():
            self._files.rename(folder)
        return folder.name

    def _equals(self, folder: Path) -> bool:
        """Whether ``folder`` has all the files that were written, byte for byte."""
        files = [file.relative_to(self._files) for file in self._files.rglob("*") if file.is_file()]
        try:
            return all(filecmp.cmp(self._files / name, folder / name, shallow=False) for name in files)
        except OSError:
            return False
