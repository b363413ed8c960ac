"""Lists of whole numbers as text: ``0-31`` or ``1,5,9-12``."""

from __future__ import annotations

import re

from hgs_toolkit.conventions import MAX_LEVELS, MAX_SEED
from hgs_toolkit.errors import ConfigError

MAX_COUNT = 1_000_000
"""Largest number of numbers in one text."""


def parse_seeds(text: str) -> list[int]:
    """Seeds of a text such as ``"0-31"`` or ``"1,5,9-12"``, in its order, without repetitions.

    Raises:
        ConfigError: if the text is something else, a range runs backwards, or there are too many.
    """
    return parse_ranges(text, "seeds", MAX_SEED)


def parse_levels(text: str) -> list[int]:
    """Levels of a text such as ``"0-3"``; else as :func:`parse_seeds`."""
    return parse_ranges(text, "levels", MAX_LEVELS - 1)


def parse_ranges(text: str, what: str, largest: int) -> list[int]:
    """The numbers of a text such as ``"0-31"`` or ``"1,5,9-12"``, in its order, without repetitions.

    Args:
        what: what the numbers are, for the error's text.
        largest: the greatest number allowed.

    Raises:
        ConfigError: if the text is something else, a range runs backwards, or there are too many.
    """
    numbers: dict[int, None] = {}
    for part in text.replace(" ", "").split(","):
        match = re.fullmatch(r"([0-9]{1,10})(?:-([0-9]{1,10}))?", part)
        if match is None:
            raise ConfigError(f"{what} '{text}': '{part}' is no number or range; expected for example 0-3 or 1,5,9-12")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first or last > largest:
            raise ConfigError(f"{what} '{text}': '{part}' runs backwards or beyond {largest}")
        if len(numbers) + last - first >= MAX_COUNT:
            raise ConfigError(f"{what} '{text}' are more than {MAX_COUNT}; give them in parts")
        numbers |= dict.fromkeys(range(first, last + 1))
    return list(numbers)
