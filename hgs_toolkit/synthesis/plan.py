"""The plan of a dataset: everything its bytes depend on, as one JSON file.

Two runs with equal plans write equal bytes, whatever the engine, the number of workers and the interruptions.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.metadata
import json
import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

from PIL import ImageColor

from hgs_toolkit.config import Config, GeneratorConfig
from hgs_toolkit.errors import ConfigError, DataError
from hgs_toolkit.settings_io import build, config_to_dict, flatten_keys
from hgs_toolkit.synthesis.annotations import ANNOTATIONS
from hgs_toolkit.synthesis.backgrounds import Pictures
from hgs_toolkit.synthesis.settings import AUTO, RANDOM, TRANSPARENT, SynthSettings
from hgs_toolkit.synthesis.views import View, views_of_scene

FORMAT_VERSION = 2

Backdrop = Literal["model", "transparent", "color", "random", "pictures"]
"""What stands behind a scene: the model's own background, nothing, one colour, a colour a view, pictures."""

PACKAGES = ("hgs_toolkit", "torch", "numpy", "numba", "pillow")
"""Packages whose version can change a bit of the result."""

SHARDS, LEAST_IMAGES, MOST_IMAGES = 64, 16, 1000
"""Without a wish, a dataset is cut into about so many shards, of at least and at most so many images."""

SCENE_EXTENT = 1.75
"""How far from the origin the subject can reach: the generator keeps it in the box [-1, 1], whose corners are here."""

DEPTH_STEPS = 65535
"""Greatest number of a 16-bit picture."""


@dataclass(frozen=True)
class Plan:
    """A dataset before it is made.

    Attributes:
        settings: with nothing left open: annotations named, shards sized.
        backdrop: what stands behind every scene.
        color: the colour of the backdrop ``color``.
        pictures: digest of the folder of pictures of the backdrop ``pictures``, else empty.
        model: name of the model's configuration.
        model_sha256: of the model's file.
        depth_scale: 16-bit depth is the camera's z in world units times this.
        versions: of the packages in PACKAGES, and of the zlib that packs pictures.
    """

    settings: SynthSettings
    backdrop: Backdrop
    color: tuple[float, float, float]
    pictures: str
    model: str
    model_sha256: str
    depth_scale: int
    versions: dict[str, str]

    @property
    def images(self) -> int:
        """Views of all scenes."""
        return self.settings.count * self.settings.views

    @property
    def scenes_per_shard(self) -> int:
        """Scenes a shard; the last may have fewer."""
        return max(1, self.settings.shard_images // self.settings.views)

    @property
    def shards(self) -> int:
        """Number of shards."""
        return math.ceil(self.settings.count / self.scenes_per_shard)

    def scenes(self, shard: int) -> range:
        """Numbers of a shard's scenes."""
        first = shard * self.scenes_per_shard
        return range(first, min(first + self.scenes_per_shard, self.settings.count))

    def views(self, shard: int) -> Iterator[list[View]]:
        """A shard's views, scene by scene."""
        return (views_of_scene(self.settings, scene) for scene in self.scenes(shard))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        values |= {"settings": config_to_dict(self.settings), "color": list(self.color)}
        return {"format_version": FORMAT_VERSION} | values

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the plan's JSON."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()

    def differences(self, other: Plan) -> list[str]:
        """What ``other`` says differently, as "settings.views is 4 here and 2 there"."""
        here, there = flatten_keys(self.to_dict()), flatten_keys(other.to_dict())
        return [
            f"{key} is {here.get(key)!r} here and {there.get(key)!r} there"
            for key in sorted(here.keys() | there.keys())
            if here.get(key) != there.get(key)
        ]


def make_plan(settings: SynthSettings, model: Config, model_sha256: str) -> Plan:
    """The plan of ``settings`` for a model with everything decided that they leave open.

    Raises:
        ConfigError: for an annotation that is unknown or that the format does not store, a background that is neither
            a colour nor a folder of pictures, or an impossible combination.
    """
    from hgs_toolkit.synthesis.formats import FORMATS

    form = FORMATS[settings.format]
    backdrop, color, pictures = _backdrop(settings, model.generator, form.transparent)
    annotations = _annotations(settings, form.annotations, form.usual)
    if settings.format == "eg3d" and "alpha" in settings.annotations and backdrop != "transparent":
        raise ConfigError("eg3d keeps alpha in the picture itself, which needs --background transparent")
    settings = dataclasses.replace(
        settings, annotations=annotations, background=settings.background if not pictures else "pictures",
        shard_images=settings.shard_images or _shard_images(settings), category=settings.category or model.name,
    )  # fmt: skip
    versions = {name: importlib.metadata.version(name) for name in PACKAGES} | {"zlib": zlib.ZLIB_RUNTIME_VERSION}
    return Plan(
        settings, backdrop, color, pictures, model.name, model_sha256,
        _depth_scale(settings, model.generator, backdrop), versions,
    )  # fmt: skip


def read_plan(path: Path) -> Plan:
    """The plan of a JSON file.

    Raises:
        DataError: if the file is missing or broken, or of another version.
    """
    try:
        values = json.loads(path.read_bytes())
        version = values.pop("format_version")
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}; expected a dataset of 'hgs synth'") from error
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
        raise DataError(f"{path} is no plan of 'hgs synth'") from error
    if version != FORMAT_VERSION:
        raise DataError(f"{path} has format version {version}, expected {FORMAT_VERSION}; use the hgs_toolkit it names")
    try:
        settings = build(SynthSettings, values.pop("settings"), "")
        color, backdrop = tuple(map(float, values.pop("color"))), values["backdrop"]
        plan = Plan(settings=settings, color=color, **values)  # type: ignore[arg-type]
        if backdrop not in get_args(Backdrop) or len(color) != 3 or not isinstance(plan.depth_scale, int):
            raise ValueError(backdrop)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path} is damaged: {error}") from error
    return plan


def is_picture_folder(background: str) -> bool:
    """Whether a ``background`` names a folder of pictures (or a zip of them)."""
    return background not in (AUTO, TRANSPARENT, RANDOM) and Path(background).exists()


def _backdrop(
    settings: SynthSettings, generator: GeneratorConfig, transparent: bool
) -> tuple[Backdrop, tuple[float, float, float], str]:
    """Kind, colour and pictures' digest of what the background means; ``transparent`` is the format's habit."""
    white = (1.0, 1.0, 1.0)
    if settings.background == AUTO:
        if generator.background == "generator":
            return "model", white, ""
        return "transparent" if transparent else "color", white, ""
    if settings.background == TRANSPARENT:
        return "transparent", white, ""
    if settings.background == RANDOM:
        return "random", white, ""
    if is_picture_folder(settings.background):
        return "pictures", white, Pictures(settings.background).digest
    try:
        red, green, blue = ImageColor.getrgb(settings.background)[:3]
    except ValueError:
        raise ConfigError(
            f"background '{settings.background}' is neither a colour (a name or #rrggbb) nor an existing folder of "
            f"pictures; expected one of these or {AUTO}, {TRANSPARENT} or {RANDOM}"
        ) from None
    return "color", (red / 255, green / 255, blue / 255), ""


def _annotations(settings: SynthSettings, stored: tuple[str, ...], usual: tuple[str, ...]) -> tuple[str, ...]:
    """What is stored of each view, in the order of ANNOTATIONS."""
    wanted = set(settings.annotations or usual) | {"rgb"}
    for name in sorted(wanted):
        if name not in ANNOTATIONS:
            raise ConfigError(f"annotation '{name}' is unknown; expected some of: {', '.join(ANNOTATIONS)}")
        if name not in stored:
            raise ConfigError(f"the format '{settings.format}' does not store '{name}'; it stores {', '.join(stored)}")
    return tuple(name for name in ANNOTATIONS if name in wanted)


def _shard_images(settings: SynthSettings) -> int:
    images = min(MOST_IMAGES, max(LEAST_IMAGES, settings.count * settings.views // SHARDS))
    return max(images, settings.views)


def _depth_scale(settings: SynthSettings, generator: GeneratorConfig, backdrop: Backdrop) -> int:
    """So large that nothing of the scene lies beyond the greatest number."""
    extent = SCENE_EXTENT
    if backdrop == "model":
        extent = max(extent, 1.1 * generator.background_radius)
    return max(1, int(DEPTH_STEPS / (settings.cameras.poses.radius + extent)))
