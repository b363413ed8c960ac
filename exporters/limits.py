"""Bounds on what a file may unpack to, so that no header can make a reader allocate more.

A reader first compares what the file promises with the file's size (:func:`check_promise`), then unpacks in steps that
stop at what was promised.
"""

from __future__ import annotations

from hgs_toolkit.errors import FormatError
from hgs_toolkit.parsing import unpacking
from hgs_toolkit.parsing.stored import ParseError
from hgs_toolkit.parsing.unpacking import is_count as is_count
from hgs_toolkit.parsing.unpacking import most_content as most_content

BLOCK = 4096
"""Rows that are worked on at a time: a megabyte with all harmonics, which a processor's cache holds."""


def check_promise(needed: int, size: int) -> None:
    """Raise a FormatError if a file of ``size`` bytes promises more content, ``needed`` bytes, than it may have."""
    try:
        unpacking.check_promise(needed, size)
    except ParseError as error:
        raise FormatError(str(error)) from error
