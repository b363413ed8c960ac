"""Where pictures of a sequence go: one .png (a grid), numbered .png files, a film; shared by commands that film."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hgs_toolkit.cli.console import Reporter

if TYPE_CHECKING:
    from torch import Tensor

OUT_HELP = "A .png (a grid if there are several frames; a name with %d makes a numbered sequence), .mp4 or .gif."

MAX_SIZE = 8192

Fps = Annotated[float, typer.Option("--fps", min=1, max=120, help="Frames a second of a film.")]
Trajectory = Annotated[str, typer.Option("--trajectory", help="orbit, ellipse, sweep or frontal.")]


@dataclass(frozen=True)
class Footage:
    """The files a sequence of pictures becomes.

    Attributes:
        targets: one file, or a numbered one for each frame.
        fps: frames a second of a film.
        force: replace what is there.
    """

    targets: list[Path]
    fps: float
    force: bool

    @classmethod
    def planned(cls, out: Path, frames: int, fps: float, force: bool) -> Footage:
        """The files of ``frames`` pictures; raises an HgsError if the name is unusable or something is in the way."""
        from hgs_toolkit.files import refuse_overwrite

        targets = _targets(out, frames)
        for target in targets:
            refuse_overwrite(target, force=force)
        return cls(targets, fps, force)

    def write(self, report: Reporter, pictures: Iterator[Tensor]) -> None:
        """Write the pictures (H, W, 3 or 4) as they come; a stopped film leaves nothing, a sequence its whole files."""
        import torch

        from hgs_toolkit.imaging.images import grid, save_png, save_video, to_uint8

        if len(self.targets) > 1:
            for target, picture in zip(self.targets, pictures, strict=True):
                save_png(target, picture, force=self.force)
                report.file(target)
            return
        if is_film(self.targets[0]):
            save_video(self.targets[0], map(to_uint8, pictures), self.fps, force=self.force)
        else:
            save_png(self.targets[0], grid(torch.stack(list(pictures))), force=self.force)
        report.file(self.targets[0])


def is_film(out: Path) -> bool:
    """Whether a name is that of a film."""
    from hgs_toolkit.imaging.images import VIDEO_SUFFIXES

    return out.suffix.lower() in VIDEO_SUFFIXES


def _targets(out: Path, count: int) -> list[Path]:
    """The files to write: one, or ``count`` numbered ones where the name of a .png is a pattern (frame-%04d.png)."""
    from hgs_toolkit.errors import ConfigError
    from hgs_toolkit.imaging.images import VIDEO_SUFFIXES

    if out.suffix.lower() not in (".png", *VIDEO_SUFFIXES):
        raise ConfigError(f"{out} has the suffix '{out.suffix}'; expected .png, {' or '.join(VIDEO_SUFFIXES)}")
    if "%" not in out.name:
        return [out]
    try:
        return [out.with_name(out.name % index) for index in range(count)]
    except (TypeError, ValueError):
        raise ConfigError(f"'{out.name}' is no pattern of a sequence; expected one %d, as in frame-%04d.png") from None
