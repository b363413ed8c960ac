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
from dataclasses import asdict, dataclass
from pathlib import Path

from hgs_toolkit.conventions import LEAST_IMAGES
from hgs_toolkit.datasets.convert import Framing, convert_scenes, label_classes
from hgs_toolkit.datasets.eg3d import OnProgress
from hgs_toolkit.datasets.meshes.variation import Variation
from hgs_toolkit.datasets.recognise import DataKind, recognise
from hgs_toolkit.datasets.sources import CAMERA_SUFFIXES, read_scenes
from hgs_toolkit.datasets.sources.bare import AssumedPoses
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
        HgsError: if the source cannot be used, or the run's set was made of something else.
    """
    source = Path(source)
    kind = recognise(source)
    if kind == "set":
        return source
    made, record_file, parts = run / SET_FILE, run / RECORD_FILE, run / PARTS_FOLDER
    digest, before = _digest(source), _read_record(record_file)
    if not (made.is_file() or parts.is_dir()):
        before = None  # of a conversion that failed: there is nothing that another source would contradict
    if before is None:
        shutil.rmtree(parts, ignore_errors=True)  # nobody knows what they show
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

    found = find_meshes(source)
    meshes, problems = usable_meshes(found, resolution=record.resolution)
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
    lenses = [photograph.lens for scene in scenes for photograph in scene.photographs]
    if len(lenses) < LEAST_IMAGES:
        raise DataError(f"{source} has {len(lenses)} images; expected at least {LEAST_IMAGES}, better thousands")
    side = min(min(lens.width, lens.height) for lens in lenses)
    resolution = min(record.resolution, 2 ** int(math.log2(max(side, 8))))
    _write_record(file, record)
    converted = convert_scenes(
        scenes, made, PlacementOptions(), Framing(resolution=resolution), force=True, problems=problems,
        progress=progress, classes=label_classes(scenes),
    )  # fmt: skip
    for problem in problems:
        logger.warning("%s; it is left out", problem)
    if converted.assumed is not None:
        logger.warning("the poses are no measurement: no image was looked at; they are %s", converted.assumed)
    if converted.enlarged:
        logger.warning("%d images are enlarged to %d pixels", converted.enlarged, converted.resolution)
    logger.info("%d images of %d pixels, %s", converted.images, converted.resolution, converted.mode)


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
