"""The table of splat formats, and reading and writing by a file's suffix.

To add a format, write ``splats/NAME.py`` with ``read_NAME(path)`` and ``write_NAME(path, scene, options)`` and add its
row to FORMATS. Readers and writers are imported when they are first called: looking at the table needs no torch.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from hgs_toolkit.errors import FormatError, ShapeError, did_you_mean
from hgs_toolkit.exporters.options import ExportOptions, Frame
from hgs_toolkit.exporters.splat_format import TREE, Reader, SplatFormat, Writer, late
from hgs_toolkit.stand_ins import stand_in

if TYPE_CHECKING:
    from torch import Tensor

    from hgs_toolkit.asset import Asset, AssetMetadata
    from hgs_toolkit.exporters.splats.reading import Reading
    from hgs_toolkit.exporters.splats.stored import StoredSplats
    from hgs_toolkit.gaussians import GaussianHierarchy

logger = logging.getLogger(__name__)


NATIVE = ".hgs"
"""Suffix of our own format."""


def _read_hgs(path: Path) -> Reading:
    from hgs_toolkit.asset import load_asset
    from hgs_toolkit.exporters.splats.reading import Reading

    return Reading(load_asset(path, check_finite=False).scene)


def _write_hgs(path: Path, scene: GaussianHierarchy, options: ExportOptions, latent: Tensor | None = None) -> None:
    from hgs_toolkit.asset import Asset, AssetMetadata, write_asset

    write_asset(path, Asset(scene, options.metadata or AssetMetadata(), latent))


FORMATS = (
    SplatFormat(NATIVE, "native asset, exact, with tree and provenance", _read_hgs, _write_hgs, keeps=TREE,
           keeps_antialiased=True, opens_in_extension=True),
    SplatFormat(
        ".ply", "3D-GS splats: SuperSplat, Blender add-ons, Unity, Unreal, Houdini",
        late("ply.reader:read_ply"), late("ply.writer:write_ply"), plain=True,
        options=frozenset({"extras", "pad_sh", "normals", "world", "frame"}), keeps_antialiased=True,
        opens_in_extension=True,
    ),
    SplatFormat(
        ".spz", "Niantic's, 10 to 20 bytes a Gaussian: phones, Unity, Unreal, Godot, Spark",
        late("spz.reader:read_spz"), late("spz.writer:write_spz"), plain=True,
        options=frozenset({"frame", "spz_version"}), keeps_offset=False, keeps_antialiased=True,
        assumed_frame="y_up", opens_in_extension=True,
    ),
    SplatFormat(
        ".sog", "images in a zip, 14 to 20 bytes a Gaussian: SuperSplat, PlayCanvas, Spark",
        late("sog:read_sog"), late("sog:write_sog"), plain=True,
        options=frozenset({"frame"}), keeps_antialiased=True,
    ),
    SplatFormat(
        "meta.json", "the files of a .sog in a folder; only read",
        late("sog_folder:read_sog_folder"), None, keeps_offset=False,
    ),
    SplatFormat(
        ".compressed.ply", "16 bytes a Gaussian: SuperSplat, PlayCanvas",
        late("ply.reader:read_ply"), late("ply.compressed:write_compressed_ply"), plain=True,
        options=frozenset({"frame"}), keeps_antialiased=True,
    ),
    SplatFormat(
        ".splat", "32 bytes a Gaussian, without harmonics: older web viewers",
        late("splat:read_splat"), late("splat:write_splat"), plain=True,
        options=frozenset({"frame"}), sh_degree=0, keeps_offset=False, assumed_frame="rdf", opens_in_extension=True,
    ),
    SplatFormat(
        ".ksplat", "GaussianSplats3D, all compression levels; only read",
        late("ksplat:read_ksplat"), None, keeps_offset=False, assumed_frame="rdf",
    ),
    SplatFormat(
        ".glb", "glTF with KHR_gaussian_splatting: Babylon.js, PlayCanvas; others show points",
        late("glb.reader:read_glb"), late("glb.writer:write_glb"), options=frozenset({"nodes", "extras"}),
        opens_in_extension=True,
    ),
    SplatFormat(
        ".rad", "a tree of levels of detail: Spark 2 (three.js)",
        late("rad.reader:read_rad"), late("rad.writer:write_rad"),
        options=frozenset({"frame", "lods"}),
    ),
    SplatFormat(
        "lod-meta.json", "folders of .sog images for each level of detail: PlayCanvas, SuperSplat",
        late("streamed_sog:read_streamed_sog"), late("streamed_sog:write_streamed_sog"),
        options=frozenset({"frame", "lods"}), keeps_antialiased=True,
        replacing=late("streamed_sog:replacing_streamed_sog"),
    ),
    SplatFormat(
        "tileset.json", "3D Tiles, a tree of .glb tiles with packed Gaussians: CesiumJS",
        late("tiles.reader:read_tiles"), late("tiles.writer:write_tiles"),
        options=frozenset({"lods"}), keeps=TREE - {"parents"}, keeps_antialiased=True,
        replacing=late("tiles.writer:replacing_tiles"),
    ),
    SplatFormat(
        ".usdc", "OpenUSD 26.03, binary: Omniverse, Houdini, usdview",
        late("usd:read_usd"), late("usd:write_usd"), options=frozenset({"lods"}),
    ),
    SplatFormat(
        ".usda", "OpenUSD 26.03, text: Omniverse, Houdini, usdview",
        late("usd:read_usd"), late("usd:write_usd"), options=frozenset({"lods"}),
    ),
)  # fmt: skip
"""Every splat format: the only place that lists their suffixes."""


def load(path: str | Path, frame: str | None = None, *, drop_invalid: bool = False) -> GaussianHierarchy:
    """Read a splat file of any known format as a batch of one in the ``y_up`` frame.

    Args:
        path: a file whose suffix names its format, see FORMATS.
        frame: world frame of a file that is not in the frame its format assumes (``rdf`` for an .spz that another
            program wrote as it wrote its .ply); only for formats with an ``assumed_frame``.
        drop_invalid: leave out Gaussians with NaN or infinite values, which are otherwise refused.

    Raises:
        FormatError: if the suffix is unknown; if the file is missing, truncated, broken or without Gaussians; if a
            value is NaN or infinite (counted); or if ``frame`` is given although the format or the file settles it.
    """
    return read_asset(path, frame, drop_invalid=drop_invalid).scene


def read_asset(path: str | Path, frame: str | None = None, *, drop_invalid: bool = False) -> Asset:
    """Read a splat file as :func:`load` does, with its metadata and, of a ``.hgs`` file, its latent.

    The metadata of other formats state only what their files do, such as an offset.
    """
    path = Path(path)
    known, _ = _readable(path, frame)
    if known.suffix != NATIVE:
        return asset_of(path, read_file(path, frame), frame, drop_invalid=drop_invalid)
    from hgs_toolkit.asset import load_asset
    from hgs_toolkit.exporters.splats.scenes import cleaned

    with _reading_errors(path):
        asset = load_asset(path, check_finite=False)
    return replace(asset, scene=cleaned(path, asset.scene, drop_invalid))


def read_file(path: Path, frame: str | None = None) -> Reading:
    """What a splat file holds, nothing repaired or refused yet; arguments and errors as in :func:`load`."""
    _, reader = _readable(path, frame)
    with _reading_errors(path):
        reading = reader(path)
    if not reading.content.num_gaussians:
        raise FormatError(f"{path} holds no Gaussians; expected at least one")
    if frame is not None and reading.axes:
        raise FormatError(f"{path} declares its own axes, {reading.axes}; read it without naming a frame")
    return reading


def asset_of(path: Path, reading: Reading, frame: str | None, *, drop_invalid: bool) -> Asset:
    """The asset of what :func:`read_file` returned: every value finite, in the frame that the caller names."""
    import numpy as np

    from hgs_toolkit.asset import Asset, AssetMetadata
    from hgs_toolkit.exporters.frames import FRAMES, frame_signs
    from hgs_toolkit.exporters.splats.reading import offset_of
    from hgs_toolkit.exporters.splats.scenes import cleaned
    from hgs_toolkit.exporters.splats.transform import convert_frame

    scene, offset = cleaned(path, reading.scene, drop_invalid), reading.offset
    if not is_assumed(path, frame):
        # The two frames differ by half a turn, which is its own inverse, so one more turn corrects the wrong one.
        scene = convert_frame(scene, *FRAMES)
        offset = offset_of(np.array(offset) * frame_signs(*FRAMES))
    return Asset(scene, AssetMetadata(offset=offset, antialiased=reading.antialiased))


def is_assumed(path: Path, frame: str | None) -> bool:
    """Whether the frame that a caller names, if any, is the one that the reader assumes anyway."""
    return frame is None or frame == format_of(path).assumed_frame


@contextmanager
def _reading_errors(path: Path) -> Iterator[None]:
    """Turn what the system says into a FormatError that names the file."""
    try:
        yield
    except OSError as error:
        raise FormatError(f"cannot read {path}: {error.strerror or error}") from error


def check_source(path: Path, frame: str | None = None) -> None:
    """Raise what :func:`load` raises for a file that is missing or of an unknown format; nothing is read."""
    _readable(path, frame)


def _readable(path: Path, frame: str | None) -> tuple[SplatFormat, Reader]:
    if not path.is_file():
        raise FormatError(f"{path} {'is a folder' if path.is_dir() else 'does not exist'}; expected a splat file")
    known = format_of(path)
    if what := stand_in(path):
        raise FormatError(f"{path} {what}")
    if known.reader is None:
        raise FormatError(f"{known.suffix} files can be written, not read; readable: {_suffixes(reading=True)}")
    _check_frame(path, known, frame)
    return known, known.reader


def _check_frame(path: Path, known: SplatFormat, frame: str | None) -> None:
    if frame is None:
        return
    frames = get_args(Frame)
    if frame not in frames:
        raise FormatError(f"unknown frame '{frame}' for {path}; expected one of: {', '.join(frames)}")
    if known.assumed_frame is None:
        unsettled = ", ".join(f.suffix for f in FORMATS if f.assumed_frame)
        raise FormatError(f"{path}: the frame of {known.suffix} files is fixed or said in them; it can only be given "
                          f"for {unsettled}")  # fmt: skip


def export(
    scene: GaussianHierarchy | StoredSplats,
    path: str | Path,
    *,
    levels: Iterable[int] | None = None,
    sh_degree: int | None = None,
    metadata: AssetMetadata | None = None,
    latent: Tensor | None = None,
    overwrite: bool = False,
    **options: Any,
) -> None:
    """Write one scene in the format that the path's suffix names; the file appears only when it is complete.

    Args:
        scene: a batch of one in the ``y_up`` frame; take ``scene[i]`` of a larger one. Of a plain format (see
            SplatFormat) also the finite arrays of a flat scene.
        path: the file to write; its suffix names the format, see FORMATS.
        levels: levels whose Gaussians are kept, with the background; None keeps all.
        sh_degree: highest degree of spherical harmonics to keep; None keeps all.
        metadata: provenance of the scene; every format writes what it can of it.
        latent: the w (..., w_dim) that the scene was made from, which ``.hgs`` keeps.
        overwrite: replace an existing file.
        options: fields of :class:`~hgs_toolkit.exporters.options.ExportOptions`: ``extras``, ``pad_sh``, ...

    Raises:
        FormatError: if the suffix is unknown, the format has no such option, a level or the scene has no Gaussians,
            or the format cannot hold a value; what is merely lost is logged.
        ShapeError: if a value is NaN or infinite; the message counts them.
        HgsError: if the file cannot be written, or exists and ``overwrite`` is false.
        TypeError: if an option is unknown to every format.
    """
    from hgs_toolkit.files import atomic_path, refuse_existing

    refuse_existing(Path(path), overwrite=overwrite)
    chosen = ExportOptions(**options, metadata=metadata)
    known, writer = check_target(Path(path), chosen)
    if known.suffix == NATIVE:
        writer = partial(_write_hgs, latent=latent)
    try:
        scene = _selected(scene, levels, sh_degree)
        if not scene.num_gaussians and known.suffix != NATIVE:
            raise FormatError("the scene has no Gaussians; expected at least one")
        with known.replacing(Path(path)), atomic_path(path) as temporary:
            writer(temporary, scene, chosen)
    except (FormatError, ShapeError) as error:  # the writer knows only the temporary name
        raise type(error)(f"cannot write {path}: {error}") from error
    if lost := known.losses(scene, chosen):
        logger.info("%s: %s files do not keep %s", path, known.suffix, "; ".join(lost))


def check_target(path: Path, options: ExportOptions | None = None) -> tuple[SplatFormat, Writer]:
    """The format of ``path`` and its writer; raises what :func:`export` does for its name and options."""
    known = format_of(path)
    if known.writer is None:
        raise FormatError(f"{known.suffix} files can be read, not written; writable: {_suffixes(reading=False)}")
    known.check_options(options or ExportOptions())
    return known, known.writer


def format_of(path: Path) -> SplatFormat:
    """The row of FORMATS that fits the path's name; if several suffixes fit, the longest decides.

    Raises:
        FormatError: if no suffix fits; the message names the most similar one, and lists all in the table's order.
    """
    fitting = [known for known in FORMATS if path.name.lower().endswith(known.suffix)]
    if fitting:
        return max(fitting, key=lambda known: len(known.suffix))
    given = f"the suffix '{path.suffix}'" if path.suffix else "a name without suffix"
    known = [row.suffix for row in FORMATS]
    hint = did_you_mean(path.suffix.lower(), known)
    raise FormatError(f"{path} has {given}, which is no known format{hint}; known: {', '.join(known)}")


def _suffixes(*, reading: bool) -> str:
    return ", ".join(f.suffix for f in FORMATS if (f.reader if reading else f.writer) is not None)


def _selected(
    scene: GaussianHierarchy | StoredSplats, levels: Iterable[int] | None, degree: int | None
) -> GaussianHierarchy | StoredSplats:
    from hgs_toolkit.conventions import sh_bases
    from hgs_toolkit.exporters.splats.stored import StoredSplats

    if degree is not None and degree not in range(4):
        raise FormatError(f"sh_degree is {degree}; expected 0 to 3")
    if isinstance(scene, StoredSplats):
        if levels is not None:
            raise TypeError("arrays have no levels to choose from")
        return scene if degree is None else replace(scene, sh=scene.sh[:, : sh_bases(degree)])
    if scene.batch != 1:
        raise FormatError(f"a batch of {scene.batch} scenes; a file holds one, so export scene[i] for each i")
    # This copy checks that every value is finite.
    scene = scene.replace(sh=scene.sh if degree is None else scene.sh[:, :, : sh_bases(degree)])
    return chosen_levels(scene, levels)


def chosen_levels(scene: GaussianHierarchy, levels: Iterable[int] | None) -> GaussianHierarchy:
    """The Gaussians of ``levels``, their anchors, and the background; the whole scene if ``levels`` is None.

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
    chosen = scene.levels(wanted)
    if scene.anchors is None:
        return chosen
    anchors = scene.anchors.levels(wanted)  # on these, and no others, the chosen Gaussians' children were placed
    return chosen.replace(anchors=anchors if anchors.num_gaussians else None)
