"""One splat file to another: flat scenes of the plain formats go from array to array, without torch."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hgs_toolkit.asset_metadata import AssetMetadata
from hgs_toolkit.exporters.options import ExportOptions
from hgs_toolkit.exporters.splats.stored import StoredSplats
from hgs_toolkit.exporters.table import (
    NATIVE,
    asset_of,
    check_source,
    check_target,
    chosen_levels,
    export,
    format_of,
    is_assumed,
    read_asset,
    read_file,
)
from hgs_toolkit.files import refuse_existing


def convert(
    source: Path, out: Path, levels: Iterable[int] | None = None, source_frame: str | None = None, *,
    drop_invalid: bool = False, overwrite: bool = False, sh_degree: int | None = None, **options: Any,
) -> None:  # fmt: skip
    """Read a splat file and write another, as ``table.read_asset`` and ``table.export`` do one after the other.

    Args:
        source: the file to read.
        out: the file to write; its suffix names the format.
        levels: levels whose Gaussians are kept, with the background; None keeps all.
        source_frame: world frame of ``source`` where its format leaves it open.
        drop_invalid: leave out Gaussians with NaN or infinite values, which are otherwise refused.
        overwrite: replace an existing file.
        sh_degree: highest degree of spherical harmonics to keep; None keeps all.
        options: fields of :class:`~hgs_toolkit.exporters.options.ExportOptions`, but for ``metadata``.

    Raises:
        HgsError: as the two raise.
    """
    refuse_existing(out, overwrite=overwrite)
    known, _ = check_target(out, ExportOptions(**options))
    check_source(source, source_frame)
    options |= {"overwrite": overwrite, "sh_degree": sh_degree}
    if format_of(source).suffix != NATIVE:
        reading = read_file(source, source_frame)
        content, arrays_do = reading.content, known.plain and levels is None and is_assumed(source, source_frame)
        if arrays_do and isinstance(content, StoredSplats) and content.sound:
            metadata = AssetMetadata(offset=reading.offset, antialiased=reading.antialiased)
            export(content, out, metadata=metadata, **options)
            return
        asset = asset_of(source, reading, source_frame, drop_invalid=drop_invalid)
    else:
        asset = read_asset(source, source_frame, drop_invalid=drop_invalid)
    export(chosen_levels(asset.scene, levels), out, metadata=asset.metadata, latent=asset.latent, **options)
