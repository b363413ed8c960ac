# SPDX-License-Identifier: GPL-3.0-or-later
"""Why the graphics card does not draw 3D views, which the panels repeat."""

from __future__ import annotations

LONGEST = 160
"""Characters of an error of the graphics card that are kept."""

_failure = ""
_refusal = ""


def fail(error: Exception) -> None:
    """The graphics card cannot be used at all, until :func:`try_again`."""
    global _failure
    _failure = f"the graphics card failed ({str(error).strip()[:LONGEST]})"


def refuse(words: str) -> None:
    """The graphics card does not draw the scene of the latest 3D view; it does for no ``words``."""
    global _refusal
    _refusal = words


def has_failed() -> bool:
    """Whether the graphics card cannot be used at all."""
    return bool(_failure)


def reason() -> str:
    """Why the processor draws 3D views, in one sentence; empty where the graphics card does."""
    words = _failure or _refusal
    return f"3D views are drawn by the processor: {words}" if words else ""


def try_again() -> None:
    """Forget why the graphics card failed."""
    global _failure, _refusal
    _failure = _refusal = ""
