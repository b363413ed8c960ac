"""A folder of scenes exported at once, by several processes, whose log lines come back to this one."""

from __future__ import annotations

import logging
import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from hgs_toolkit.errors import ConfigError, HgsError
from hgs_toolkit.exporters.convert import convert
from hgs_toolkit.exporters.table import FORMATS, format_of
from hgs_toolkit.files import refuse_overwrite

LOGGER = logging.getLogger("hgs_toolkit")
"""Above all loggers of the toolkit."""

ENDED = "a process was ended from outside, perhaps for lack of memory; run the command again, with fewer --jobs"
"""What is told of the scenes that were not written because one of the processes was killed."""

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
        """Export one scene; whatever goes wrong is told of this one alone."""
        try:
            convert(
                conversion.source, conversion.out, self.levels, self.source_frame, drop_invalid=self.drop_invalid,
                overwrite=self.overwrite, **self.options,
            )  # fmt: skip
        except (HgsError, OSError) as error:
            name = str(conversion.source)
            return Outcome(conversion, str(error) if name in str(error) else f"{name}: {error}")
        except Exception as error:
            return Outcome(conversion, f"{conversion.source}: internal error ({error!r}), please report it")
        return Outcome(conversion, None)


@dataclass(frozen=True)
class Apart:
    """What another process sends back: how a conversion ended, and what was logged there, where nobody sees it."""

    outcome: Outcome
    records: list[logging.LogRecord]


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
        name = _scene_name(path)
        if name in found:
            both = f"{found[name].name} and {path.name}"
            raise ConfigError(f"{both} would both be written to {out.name.replace(NAME, name)}")
        found[name] = path
    made = [Conversion(path, out.with_name(out.name.replace(NAME, name))) for name, path in found.items()]
    for conversion in made:
        refuse_overwrite(conversion.out, force=force)
    return made


def _scene_name(path: Path) -> str:
    """The file's name without its suffix; that of the folder for a lod-meta.json, which has no name of its own."""
    suffix = format_of(path).suffix
    own = path.name[: -len(suffix)]
    if not suffix.startswith("."):
        own = own.rstrip("._-")  # of cat.tileset.json
    return own or path.resolve().parent.name or "scene"


def convert_all(scenes: Sequence[Conversion], how: Conversions, jobs: int) -> Iterator[Outcome]:
    """Export ``scenes`` by ``jobs`` processes, as they end; one that fails stops none of the others."""
    jobs = min(jobs, len(scenes))
    if jobs == 1:
        yield from map(how.convert, scenes)
        return
    # A fresh interpreter each: torch's threads do not survive a fork.
    context = multiprocessing.get_context("spawn")
    level = LOGGER.getEffectiveLevel()
    with ProcessPoolExecutor(jobs, context, initializer=_one_thread) as pool:
        waiting: dict[Future[Apart], Conversion] = {
            pool.submit(_convert_apart, how, scene, level): scene for scene in scenes
        }
        try:
            for future in as_completed(waiting):
                try:
                    done = future.result()
                except BrokenProcessPool:
                    yield Outcome(waiting[future], f"{waiting[future].source}: {ENDED}")
                    continue
                for record in done.records:
                    logging.getLogger(record.name).handle(record)
                yield done.outcome
        finally:
            pool.shutdown(cancel_futures=True)


def _convert_apart(how: Conversions, conversion: Conversion, level: int) -> Apart:
    """Export one scene in a process of its own, which collects what is logged from ``level`` on."""
    kept = _Records()
    LOGGER.addHandler(kept)
    LOGGER.setLevel(level)
    try:
        return Apart(how.convert(conversion), kept.records)
    finally:
        LOGGER.removeHandler(kept)


class _Records(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        record.exc_info = None  # a traceback cannot be sent to another process
        self.records.append(record)


def _one_thread() -> None:
    """Keep torch, where a scene needs it, to one thread, since the processes fill the cores."""
    os.environ["OMP_NUM_THREADS"] = "1"
