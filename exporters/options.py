"""The options of splat writers: one field is one keyword of ``export`` and one flag of ``hgs export``.

This module is imported whenever ``hgs`` starts, so it must not import torch.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from hgs_toolkit.asset import AssetMetadata
else:
    AssetMetadata = Any  # the command line evaluates the fields' types, and hgs_toolkit.asset imports torch

Frame = Literal["rdf", "y_up"]
"""World frame of a splat file: ``rdf`` (x right, y down, z forward) or ``y_up`` (x right, y up, z backward)."""


def flag(help: str, **command_line: Any) -> dict[str, Any]:  # noqa: A002
    """Metadata of a field that is also a flag of ``hgs export``.

    Args:
        help: sentence for ``hgs export --help``; it begins with the suffixes that have the option, unless all have it.
        command_line: ``flag`` where its name is not the field's with dashes (" /--no-x" turns off what is on by
            default); ``min`` and ``max`` of a number.
    """
    return {"help": help} | command_line


@dataclass(frozen=True)
class ExportOptions:
    """What a caller asks of a writer; a format refuses the options that its row of the table does not list."""

    extras: bool = field(default=False, metadata=flag(".ply, .glb: keep level and parent."))
    nodes: bool = field(default=False, metadata=flag(".glb: make each level a node of its own."))
    lods: bool = field(
        default=False,
        metadata=flag(".usdc, .usda: write levels of detail; .rad, lod-meta.json and tileset.json always have them."),
    )
    pad_sh: int = field(
        default=0, metadata=flag(".ply: zero harmonics up to this degree (old viewers want 3).", min=0, max=3)
    )
    normals: bool = field(default=True, metadata=flag(".ply: leave the zero normals out.", flag=" /--no-normals"))
    world: bool = field(
        default=False, metadata=flag(".ply: x, y and z as doubles in the world's coordinates, if those are far off.")
    )
    spz_version: int = field(
        default=3, metadata=flag(".spz: version of the format; 4 declares its axes.", min=3, max=4)
    )
    frame: Frame | None = field(
        default=None, metadata=flag("World frame of the file: rdf (y down) or y_up; default: the format's own.")
    )
    metadata: AssetMetadata | None = None
    """Provenance of the scene: no option, so every format takes it and writes what it can."""

    @property
    def offset(self) -> tuple[float, float, float]:
        """The point relative to which the coordinates are given: that of the metadata, or the origin."""
        return (0.0, 0.0, 0.0) if self.metadata is None else self.metadata.offset

    @property
    def antialiased(self) -> bool:
        """Whether the metadata say that the scene was trained for antialiased rendering."""
        return self.metadata is not None and self.metadata.antialiased
