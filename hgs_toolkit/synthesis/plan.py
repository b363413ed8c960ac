"""The plan of a dataset: everything its bytes depend on, as one JSON file.

Two runs with equal plans write equal bytes, whatever the engine, the number of workers and the interruptions.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

from hgs_toolkit.config import ClassPrior
from hgs_toolkit.datasets.attribution import ATTRIBUTION, LICENCE
from hgs_toolkit.errors import DataError
from hgs_toolkit.settings_io import build, config_to_dict
from hgs_toolkit.synthesis.settings import SynthSettings
from hgs_toolkit.synthesis.views import PlannedView, views_of_scene

FORMAT_VERSION = 2

BackgroundKind = Literal["model", "transparent", "color", "random", "pictures"]
"""What is behind a scene: the model's own background, nothing, one colour, a colour for each view, images."""

FILE_KEYS = {"background": "backdrop", "background_images": "pictures"}
"""Keys of plan.json that are called otherwise than the attributes here."""


@dataclass(frozen=True)
class SynthPlan:
    """A dataset before it is made.

    Attributes:
        settings: with nothing left open: annotations named, shards sized.
        background: what is behind every scene.
        color: RGB in 0..1 of the background ``color``.
        background_images: SHA-256 of the folder of the background ``pictures``, else empty.
        model: name of the model's configuration.
        model_sha256: of the model's file.
        depth_scale: 16-bit depth is the camera's z in world units times this.
        versions: of the packages that can change a bit.
        prior: classes of the model; plan.json leaves those of a model without classes out.
        terms: licence and credits of a model that learned from others' works, which must be named wherever its scenes
            go: entries of plan.json (:func:`hgs_toolkit.datasets.attribution.terms_of`). Empty for other models.
    """

    settings: SynthSettings
    background: BackgroundKind
    color: tuple[float, float, float]
    background_images: str
    model: str
    model_sha256: str
    depth_scale: int
    versions: dict[str, str]
    prior: ClassPrior = field(default_factory=ClassPrior)
    terms: dict[str, Any] = field(default_factory=dict)

    @property
    def images(self) -> int:
        """Views of all scenes."""
        return self.settings.count * self.settings.views

    @property
    def scenes_per_shard(self) -> int:
        """Scenes in a shard; the last may have fewer."""
        return max(1, self.settings.shard_images // self.settings.views)

    @property
    def shards(self) -> int:
        """Number of shards."""
        return math.ceil(self.settings.count / self.scenes_per_shard)

    def scenes(self, shard: int) -> range:
        """Numbers of a shard's scenes."""
        first = shard * self.scenes_per_shard
        return range(first, min(first + self.scenes_per_shard, self.settings.count))

    def views(self, shard: int) -> Iterator[list[PlannedView]]:
        """A shard's views, scene by scene."""
        return (views_of_scene(self.settings, scene) for scene in self.scenes(shard))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        values = {FILE_KEYS.get(f.name, f.name): getattr(self, f.name) for f in dataclasses.fields(self)}
        values |= {"settings": config_to_dict(self.settings), "color": list(self.color)}
        del values["prior"]
        if self.prior.size:
            values["classes"] = config_to_dict(self.prior)
        else:
            del values["settings"]["classes"]
        del values["terms"]
        return {"format_version": FORMAT_VERSION} | values | self.terms

    @property
    def classes(self) -> tuple[str, ...]:
        """Classes of the scenes, in the order of their numbers; empty for a model without classes."""
        return self.settings.classes or self.prior.texts

    def class_of(self, seed: int) -> str:
        """The class that a scene's seed draws; empty for a model without classes."""
        if self.settings.classes:
            chosen = self.settings.classes
            return chosen[ClassPrior(tuple(map(str, range(len(chosen))))).row_of_seed(seed)]
        return self.prior.texts[self.prior.row_of_seed(seed)] if self.prior.size else ""

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the plan's JSON."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()

    def differences(self, other: SynthPlan) -> list[str]:
        """What ``other`` says differently, as "settings.views is 4 here and 2 there"."""
        here, there = _flat(self.to_dict()), _flat(other.to_dict())
        return [
            f"{key} is {here.get(key)!r} here and {there.get(key)!r} there"
            for key in sorted(here.keys() | there.keys())
            if here.get(key) != there.get(key)
        ]


def read_plan(path: Path) -> SynthPlan:
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
        return _from_dict(values)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise DataError(f"{path} is damaged: {error}") from error


def is_plan(path: Path) -> bool:
    """Whether a JSON file is a plan of 'hgs synth', of any version."""
    try:
        values = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(values, dict) and {"format_version", "settings", "model_sha256"} <= values.keys()


def _from_dict(values: dict[str, Any]) -> SynthPlan:
    settings, color = build(SynthSettings, values.pop("settings"), ""), tuple(map(float, values.pop("color")))
    named = {attribute: values.pop(key) for attribute, key in FILE_KEYS.items()}
    prior = build(ClassPrior, values.pop("classes", {}), "classes.")
    terms = {key: values.pop(key) for key in (LICENCE, ATTRIBUTION) if key in values}
    plan = SynthPlan(settings=settings, color=color, prior=prior, terms=terms, **named, **values)  # type: ignore[arg-type]
    if plan.background not in get_args(BackgroundKind):
        raise ValueError(f"the background is {plan.background!r}")
    if len(color) != 3 or not isinstance(plan.depth_scale, int):
        raise ValueError(f"the colour is {color} and depth_scale {plan.depth_scale!r}")
    return plan


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return flat
