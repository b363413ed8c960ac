"""What every reader of a splat file ends with: a scene near the origin, as arrays or with a tree."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hgs_toolkit.errors import FormatError
from hgs_toolkit.exporters.frames import frame_signs
from hgs_toolkit.exporters.splats.offsets import NO_OFFSET as NO_OFFSET
from hgs_toolkit.exporters.splats.offsets import Offset as Offset
from hgs_toolkit.exporters.splats.offsets import offset_of as offset_of
from hgs_toolkit.exporters.splats.stored import StoredSplats
from hgs_toolkit.parsing.distance import far_offset
from hgs_toolkit.parsing.stored import ParseError

if TYPE_CHECKING:
    from hgs_toolkit.gaussians import GaussianHierarchy

logger = logging.getLogger(__name__)

Doubles = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Reading:
    """A scene as its file gives it.

    Attributes:
        content: the Gaussians in the ``y_up`` frame, whose values may still be NaN or infinite: arrays of a flat scene,
            or a batch of one where the file has more to say.
        offset: point of the world, in the ``y_up`` frame, relative to which the coordinates are given.
        antialiased: whether the file says that the scene was trained for antialiased rendering.
        axes: axes that the file itself declares, such as ``RDF``; empty if it leaves them to convention.
    """

    content: GaussianHierarchy | StoredSplats
    offset: Offset = NO_OFFSET
    antialiased: bool = False
    axes: str = ""

    @cached_property
    def scene(self) -> GaussianHierarchy:
        """The content as a batch of one, which shares the memory of arrays; from here on torch is needed."""
        return scene_of(self.content) if isinstance(self.content, StoredSplats) else self.content


def scene_of(splats: StoredSplats) -> GaussianHierarchy:
    """A batch of one, made of arrays in the ``y_up`` frame, whose memory it shares.

    The values may be NaN or infinite; :func:`hgs_toolkit.exporters.splats.scenes.cleaned` refuses or drops such rows.
    """
    import torch

    from hgs_toolkit.gaussians import GaussianHierarchy

    means, log_scales, quats, sh, logits = (torch.from_numpy(part)[None] for part in splats.parts)
    return GaussianHierarchy(
        means=means, log_scales=log_scales, quats=quats, sh=sh, opacity_logits=logits, check_finite=False
    )


@contextmanager
def parse_errors_name(path: Path) -> Iterator[None]:
    """Turn the errors of the shared parsers into a FormatError that names ``path``."""
    try:
        yield
    except ParseError as error:
        raise FormatError(f"{path}: {error}") from error


def reading_of(path: Path, splats: StoredSplats, frame: str, means: Doubles | None = None,
               offset: Offset = NO_OFFSET) -> Reading:  # fmt: skip
    """The reading of ``splats``, recentred if they lie far from the origin.

    Args:
        path: the file, which messages name.
        splats: values in ``frame``; the arrays are converted in place.
        frame: world frame of the file.
        means: (N, 3) centres in double precision, in place of those of ``splats``, where the file has or implies them.
        offset: offset that the file states, in its own frame.
    """
    source = splats.means if means is None else means
    shift = far_offset(source, splats.log_scales)
    with np.errstate(over="ignore", invalid="ignore"):  # values beyond float32 become infinite, which is counted later
        if shift.any():
            tell_offset(path, shift)
            for rows, block in splats.blocks():
                block.means[:] = source[rows].astype(np.float64) - shift
        elif means is not None:
            splats.means[:] = means
    total = (shift + offset) * frame_signs(frame, "y_up")
    return Reading(turned(splats, frame), offset_of(total))


def turned(splats: StoredSplats, frame: str) -> StoredSplats:
    """``splats`` in ``frame``, whose arrays are converted in place, in the ``y_up`` frame."""
    own = StoredSplats(*(np.require(part, np.float32, ["C", "W"]) for part in splats.parts))
    for _, block in own.blocks():
        block.turn(frame, "y_up")
    return own


def tell_antialiased(path: Path, antialiased: bool) -> bool:
    """Log that a scene was made for antialiased rendering, if it was; returns whether."""
    if antialiased:
        logger.info("%s was made for antialiased rendering, which the metadata keep", path)
    return antialiased


def tell_offset(path: Path, offset: Doubles) -> None:
    """Log that coordinates were recentred by ``offset`` (3,), which is in the file's own frame."""
    place = ", ".join(f"{value:.15g}" for value in offset)
    logger.info("%s lies far from the origin: its coordinates are now relative to (%s), which the metadata keep",
                path, place)  # fmt: skip
