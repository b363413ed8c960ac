"""Which part of a dataset a run makes: ``--shard i/n``, or the number that Slurm or torchrun give this process."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from hgs_toolkit.errors import ConfigError

ALL = "all"


@dataclass(frozen=True)
class Part:
    """Part ``index`` (from 0) of ``count``: every shard whose number leaves the remainder ``index``.

    Attributes:
        source: names of the environment variables that said so; empty for the command line.
    """

    index: int = 0
    count: int = 1
    source: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.index < self.count:
            source = f" (from {self.source})" if self.source else ""
            raise ConfigError(f"part {self.index}/{self.count}{source}; expected i/n with i from 0 to n - 1")

    def shards(self, total: int) -> range:
        """Numbers of its shards, of ``total``."""
        return range(self.index, total, self.count)


def choose_part(text: str | None, environment: Mapping[str, str]) -> Part:
    """The part of a text ``i/n`` or ``all``; without one, that of the scheduler's variables, else everything.

    Raises:
        ConfigError: if the text or a variable is something else.
    """
    if text == ALL:
        return Part()
    if text is not None:
        match = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text)
        if match is None:
            raise ConfigError(f"--shard '{text}'; expected i/n such as 0/8, or {ALL}")
        return Part(int(match[1]), int(match[2]))
    return _of_slurm(environment) or _of_torchrun(environment) or Part()


def _of_slurm(environment: Mapping[str, str]) -> Part | None:
    """A job array's task, a step's process, or both: then each task of the array is cut further."""
    index, count, sources = 0, 1, []
    if "SLURM_ARRAY_TASK_ID" in environment:
        first, step = _number(environment, "SLURM_ARRAY_TASK_MIN", 0), _number(environment, "SLURM_ARRAY_TASK_STEP", 1)
        index = (_number(environment, "SLURM_ARRAY_TASK_ID") - first) // max(step, 1)
        count = _number(environment, "SLURM_ARRAY_TASK_COUNT")
        sources.append("SLURM_ARRAY_TASK_ID")
    if "SLURM_PROCID" in environment and _number(environment, "SLURM_NTASKS", 1) > 1:
        tasks = _number(environment, "SLURM_NTASKS")
        index, count = index * tasks + _number(environment, "SLURM_PROCID"), count * tasks
        sources.append("SLURM_PROCID")
    return Part(index, count, " and ".join(sources)) if sources else None


def _of_torchrun(environment: Mapping[str, str]) -> Part | None:
    if not {"RANK", "WORLD_SIZE"} <= environment.keys():
        return None
    return Part(_number(environment, "RANK"), _number(environment, "WORLD_SIZE"), "RANK and WORLD_SIZE")


def _number(environment: Mapping[str, str], name: str, default: int | None = None) -> int:
    text = environment.get(name, "" if default is None else str(default))
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise ConfigError(f"the environment says {name}='{text}'; expected a number, or give --shard i/n or {ALL}")
    return int(text)
