"""Files of other programs: one file per format, one row in FORMATS.

To add a format, write ``NAME.py`` with ``read_NAME(path)`` and ``write_NAME(path, scene, options)`` and add its row.
"""

from __future__ import annotations

import difflib
import logging
from collections.abc import Iterable
from pathlib import Path

from hgs_toolkit.asset import SUFFIX as NATIVE
from hgs_toolkit.asset import Asset, AssetMetadata, load_asset, write_asset
from hgs_toolkit.encoding import sh_bases
from hgs_toolkit.errors import FormatError, ShapeError
from hgs_toolkit.exporters.frames import FRAMES, convert_frame
from hgs_toolkit.exporters.options import ExportOptions, Format
from hgs_toolkit.exporters.splats.compressed_ply import read_compressed_ply, write_compressed_ply
from hgs_toolkit.exporters.splats.glb import read_glb, write_glb
from hgs_toolkit.exporters.splats.ply import read_ply, write_ply
from hgs_toolkit.exporters.splats.rad.reader import read_rad
from hgs_toolkit.exporters.splats.rad.writer import write_rad
from hgs_toolkit.exporters.splats.sog import read_sog, write_sog
from hgs_toolkit.exporters.splats.splat import read_splat, write_splat
from hgs_toolkit.exporters.splats.spz import read_spz, write_spz
from hgs_toolkit.exporters.splats.streamed_sog import SUFFIX as STREAMED
from hgs_toolkit.exporters.splats.streamed_sog import read_streamed_sog, tidy_streamed_sog, write_streamed_sog
from hgs_toolkit.exporters.splats.usd import read_usd, write_usd
from hgs_toolkit.files import atomic_path
from hgs_toolkit.gaussians import GaussianHierarchy

logger = logging.getLogger(__name__)


def _read_hgs(path: Path) -> GaussianHierarchy:
    return load_asset(path).scene


def _write_hgs(path: Path, scene: GaussianHierarchy, options: ExportOptions) -> None:
    write_asset(path, Asset(scene, options.metadata))


FORMATS = (
    Format(NATIVE, "native asset, exact, with tree and provenance", _read_hgs, _write_hgs, keeps_tree=True),
    Format(
        ".ply", "3D-GS splats: SuperSplat, Blender add-ons, Unity, Unreal, Houdini", read_ply, write_ply,
        options=frozenset({"extras", "pad_sh", "normals", "frame"}),
    ),
    Format(
        ".spz", "Niantic's, 10 to 20 bytes a Gaussian: phones, Unity, Unreal, Godot, Spark", read_spz, write_spz,
        options=frozenset({"frame"}), assumed_frame="y_up",
    ),
    Format(
        ".sog", "images in a zip, 14 to 20 bytes a Gaussian: SuperSplat, PlayCanvas, Spark", read_sog, write_sog,
        options=frozenset({"frame"}),
    ),
    Format(
        ".compressed.ply", "16 bytes a Gaussian: SuperSplat, PlayCanvas", read_compressed_ply, write_compressed_ply,
        options=frozenset({"frame"}),
    ),
    Format(
        ".splat", "32 bytes a Gaussian, without harmonics: older web viewers", read_splat, write_splat,
        options=frozenset({"frame"}), sh_degree=0, assumed_frame="rdf",
    ),
    Format(
        ".glb", "glTF with KHR_gaussian_splatting: Cesium; other viewers show points",
        read_glb, write_glb, options=frozenset({"nodes", "extras"}),
    ),
    Format(
        ".rad", "a tree of levels of detail: Spark 2 (three.js)", read_rad, write_rad,
        options=frozenset({"frame", "lods"}), keeps_tree=True,
    ),
    Format(
        STREAMED, "folders of .sog images for each level of detail: PlayCanvas, SuperSplat",
        read_streamed_sog, write_streamed_sog, options=frozenset({"frame", "lods"}), keeps_tree=True,
        tidy=tidy_streamed_sog,
    ),
    Format(
        ".usdc", "OpenUSD 26.03, binary: Omniverse, Houdini, usdview", read_usd, write_usd, options=frozenset({"lods"}),
    ),
    Format(
        ".usda", "OpenUSD 26.03, text: Omniverse, Houdini, usdview", read_usd, write_usd, options=frozenset({"lods"}),
    ),
)  # fmt: skip
"""Every splat format; of the suffixes that fit a name, the longest wins."""


def load(path: str | Path, frame: str | None = None) -> GaussianHierarchy:
    """Read a splat file of any known format as a batch of one in the ``y_up`` frame.

    Args:
        path: its suffix chooses the format, see FORMATS.
        frame: the world frame of a file that is not in the one its format assumes (``rdf`` for an .spz that another
            program wrote as it wrote its .ply); None where it is. Only for formats with an ``assumed_frame``.

    Raises:
        FormatError: if the suffix is unknown, the file is missing, truncated, broken or without Gaussians, or the
            format has no ``frame`` to be told.
    """
    return read_asset(path, frame).scene


def read_asset(path: str | Path, frame: str | None = None) -> Asset:
    """As :func:`load`, with the metadata and latent of a ``.hgs`` file; those of other formats are empty."""
    path = Path(path)
    known = format_of(path)
    if known.reader is None:
        raise FormatError(f"{known.suffix} files can be written, not read; readable: {_suffixes(reading=True)}")
    _check_frame(path, known, frame)
    if not path.is_file():
        raise FormatError(f"{path} {'is a folder' if path.is_dir() else 'does not exist'}; expected a splat file")
    try:
        asset = load_asset(path) if known.suffix == NATIVE else Asset(known.reader(path))
    except OSError as error:
        raise FormatError(f"cannot read {path}: {error.strerror or error}") from error
    if not asset.scene.num_gaussians and known.suffix != NATIVE:
        raise FormatError(f"{path} holds no Gaussians; expected one at least")
    if frame is None or frame == known.assumed_frame:
        return asset
    # The frames differ by half a turn, which is its own inverse: one turn undoes the one that was wrong.
    return Asset(convert_frame(asset.scene, *FRAMES))


def _check_frame(path: Path, known: Format, frame: str | None) -> None:
    if frame is None:
        return
    if frame not in FRAMES:
        raise FormatError(f"unknown frame '{frame}' for {path}; expected one of: {', '.join(FRAMES)}")
    if known.assumed_frame is None:
        open_to_it = ", ".join(f.suffix for f in FORMATS if f.assumed_frame)
        raise FormatError(f"{path}: the frame of {known.suffix} files is fixed or said in them; it can be given for: "
                          f"{open_to_it or 'none'}")  # fmt: skip


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
    nodes: bool = False,
    lods: bool = False,
    metadata: AssetMetadata | None = None,
    force: bool = True,
) -> None:
    """Write one scene in the format of the path's suffix, atomically.

    Args:
        scene: a batch of one in the ``y_up`` frame; take ``scene[i]`` of a larger one.
        path: its suffix chooses the format, see FORMATS.
        levels: keep the Gaussians of these levels (and the background); None keeps all.
        sh_degree: highest degree of spherical harmonics to keep; None keeps all.
        extras, pad_sh, normals, frame, nodes, lods, metadata: as in
            :class:`~hgs_toolkit.exporters.options.ExportOptions`.
        force: replace an existing file.

    Raises:
        FormatError: if the suffix is unknown, the format has no such option, a level or the scene has no Gaussians,
            or the format cannot hold a value; what is merely lost is logged.
        ShapeError: if a value is NaN or infinite (counted).
        HgsError: if the file cannot be written, or exists and not ``force``.
    """
    known = format_of(Path(path))
    options = ExportOptions(extras, pad_sh, normals, frame, nodes, lods, metadata or AssetMetadata())
    if known.writer is None:
        raise FormatError(f"{known.suffix} files can be read, not written; writable: {_suffixes(reading=False)}")
    known.check_options(options)
    try:
        scene = _selected(scene, levels, sh_degree)
        if not scene.num_gaussians and known.suffix != NATIVE:
            raise FormatError("the scene has no Gaussians; expected one at least")
        with atomic_path(path, force=force) as temporary:
            known.writer(temporary, scene, options)
        if known.tidy is not None:
            known.tidy(Path(path))
    except (FormatError, ShapeError) as error:  # the writer knows only the temporary name
        raise type(error)(f"cannot write {path}: {error}") from error
    if lost := known.losses(scene, options):
        logger.info("%s: %s files do not keep %s", path, known.suffix, "; ".join(lost))


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
        FormatError: if one of the levels has no Gaussian.
    """
    if levels is None:
        return scene
    wanted = list(levels)
    present = set(scene.level.unique().tolist())
    if empty := [level for level in wanted if level not in present]:
        had = ", ".join(str(level) for level in sorted(present) if level >= 0) or "none"
        raise FormatError(f"no Gaussian has a level of {empty}; the scene's levels are {had}")
    return scene.levels(wanted)
