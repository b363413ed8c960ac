"""Whatever a person brings, made into a set that is trained on: meshes are rendered, photographs are converted.

The set lies in the folder of the run, beside a record of what it was made of. Rendering keeps finished parts, so that
an interrupt costs seconds; a conversion starts again. Either way the set has the same bytes in the end.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from hgs_toolkit.conventions import LEAST_IMAGES
from hgs_toolkit.datasets.convert import Framing, convert_scenes, label_classes, usable_sides
from hgs_toolkit.datasets.eg3d import OnProgress
from hgs_toolkit.datasets.eg3d_writer import refuse_nested
from hgs_toolkit.datasets.images import LEAST_STAGE
from hgs_toolkit.datasets.meshes.variation import Variation
from hgs_toolkit.datasets.recognise import DataKind, recognise
from hgs_toolkit.datasets.sources import CAMERA_SUFFIXES, read_scenes
from hgs_toolkit.datasets.sources.bare import AssumedPoses
from hgs_toolkit.datasets.sources.photographs import Scene
from hgs_toolkit.datasets.storage import open_store
from hgs_toolkit.datasets.world import PlacementOptions
from hgs_toolkit.errors import DataError, HgsError
from hgs_toolkit.files import make_folder, write_bytes

logger = logging.getLogger(__name__)

SET_FILE, RECORD_FILE, PARTS_FOLDER = "data.zip", "data.json", "data-parts"

FEW_MODELS, MANY_MODELS = 20, 100
"""Numbers of models between which the number of rendered images grows from RENDERED[0] to RENDERED[1]."""

RENDERED = (4000, 10_000)
"""Numbers of images that are rendered of few and of many models."""

VARIATION = Variation(math.radians(20), 0.2, math.radians(60), 0.1)
"""What is varied from image to image, so that a discriminator cannot count a few models."""

SPARED = 0.05
"""Share of the images, the smallest, that do not decide how large all are made."""

SHOWN = 3
"""Number of images that a message names."""

FACES = AssumedPoses("normal", yaw=20, pitch=10)
"""The poses that images without cameras are given: heads that were photographed more or less from the front."""


@dataclass(frozen=True)
class SetRecord:
    """What the set of a run was made of.

    Attributes:
        kind: see :data:`hgs_toolkit.datasets.recognise.DataKind`.
        source: name of the folder or archive.
        digest: SHA-256 of the names and sizes of its files.
        resolution: side of the images, pixels.
        count: number of images rendered of meshes; 0 for photographs.
    """

    kind: DataKind
    source: str
    digest: str
    resolution: int
    count: int = 0


def prepare_data(
    source: str | Path, run: Path, resolution: int, *, workers: int = 1, progress: OnProgress | None = None
) -> Path:
    """The set that a run in ``run`` is trained on: ``source`` itself, or what was or is now made of it.

    Args:
        source: folder, archive or camera file; see :func:`hgs_toolkit.datasets.recognise.recognise`.
        resolution: largest side of the images that are made, pixels; a set that is there already keeps its own.
        workers: processes that render.
        progress: called with (images done, all).

    Raises:
        HgsError: if the source cannot be used, the run's set was made of something else, a file of another kind is in
            its place, or ``run`` lies in the source.
    """
    source = Path(source)
    kind = recognise(source)
    if kind == "set":
        return source
    refuse_nested(source, run)
    made, record_file, parts = run / SET_FILE, run / RECORD_FILE, run / PARTS_FOLDER
    digest, before = _digest(source), _read_record(record_file)
    if not (made.exists() or parts.exists()):
        before = None  # of a conversion that failed: there is nothing that another source would contradict
    if before is None and (found := next((path for path in (made, parts) if path.exists()), None)) is not None:
        raise HgsError(
            f"{found} is in the way of the run's own images, and {RECORD_FILE} beside it does not say that it holds "
            "them; move it away, or choose another --out"
        )
    if before is not None and before.digest != digest:
        raise HgsError(
            f"{run} holds images of {before.source}, which is not {source} as it is now; "
            "go on with the same files, or choose another --out"
        )
    if before is not None and made.is_file():
        return made
    make_folder(run)
    if kind == "meshes":
        _render(source, made, parts, before or SetRecord(kind, source.name, digest, resolution), record_file,
                workers, progress)  # fmt: skip
    else:
        _convert(source, made, before or SetRecord(kind, source.name, digest, resolution), record_file, progress)
    shutil.rmtree(parts, ignore_errors=True)
    return made


def drawings(models: int) -> int:
    """Number of images that are rendered of so many models."""
    share = min(max((models - FEW_MODELS) / (MANY_MODELS - FEW_MODELS), 0.0), 1.0)
    return int(RENDERED[0] + share * (RENDERED[1] - RENDERED[0]))


def _render(
    source: Path, made: Path, parts: Path, record: SetRecord, file: Path, workers: int, progress: OnProgress | None
) -> None:
    from hgs_toolkit.datasets.meshes.library import find_meshes
    from hgs_toolkit.datasets.meshes.rendering import render_meshes, usable_meshes

    problems: list[str] = []
    found = find_meshes(source, problems=problems)
    meshes, broken = usable_meshes(found, resolution=record.resolution)
    problems += broken
    if not meshes:
        raise DataError(f"none of the {len(found)} models in {source} can be rendered: {problems[0]}")
    for problem in problems:
        logger.warning("%s; it is left out", problem)
    record = SetRecord(**asdict(record) | {"count": record.count or drawings(len(meshes))})
    _write_record(file, record)
    logger.info("%d drawings of %d models at %d pixels", record.count, len(meshes), record.resolution)
    render_meshes(
        meshes, made, record.count, record.resolution, variation=VARIATION, views=2, workers=workers, progress=progress,
        parts=parts,
    )  # fmt: skip


def _convert(source: Path, made: Path, record: SetRecord, file: Path, progress: OnProgress | None) -> None:
    problems: list[str] = []
    scenes = read_scenes(source, assumed=FACES if record.kind == "images" else None, problems=problems)
    resolution, scenes = _sized(scenes, record.resolution, source)
    _write_record(file, record)
    converted = convert_scenes(
        scenes, made, PlacementOptions(), Framing(resolution=resolution), force=True, problems=problems,
        progress=progress, classes=label_classes(scenes),
    )  # fmt: skip
    if converted.images < LEAST_IMAGES:
        made.unlink()
        file.unlink()
        raise DataError(_too_few(source, converted.images) + "".join(f": {problem}" for problem in problems[:1]))
    for problem in problems:
        logger.warning("%s; it is left out", problem)
    if converted.assumed is not None:
        logger.warning("the poses are no measurement: no image was looked at; they are %s", converted.assumed)
    if converted.enlarged:
        logger.warning("%d images are enlarged to %d pixels", converted.enlarged, converted.resolution)
    logger.info("%d images of %d pixels, %s", converted.images, converted.resolution, converted.mode)


def _sized(scenes: Sequence[Scene], largest: int, source: Path) -> tuple[int, list[Scene]]:
    """The side of the set's images, a power of two up to ``largest``, and the scenes without those that are smaller.

    A few small images do not decide for all: a twentieth may be left out, as long as LEAST_IMAGES are kept.

    Raises:
        DataError: if there are too few images, or too small ones for any stage of training.
    """
    usable = sorted(usable_sides(scenes), key=lambda pair: pair[1])
    if len(usable) < LEAST_IMAGES:
        raise DataError(_too_few(source, len(usable)))
    spared = min(math.ceil(len(usable) * SPARED), len(usable) - LEAST_IMAGES)
    side, usual = usable[spared][1], usable[len(usable) // 2][1]
    resolution, wished = (min(largest, 2 ** int(math.log2(each))) for each in (side, usual))
    if resolution < min(LEAST_STAGE, largest):
        raise DataError(
            f"{source} has images too small to be trained on, such as {usable[spared][0].image} of {side} pixels; "
            f"expected at least {LEAST_STAGE} pixels a side: leave such images out"
        )
    small = [(photograph.image, size) for photograph, size in usable if size < resolution]
    if small:
        logger.warning("%d of %d images are left out, having fewer than %d pixels a side: %s", len(small), len(usable),
                       resolution, _listed(small))  # fmt: skip
    if resolution < wished:
        decisive = [(photograph.image, size) for photograph, size in usable[spared:] if size < wished]
        logger.warning("all images are made %d pixels, since %d of %d have fewer than %d: %s", resolution,
                       len(decisive), len(usable), wished, _listed(decisive))  # fmt: skip
    names = {image for image, _ in small}
    kept = [replace(scene, photographs=[p for p in scene.photographs if p.image not in names]) for scene in scenes]
    return resolution, [scene for scene in kept if scene.photographs]


def _too_few(source: Path, images: int) -> str:
    return f"{source} has {images} images; expected at least {LEAST_IMAGES}, better thousands"


def _listed(sides: Sequence[tuple[str, int]]) -> str:
    """The first few images with their sides."""
    more = ", ..." if len(sides) > SHOWN else ""
    return ", ".join(f"{image} ({side})" for image, side in sides[:SHOWN]) + more


def _digest(source: Path) -> str:
    one_file = source.is_file() and source.suffix.lower() in CAMERA_SUFFIXES
    store = open_store(source.parent if one_file else source)
    lines = (f"{name}\0{store.size(name)}\n" for name in store.names)
    digest = hashlib.sha256("".join(lines).encode(errors="surrogatepass")).hexdigest()
    store.close()
    return digest


def _read_record(file: Path) -> SetRecord | None:
    try:
        return SetRecord(**json.loads(file.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise HgsError(f"{file} is not the record of a run's images: {error}; choose another --out") from error


def _write_record(file: Path, record: SetRecord) -> None:
    write_bytes(file, json.dumps(asdict(record), indent=1).encode())
