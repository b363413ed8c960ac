"""The errors a user can meet; the command line prints them as one sentence, without a traceback."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class HgsError(Exception):
    """Base of every error that is the input's fault: says what was given, what was expected, what to do."""


class ConfigError(HgsError, ValueError):
    """A preset, YAML file or ``--set`` value that cannot be used."""


class DataError(HgsError, ValueError):
    """A dataset (image, label, archive) that cannot be used; the message names the file."""


class FormatError(HgsError, ValueError):
    """A splat, mesh or asset file that is broken or of an unknown kind."""


class CheckpointError(HgsError, ValueError):
    """A checkpoint or training state that is broken or belongs to another configuration."""


class ShapeError(HgsError, ValueError):
    """Tensors whose shapes or values contradict each other."""


class PeerLostError(HgsError):
    """Another process of a distributed run ended, and this one cannot go on without it."""


class MissingExtraError(HgsError, ImportError):
    """An optional package is needed; the message names the pip command."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        self._given = (package, extra, purpose)
        super().__init__(
            f"{purpose} needs the package '{package}', which is not installed; run: pip install 'hgs_toolkit[{extra}]'"
        )

    def __reduce__(self) -> tuple[type[MissingExtraError], tuple[str, str, str]]:
        """Made anew from its arguments in another process, which would otherwise be given the message alone."""
        return type(self), self._given


def did_you_mean(name: str, known: Sequence[str], count: int = 1) -> str:
    """`` (did you mean '.ply'?)``: a hint at those of ``known`` that ``name`` resembles; empty where none does.

    Args:
        count: largest number of names, the nearest first.
    """
    import difflib

    matches = [f"'{match}'" for match in difflib.get_close_matches(name, known, n=count)]
    return f" (did you mean {' or '.join(matches)}?)" if matches else ""


MAX_BITS = 256
"""Whole numbers of more bits are not written out in messages; Python refuses to from about 14,000 on."""


def require(condition: bool, key: str, value: Any, expected: str) -> None:
    """Raise a ConfigError unless ``condition``; it names the setting ``key``, its ``value`` and what was expected."""
    if not condition:
        long = isinstance(value, int) and value.bit_length() > MAX_BITS
        shown = f"a whole number of {value.bit_length():,} bits" if long else repr(value)
        raise ConfigError(f"{key} is {shown}; expected {expected}")
