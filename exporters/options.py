"""What a format is to the rest of the toolkit: a suffix, a reader, a writer and the options the writer honours."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from hgs_toolkit.asset import AssetMetadata
from hgs_toolkit.errors import FormatError
from hgs_toolkit.gaussians import BACKGROUND_LEVEL, GaussianHierarchy


@dataclass(frozen=True)
class ExportOptions:
    """Settings of writers; a format refuses those it cannot honour."""

    extras: bool = False
    """Keep the tree: level and parent of each Gaussian."""
    pad_sh: int = 0
    """Least degree of spherical harmonics in the file; missing coefficients are zero."""
    normals: bool = True
    """Write the (zero) normals that fixed-layout viewers expect."""
    frame: str | None = None
    """World frame of the file, ``rdf`` or ``y_up``; None is the format's own."""
    nodes: bool = False
    """Make each level a node of its own."""
    lods: bool = False
    """Write levels of detail, each a scene that is complete by itself, beside the whole."""
    metadata: AssetMetadata = field(default_factory=AssetMetadata)
    """Where the scene came from; every format takes it and writes what it can."""


Reader = Callable[[Path], GaussianHierarchy]
Writer = Callable[[Path, GaussianHierarchy, ExportOptions], None]


@dataclass(frozen=True)
class Format:
    """One row of the table of formats.

    Attributes:
        suffix: lower-case end of the file's name, such as ``.ply``, ``.compressed.ply`` or ``lod-meta.json``.
        description: what it is and what opens it, a short line.
        reader: makes a batch of one in the ``y_up`` frame; None where the format is only written.
        writer: writes a batch of one to a path that is new (the caller makes it atomic); None where only read.
        options: names of the ExportOptions the writer honours, beyond metadata.
        sh_degree: highest degree of spherical harmonics a file holds.
        keeps_tree: whether level and parent survive without being asked for.
        assumed_frame: the world frame the reader takes files of other programs to be in, where that is a matter of
            convention and ``frame`` of :func:`~hgs_toolkit.exporters.table.load` may say otherwise; None where it may
            not.
        tidy: for formats with files beside the named one: called when a file is in place, removes what no file needs.
    """

    suffix: str
    description: str
    reader: Reader | None
    writer: Writer | None
    options: frozenset[str] = frozenset()
    sh_degree: int = 3
    keeps_tree: bool = False
    assumed_frame: str | None = None
    tidy: Callable[[Path], None] | None = None

    def check_options(self, options: ExportOptions) -> None:
        """Raise a FormatError if an option that differs from its default means nothing to this format."""
        for option in dataclasses.fields(ExportOptions):
            if option.name in self.options or option.name == "metadata":
                continue
            if getattr(options, option.name) != option.default:
                known = ", ".join(sorted(self.options)) or "none"
                raise FormatError(f"{self.suffix} files have no option '{option.name}'; theirs are: {known}")

    def losses(self, scene: GaussianHierarchy, options: ExportOptions) -> list[str]:
        """What of ``scene`` a file of this format will not hold, in words."""
        lost = []
        if scene.sh_degree > self.sh_degree:
            lost.append(f"spherical harmonics above degree {self.sh_degree} (colours that change with the view)")
        if not (self.keeps_tree or options.extras):
            kept = " (option 'extras' would)" if "extras" in self.options else ""
            if scene.num_levels > 1:
                lost.append(f"the tree of {scene.num_levels} levels{kept}")
            if bool((scene.level == BACKGROUND_LEVEL).any()):
                lost.append("which Gaussians are the background")
        return lost
