"""What the comments of a splat .ply state beyond its columns: frame, offset, and how it was trained to be rendered."""

from __future__ import annotations

from dataclasses import dataclass

from hgs_toolkit.exporters.frames import frame_signs
from hgs_toolkit.exporters.options import ExportOptions
from hgs_toolkit.exporters.splats.offsets import NO_OFFSET, Offset, parse_offset
from hgs_toolkit.exporters.splats.ply.table import ANTIALIASED, FRAME_COMMENT, OFFSET_COMMENT, RENDER_MODE_COMMENT
from hgs_toolkit.version import program_name

POSTSHOT_COMMENT = "antialiased"
"""Name of the comment in which Postshot states the same, by 0 or 1."""

FRAME = "rdf"
"""Frame of a file without a comment: that of the 3D-GS reference."""


@dataclass(frozen=True)
class PlyFacts:
    """What comments state.

    Attributes:
        frame: world frame of the file.
        offset: point of the world, in that frame, relative to which the coordinates are given.
        antialiased: whether the scene was trained for antialiased rendering.
    """

    frame: str = FRAME
    offset: Offset = NO_OFFSET
    antialiased: bool = False

    @classmethod
    def parse(cls, comments: list[str]) -> PlyFacts:
        """The facts in ``comments``; what is missing or unreadable has its default."""
        frame = _named(comments, FRAME_COMMENT)
        return cls(
            "y_up" if frame == "y_up" else FRAME, parse_offset(_named(comments, OFFSET_COMMENT)),
            _is_antialiased(comments),
        )  # fmt: skip


def _is_antialiased(comments: list[str]) -> bool:
    """Whether the last comment that says how to render, Brush's and SuperSplat's or Postshot's, says antialiased."""
    found = False
    for comment in comments:
        name, _, value = comment.strip().lower().partition(" ")
        if name == RENDER_MODE_COMMENT.strip().lower():
            found = value.strip() == ANTIALIASED
        elif name == POSTSHOT_COMMENT:
            found = value.strip() == "1"
    return found


def comment_lines(frame: str, options: ExportOptions) -> list[str]:
    """The header's lines that state the program, the frame and, where there is something to state, the other facts."""
    lines = [f"comment generator {program_name()}", f"comment {FRAME_COMMENT}{frame}"]
    if any(options.offset) and not options.world:
        signed = (value * sign for value, sign in zip(options.offset, frame_signs("y_up", frame), strict=True))
        lines.append(f"comment {OFFSET_COMMENT}{' '.join(f'{value + 0.0!r}' for value in signed)}")
    if options.antialiased:
        lines.append(f"comment {RENDER_MODE_COMMENT}{ANTIALIASED}")
    return lines


def _named(comments: list[str], start: str) -> str:
    """The rest of the first comment that begins with ``start``; empty if there is none."""
    return next((comment.removeprefix(start).strip() for comment in comments if comment.startswith(start)), "")
