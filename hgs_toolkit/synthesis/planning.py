"""Making a plan: what the settings leave open is decided by the format and the model."""

from __future__ import annotations

import dataclasses
import importlib.metadata
from collections.abc import Mapping
from pathlib import Path

from PIL import ImageColor

from hgs_toolkit.config import Config, GeneratorConfig
from hgs_toolkit.datasets.attribution import ATTRIBUTION, terms_of
from hgs_toolkit.errors import ConfigError
from hgs_toolkit.synthesis.annotations import ANNOTATIONS
from hgs_toolkit.synthesis.background_images import BackgroundImages
from hgs_toolkit.synthesis.formats import FORMATS, DatasetFormat
from hgs_toolkit.synthesis.plan import BackgroundKind, SynthPlan
from hgs_toolkit.synthesis.settings import AUTO, RANDOM, TRANSPARENT, SynthSettings
from hgs_toolkit.version import toolkit_version

PACKAGES = ("torch", "numpy", "numba", "pillow", "isal")
"""Packages whose version, like that of the toolkit, can change a bit of the result."""

USUAL_SHARDS, MIN_SHARD_IMAGES, MAX_SHARD_IMAGES = 64, 16, 1000
"""Number of shards that a dataset is cut into unless ``shard_images`` says otherwise, and the fewest and most images
that such a shard may hold."""

SCENE_EXTENT = 1.75
"""Greatest distance of the subject from the origin, world units: the generator keeps it in the box [-1, 1], whose
corners are here."""

DEPTH_STEPS = 65535
"""Greatest value of a 16-bit image."""

WHITE = (1.0, 1.0, 1.0)


def make_plan(
    settings: SynthSettings, model: Config, model_sha256: str, facts: Mapping[str, str] | None = None
) -> SynthPlan:
    """The plan of ``settings`` for a model.

    Args:
        facts: of the model's file; its credits and licence go into the dataset.

    Raises:
        ConfigError: for an annotation that is unknown or that the format does not store, a class that the model does
            not have, a background that is neither a colour nor a folder of images, or an impossible combination.
    """
    form = FORMATS[settings.format]
    background, color, images = _background(settings, model.generator, form.transparent)
    annotations = _annotations(settings, form)
    if settings.format == "eg3d" and "alpha" in settings.annotations and background != "transparent":
        raise ConfigError("eg3d keeps alpha in the image itself, which needs --background transparent")
    prior = model.generator.classes
    for name in settings.classes:
        prior.parse(name)
    settings = dataclasses.replace(
        settings, annotations=annotations, background=settings.background if not images else "pictures",
        shard_images=settings.shard_images or _shard_images(settings), category=settings.category or model.name,
    )  # fmt: skip
    terms = terms_of(facts or {})
    versions = {"hgs_toolkit": toolkit_version()} | {name: importlib.metadata.version(name) for name in PACKAGES}
    return SynthPlan(
        settings, background, color, images, model.name, model_sha256,
        _depth_scale(settings, model.generator, background), versions, prior, terms if ATTRIBUTION in terms else {},
    )  # fmt: skip


def is_image_folder(background: str) -> bool:
    """Whether a ``background`` names a folder of images (or a zip of them)."""
    return background not in (AUTO, TRANSPARENT, RANDOM) and Path(background).exists()


def _background(
    settings: SynthSettings, generator: GeneratorConfig, transparent: bool
) -> tuple[BackgroundKind, tuple[float, float, float], str]:
    """Kind, colour and digest of the images of a background; ``transparent`` is what the format usually has."""
    if settings.background == AUTO:
        if generator.background == "generator":
            return "model", WHITE, ""
        return "transparent" if transparent else "color", WHITE, ""
    if settings.background == TRANSPARENT:
        return "transparent", WHITE, ""
    if settings.background == RANDOM:
        return "random", WHITE, ""
    if is_image_folder(settings.background):
        return "pictures", WHITE, BackgroundImages(settings.background).digest
    try:
        red, green, blue = ImageColor.getrgb(settings.background)[:3]
    except ValueError:
        raise ConfigError(
            f"background '{settings.background}' is neither a colour (a name or #rrggbb) nor an existing folder of "
            f"images; expected one of these or {AUTO}, {TRANSPARENT} or {RANDOM}"
        ) from None
    return "color", (red / 255, green / 255, blue / 255), ""


def _annotations(settings: SynthSettings, form: DatasetFormat) -> tuple[str, ...]:
    """What is stored of each view, in the order of ANNOTATIONS."""
    wanted = set(settings.annotations or form.usual_annotations) | {"rgb"}
    for name in sorted(wanted):
        if name not in ANNOTATIONS:
            raise ConfigError(f"annotation '{name}' is unknown; expected some of: {', '.join(ANNOTATIONS)}")
        if name not in form.annotations:
            stored = ", ".join(form.annotations)
            raise ConfigError(f"the format '{settings.format}' does not store '{name}'; it stores {stored}")
    return tuple(name for name in ANNOTATIONS if name in wanted)


def _shard_images(settings: SynthSettings) -> int:
    images = min(MAX_SHARD_IMAGES, max(MIN_SHARD_IMAGES, settings.count * settings.views // USUAL_SHARDS))
    return max(images, settings.views)


def _depth_scale(settings: SynthSettings, generator: GeneratorConfig, background: BackgroundKind) -> int:
    """The largest scale with which nothing of the scene lies beyond the greatest value."""
    extent = SCENE_EXTENT
    if background == "model":
        extent = max(extent, 1.1 * generator.background_radius)
    cameras = settings.cameras
    farthest = cameras.poses.radius + (cameras.poses.radius_spread if cameras.path == RANDOM else 0)
    return max(1, int(DEPTH_STEPS / (farthest + extent)))
