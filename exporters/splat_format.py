"""What a splat format is to the rest of the toolkit: a suffix, a reader, a writer and the options that it honours."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hgs_toolkit.conventions import NO_PARENT
from hgs_toolkit.errors import FormatError
from hgs_toolkit.exporters.options import ExportOptions, Frame

if TYPE_CHECKING:
    from hgs_toolkit.exporters.splats.reading import Reading
    from hgs_toolkit.exporters.splats.stored import StoredSplats
    from hgs_toolkit.gaussians import GaussianHierarchy

TREE = frozenset({"levels", "parents", "background"})
"""What a scene's tree says of its Gaussians; the background are those outside of it."""

Reader = Callable[[Path], "Reading"]
Writer = Callable[[Path, Any, ExportOptions], None]
"""Takes a GaussianHierarchy; those of plain formats StoredSplats, too."""


def late(name: str) -> Callable[..., Any]:
    """The function ``module:function`` of ``exporters/splats``, whose module is imported at the first call."""
    module, _, function = name.partition(":")

    def call(*arguments: Any) -> Any:
        return getattr(importlib.import_module(f"hgs_toolkit.exporters.splats.{module}"), function)(*arguments)

    return call


@dataclass(frozen=True)
class SplatFormat:
    """One row of the table of formats.

    Attributes:
        suffix: lower-case end of the file's name, such as ``.ply``, ``.compressed.ply`` or ``lod-meta.json``.
        description: a short line that says what the format is and what opens it.
        reader: returns what a file holds, in the ``y_up`` frame; None for a format that is only written.
        writer: writes a batch of one to a new path, which the caller then renames; None for one that is only read.
        options: names of the ExportOptions that the writer honours; ``metadata`` need not be named.
        sh_degree: highest degree of spherical harmonics that a file holds.
        keeps: what of TREE a file gives back without being asked to.
        keeps_offset: whether a file keeps the offset of coordinates that are far from the origin.
        keeps_antialiased: whether a file says that its Gaussians were trained for antialiased rendering.
        assumed_frame: frame that the reader assumes where neither the format nor the file settles it, so that ``frame``
            of :func:`~hgs_toolkit.exporters.table.load` may name another; None where the frame is settled.
        replacing: for a format with files beside the named one: a context around the writing of a path, which removes
            the files of the scene that was there before.
        plain: whether the writer takes arrays (StoredSplats), too, and then needs no torch.
        opens_in_extension: whether the Blender extension reads it by itself.
    """

    suffix: str
    description: str
    reader: Reader | None
    writer: Writer | None
    options: frozenset[str] = frozenset()
    sh_degree: int = 3
    keeps: frozenset[str] = frozenset()
    keeps_offset: bool = True
    keeps_antialiased: bool = False
    assumed_frame: Frame | None = None
    replacing: Callable[[Path], AbstractContextManager[None]] = lambda _: nullcontext()
    plain: bool = False
    opens_in_extension: bool = False

    def check_options(self, options: ExportOptions) -> None:
        """Raise a FormatError if an option was given that this format does not honour."""
        for option in dataclasses.fields(ExportOptions):
            if option.name in self.options or option.name == "metadata":
                continue
            if getattr(options, option.name) != option.default:
                known = ", ".join(sorted(self.options)) or "none"
                raise FormatError(f"{self.suffix} files have no option '{option.name}'; their options are: {known}")

    def losses(self, scene: GaussianHierarchy | StoredSplats, options: ExportOptions) -> list[str]:
        """Phrases that name what of ``scene`` a file of this format will not hold."""
        lost = []
        if scene.sh_degree > self.sh_degree:
            lost.append(f"spherical harmonics above degree {self.sh_degree} (colours that change with the view)")
        lost += self._lost_of_tree(scene, options)
        if not self.keeps_offset and any(options.offset):
            place = ", ".join(f"{value:.15g}" for value in options.offset)
            lost.append(f"that the coordinates are relative to ({place})")
        if not self.keeps_antialiased and options.antialiased:
            lost.append(
                "that the Gaussians were trained for antialiased rendering (other programs draw them too thick)"
            )
        return lost

    def _lost_of_tree(self, scene: GaussianHierarchy | StoredSplats, options: ExportOptions) -> list[str]:
        from hgs_toolkit.exporters.splats.stored import StoredSplats

        if isinstance(scene, StoredSplats):
            return []
        kept = TREE if options.extras else self.keeps | (TREE - {"parents"} if options.nodes else frozenset())
        hint = " (hgs export --extras keeps it, extras=True in Python)" if "extras" in self.options else ""
        lost = []
        if scene.num_levels > 1 and "levels" not in kept:
            lost.append(f"the tree of {scene.num_levels} levels{hint}")
        elif "parents" not in kept and bool((scene.parent != NO_PARENT).any()):
            lost.append(f"which Gaussians are whose parents{hint}")
        if "background" not in kept and bool(scene.is_background.any()):
            lost.append("which Gaussians are the background")
        return lost
