"""Files of other programs: one file per format, one row in FORMATS.

To add a format, write ``NAME.py`` with ``read_NAME(path)`` and ``write_NAME(path, scene, options)`` and add its row.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path

from hgs_toolkit.asset import Asset, AssetMetadata, load_asset, write_asset
from hgs_toolkit.encoding import sh_bases
from hgs_toolkit.errors import FormatError
from hgs_toolkit.exporters.options import ExportOptions, Format
from hgs_toolkit.exporters.ply import read_ply, write_ply
from hgs_toolkit.exporters.sog import read_sog, write_sog
from hgs_toolkit.files import atomic_path
from hgs_toolkit.gaussians import GaussianHierarchy


def _read_hgs(path: Path) -> GaussianHierarchy:
    return load_asset(path).scene


def _write_hgs(path: Path, scene: GaussianHierarchy, options: ExportOptions) -> None:
    write_asset(path, Asset(scene, options.metadata))


FORMATS = (
    Format(".hgs", "native asset, exact, with tree and provenance", _read_hgs, _write_hgs),
    Format(
        ".ply", "3D-GS splats: SuperSplat, Blender add-ons, Unity, Unreal, Houdini", read_ply, write_ply,
        options=frozenset({"extras", "pad_sh", "normals", "frame"}),
    ),
    Format(
        ".sog", "images in a zip, 14 to 20 bytes a Gaussian: SuperSplat, PlayCanvas, Spark", read_sog, write_sog,
        options=frozenset({"frame"}),
    ),
)  # fmt: skip
"""Every splat format; of the suffixes that fit a name, the longest wins."""


def load(path: str | Path) -> GaussianHierarchy:
    """Read a splat file of any known format as a batch of one in the ``y_up`` frame.

    Raises:
        FormatError: if the suffix is unknown, or the file is missing, truncated or broken.
    """
    return read_asset(path).scene


def read_asset(path: str | Path) -> Asset:
    """As :func:`load`, with the metadata and latent of a ``.hgs`` file; those of other formats are empty."""
    path = Path(path)
    known = format_of(path)
    if known.reader is None:
        raise FormatError(f"{known.suffix} files can be written, not read; readable: {_suffixes(reading=True)}")
    if not path.is_file():
        raise FormatError(f"{path} {'is a folder' if path.is_dir() else 'does not exist'}; expected a splat file")
    try:
        return load_asset(path) if known.suffix == ".hgs" else Asset(known.reader(path))
    except OSError as error:
        raise FormatError(f"cannot read {path}: {error.strerror or error}") from error


def export(
    scene: GaussianHierarchy,
    path: str | Path,
    *,
    levels: Iterable[int] | None = None,
    sh_degree: int | None = None,
    extras: bool = False,
    pad_sh: int = 0,
    normals: bool = True,
    frame: str | None = None,
    metadata: AssetMetadata | None = None,
    force: bool = True,
) -> None:
    """Write one scene in the format of the path's suffix, atomically.

    Args:
        scene: a batch of one in the ``y_up`` frame; take ``scene[i]`` of a larger one.
        path: its suffix chooses the format, see FORMATS.
        levels: keep the Gaussians of these levels (and the background); None keeps all.
        sh_degree: highest degree of spherical harmonics to keep; None keeps all.
        extras, pad_sh, normals, frame, metadata: as in :class:`~hgs_toolkit.exporters.options.ExportOptions`.
        force: replace an existing file.

    Raises:
        FormatError: if the suffix is unknown, the format has no such option, or no Gaussian is left.
        ShapeError: if a value is NaN or infinite (counted).
        HgsError: if the file cannot be written, or exists and not ``force``.
    """
    known = format_of(Path(path))
    options = ExportOptions(extras, pad_sh, normals, frame, metadata or AssetMetadata())
    if known.writer is None:
        raise FormatError(f"{known.suffix} files can be read, not written; writable: {_suffixes(reading=False)}")
    known.check_options(options)
    scene = _selected(scene, levels, sh_degree)
    with atomic_path(path, force=force) as temporary:
        known.writer(temporary, scene, options)


def format_of(path: Path) -> Format:
    """The row of FORMATS whose suffix is the longest that ends the path's name.

    Raises:
        FormatError: if there is none; the message lists the known suffixes, the nearest first.
    """
    fitting = [known for known in FORMATS if path.name.lower().endswith(known.suffix)]
    if fitting:
        return max(fitting, key=lambda known: len(known.suffix))
    nearest = sorted((f.suffix for f in FORMATS), key=lambda suffix: -_likeness(suffix, path.name.lower()))
    given = f"the suffix '{path.suffix}'" if path.suffix else "a name without suffix"
    raise FormatError(f"{path} has {given}, which is no known format; known: {', '.join(nearest)}")


def _likeness(suffix: str, name: str) -> float:
    return difflib.SequenceMatcher(None, suffix, name[-len(suffix) :]).ratio()


def _suffixes(*, reading: bool) -> str:
    return ", ".join(f.suffix for f in FORMATS if (f.reader if reading else f.writer) is not None)


def _selected(scene: GaussianHierarchy, levels: Iterable[int] | None, sh_degree: int | None) -> GaussianHierarchy:
    if scene.batch != 1:
        raise FormatError(f"a batch of {scene.batch} scenes; a file holds one, export scene[i] for each i")
    if sh_degree is not None and sh_degree not in range(4):
        raise FormatError(f"sh_degree is {sh_degree}; expected 0 to 3")
    # Replacing checks that every value is finite.
    scene = scene.replace(sh=scene.sh if sh_degree is None else scene.sh[:, :, : sh_bases(sh_degree)])
    return chosen_levels(scene, levels)


def chosen_levels(scene: GaussianHierarchy, levels: Iterable[int] | None) -> GaussianHierarchy:
    """The Gaussians of ``levels`` and of the background; all for None.

    Raises:
        FormatError: if no Gaussian has one of the levels.
    """
    if levels is None:
        return scene
    wanted = list(levels)
    if not scene.levels(wanted, background=False).num_gaussians:
        raise FormatError(f"no Gaussian has a level of {wanted}; the scene's levels are 0 to {scene.num_levels - 1}")
    return scene.levels(wanted)
