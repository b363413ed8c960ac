"""Output of commands that draw: one .png (a grid of several images), numbered .png files, or a video."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hgs_toolkit.cli.console import Reporter
from hgs_toolkit.imaging.choices import VIDEO_SUFFIXES, refuse_fast_gif

if TYPE_CHECKING:
    from torch import Tensor

OUT_HELP = "A .png (a grid if there are several images; a name with %d makes numbered files), .mp4 or .gif."

MAX_SIZE = 8192
"""Largest height and width of an image, pixels."""

Fps = Annotated[float, typer.Option("--fps", min=1, max=120, help="Frames per second of a video.")]


@dataclass(frozen=True)
class ImageFiles:
    """The files that a sequence of images becomes.

    Attributes:
        targets: one file, or a numbered one for each image.
        fps: frames per second of a video.
        force: whether existing files are replaced.
    """

    targets: list[Path]
    fps: float
    force: bool

    @classmethod
    def planned(cls, report: Reporter, out: Path, frames: int, fps: float, force: bool) -> ImageFiles:
        """The files of ``frames`` images; raises an HgsError if the name is unusable or a file exists already."""
        from hgs_toolkit.files import refuse_overwrite

        refuse_fast_gif(out, fps)
        targets = _targets(out, frames)
        for target in targets:
            refuse_overwrite(target, force=force)
        report.claim(out)
        return cls(targets, fps, force)

    def write(self, report: Reporter, images: Iterator[Tensor]) -> None:
        """Write images (H, W, 3 or 4) as they come; when stopped, a video leaves nothing, a sequence whole files."""
        import torch

        from hgs_toolkit.imaging.images import grid, save_png, save_video, to_uint8

        if len(self.targets) > 1:
            for target, image in zip(self.targets, images, strict=True):
                save_png(target, image, force=self.force)
                report.file(target)
            return
        if is_video(self.targets[0]):
            save_video(self.targets[0], map(to_uint8, images), self.fps, force=self.force)
        else:
            save_png(self.targets[0], grid(torch.stack(list(images))), force=self.force)
        report.file(self.targets[0])


def is_video(out: Path) -> bool:
    """Whether a name is that of a video."""
    return out.suffix.lower() in VIDEO_SUFFIXES


def _targets(out: Path, count: int) -> list[Path]:
    """The files to write: one, or ``count`` numbered ones where the name of a .png is a pattern (frame-%04d.png)."""
    from hgs_toolkit.errors import ConfigError

    if out.suffix.lower() not in (".png", *VIDEO_SUFFIXES):
        raise ConfigError(f"{out} has the suffix '{out.suffix}'; expected .png, {' or '.join(VIDEO_SUFFIXES)}")
    if "%" not in out.name or is_video(out):
        return [out]
    try:
        return [out.with_name(out.name % index) for index in range(count)]
    except (TypeError, ValueError):
        raise ConfigError(f"'{out.name}' is no pattern of a sequence; expected one %d, as in frame-%04d.png") from None
