"""A folder of scenes exported at once, by several processes."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from hgs_toolkit.errors import ConfigError, HgsError
from hgs_toolkit.exporters.convert import convert
from hgs_toolkit.exporters.table import FORMATS
from hgs_toolkit.files import refuse_overwrite

NAME = "%s"
"""What stands for a scene's name in the names of the files to write."""


class Conversion(NamedTuple):
    """A file to read and the file to write."""

    source: Path
    out: Path


class Outcome(NamedTuple):
    """A conversion that has ended, and what went wrong, if anything did."""

    conversion: Conversion
    error: str | None


@dataclass(frozen=True)
class Conversions:
    """How every scene of a folder is exported.

    Attributes:
        levels: levels to keep; None for all.
        source_frame: world frame of scenes whose format leaves it open.
        drop_invalid: whether Gaussians with NaN or infinite values are left out, not refused.
        overwrite: whether files are replaced.
        options: of :func:`hgs_toolkit.exporters.convert.convert`.
    """

    levels: Sequence[int] | None
    source_frame: str | None
    drop_invalid: bool
    overwrite: bool
    options: dict[str, Any]

    def convert(self, conversion: Conversion) -> Outcome:
        """Export one scene."""
        try:
            convert(
                conversion.source, conversion.out, self.levels, self.source_frame, drop_invalid=self.drop_invalid,
                overwrite=self.overwrite, **self.options,
            )  # fmt: skip
        except (HgsError, OSError) as error:
            return Outcome(conversion, str(error))
        return Outcome(conversion, None)


def scenes_of(folder: Path, out: Path, *, force: bool) -> list[Conversion]:
    """The scenes in ``folder`` by name, and the files that ``out`` means: ``%s`` in its name is that of the scene.

    Raises:
        ConfigError: if ``out`` has no ``%s`` in its name, or two scenes have one name.
        HgsError: if the folder has no scenes, or a file exists already.
    """
    if out.name.count(NAME) != 1:
        raise ConfigError(
            f"{folder} is a folder, and OUT is {out}; expected a name with {NAME}, such as out/{NAME}.spz"
        )
    readable = tuple(known.suffix for known in FORMATS if known.reader is not None)
    sources = sorted(path for path in folder.iterdir() if path.is_file() and path.name.lower().endswith(readable))
    if not sources:
        raise HgsError(f"{folder} holds no splat files; expected some of {', '.join(readable)}")
    found: dict[str, Path] = {}
    for path in sources:
        suffix = max((end for end in readable if path.name.lower().endswith(end)), key=len)
        name = path.name[: -len(suffix)]
        if name in found:
            both = f"{found[name].name} and {path.name}"
            raise ConfigError(f"{both} would both be written to {out.name.replace(NAME, name)}")
        found[name] = path
    made = [Conversion(path, out.with_name(out.name.replace(NAME, name))) for name, path in found.items()]
    for conversion in made:
        refuse_overwrite(conversion.out, force=force)
    return made


def convert_all(scenes: Sequence[Conversion], how: Conversions, jobs: int) -> Iterator[Outcome]:
    """Export ``scenes`` by ``jobs`` processes, as they end; one that fails stops none of the others."""
    jobs = min(jobs, len(scenes))
    if jobs == 1:
        yield from map(how.convert, scenes)
        return
    # A fresh interpreter each: torch's threads do not survive a fork.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, context, initializer=_one_thread) as pool:
        waiting: list[Future[Outcome]] = [pool.submit(how.convert, scene) for scene in scenes]
        try:
            for future in as_completed(waiting):
                yield future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _one_thread() -> None:
    """Keep torch, where a scene needs it, to one thread, since the processes fill the cores."""
    os.environ["OMP_NUM_THREADS"] = "1"
