"""Settings from YAML and to YAML: presets, configuration files, ``--set`` overrides; unknown keys are refused by name.

A preset is a YAML file of the sections ``generator``, ``discriminator`` and ``training``; ``extends: NAME`` starts
from another preset.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import yaml

from hgs_toolkit.config import Config
from hgs_toolkit.errors import ConfigError, did_you_mean, require

PRESET_FOLDER = Path(__file__).parent / "presets"

LISTED_KEYS = 16
"""Number of keys of a section that an error lists; of larger sections it names where they are listed."""

NOT_YAML = (yaml.YAMLError, ValueError, RecursionError)
"""What its parser raises: a ValueError for a date that is none or a number of thousands of digits."""

T = TypeVar("T")


def preset_names() -> list[str]:
    """Names of the presets that ship with the package, sorted."""
    return sorted(path.stem for path in PRESET_FOLDER.glob("*.yaml"))


def load_preset(name: str, overrides: list[str] | None = None) -> Config:
    """The preset ``name`` with ``key=value`` overrides applied.

    Raises:
        ConfigError: if there is no such preset (the message names the nearest), or a value cannot be used.
    """
    return config_from_dict(with_overrides(_read_preset(name), overrides or []))


WITHIN = (
    "blur_kimg", "generator_delay_kimg", "pose_swap_kimg", "background_kimg", "ema_kimg", "rate_start_kimg", "rate_kimg"
)  # fmt: skip
"""Settings of training in kimg that lie within the length of a stage."""


def load_stages(name: str, overrides: list[str] | None = None, kimg: float | None = None) -> list[Config]:
    """The stages of the preset ``name``, first to last; empty for a preset that is a single run.

    Args:
        overrides: ``key=value`` texts, laid over every stage.
        kimg: length of all stages together; each keeps its share. None leaves their own lengths.

    Raises:
        ConfigError: as for :func:`load_preset`.
    """
    if name not in preset_names():
        return []
    names = read_yaml(PRESET_FOLDER / f"{name}.yaml").get("stages", [])
    return stages_of_length([load_preset(str(stage)) for stage in names], overrides or [], kimg)


def stages_of_length(stages: list[Config], overrides: list[str], kimg: float | None) -> list[Config]:
    """``stages`` with overrides applied to each, and ``kimg`` long together; None leaves their own lengths.

    Where they become shorter, so do their openings and schedules, except for those among the overrides.
    """
    stages = [with_settings(stage, overrides) for stage in stages]
    if kimg is None or not stages:
        return stages
    factor = kimg / sum(stage.training.kimg for stage in stages)
    kept = {text.partition("=")[0].removeprefix("training.") for text in overrides}
    scaled = ["kimg", *(name for name in WITHIN if factor < 1 and name not in kept)]
    return [_scaled(stage, scaled, factor) for stage in stages]


def _scaled(stage: Config, names: Sequence[str], factor: float) -> Config:
    """``stage`` with ``factor`` times those of its training's settings ``names`` that are not off."""
    numbers = ((name, getattr(stage.training, name)) for name in names)
    return with_settings(stage, [f"training.{name}={number * factor}" for name, number in numbers if number])


def load_config(path: str | Path, overrides: list[str] | None = None) -> Config:
    """The configuration of a YAML file, which may extend a preset, with ``key=value`` overrides applied."""
    values = _resolve(read_yaml(Path(path)), str(path), seen=())
    return config_from_dict(with_overrides(values, overrides or []))


def with_settings(config: Config, overrides: list[str]) -> Config:
    """``config`` with ``key=value`` overrides applied."""
    return config_from_dict(with_overrides(config_to_dict(config), overrides))


def config_from_dict(values: dict[str, Any]) -> Config:
    """The :class:`Config` of nested plain values; every unknown key is refused with the nearest known one."""
    return build(Config, values, "")


def config_to_dict(config: Any) -> dict[str, Any]:
    """Nested plain values (JSON- and YAML-able) of a configuration dataclass; inverse of building one from them."""
    return {f.name: _plain(getattr(config, f.name)) for f in dataclasses.fields(config)}


def config_to_yaml(config: Config) -> str:
    """The whole configuration as YAML."""
    return yaml.safe_dump(config_to_dict(config), sort_keys=False)


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return config_to_dict(value)
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _read_preset(name: str) -> dict[str, Any]:
    known = preset_names()
    if name not in known:
        raise ConfigError(f"unknown preset '{name}'{did_you_mean(name, known)}; known: {', '.join(known)}")
    return _resolve(read_yaml(PRESET_FOLDER / f"{name}.yaml") | {"name": name}, name, seen=(name,))


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping that a YAML file holds; a ConfigError names the file if it is something else."""
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the configuration {path}: {error}") from error
    except NOT_YAML as error:
        raise ConfigError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path} holds {type(values).__name__}; expected a mapping of sections")
    return values


def _resolve(values: dict[str, Any], origin: str, seen: tuple[str, ...]) -> dict[str, Any]:
    """``values`` laid over the preset they extend, and that over the one it extends."""
    values.pop("stages", None)  # a preset's stages are its own; see load_stages
    parent = values.pop("extends", None)
    if parent is None:
        return values
    if parent in seen:
        raise ConfigError(f"{origin} extends '{parent}', which extends it in turn; remove one of the two")
    if parent not in preset_names():
        raise ConfigError(f"{origin} extends the unknown preset '{parent}'{did_you_mean(str(parent), preset_names())}")
    base = _resolve(read_yaml(PRESET_FOLDER / f"{parent}.yaml"), parent, (*seen, parent))
    return merge(base, values)


def merge(base: dict[str, Any], top: dict[str, Any]) -> dict[str, Any]:
    """Nested values of ``base`` with those of ``top`` laid over them."""
    merged = dict(base)
    for key, value in top.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = merge(merged[key], value) if both else value
    return merged


def flatten_keys(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one mapping with dotted keys such as ``training.batch``."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= flatten_keys(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return flat


def with_overrides(values: dict[str, Any], overrides: list[str]) -> dict[str, Any]:
    """Nested ``values`` with the ``key=value`` texts of ``--set`` laid over them; values are YAML."""
    for override in overrides:
        key, separator, text = override.partition("=")
        if not separator or not key:
            raise ConfigError(f"--set {override}: expected key=value, for example training.batch=8")
        try:
            nested: Any = yaml.safe_load(text)
        except NOT_YAML as error:
            raise ConfigError(f"--set {override:.80}: the value is not valid YAML") from error
        for part in reversed(key.split(".")):
            nested = {part: nested}
        values = merge(values, nested)
    return values


def build(cls: type[T], values: Any, prefix: str) -> T:
    """A settings dataclass from nested plain values; inverse of :func:`config_to_dict`.

    Args:
        prefix: what stands before a key in messages, such as ``"generator."``.

    Raises:
        ConfigError: for an unknown key, which is named with the nearest known one, or a value of another type.
    """
    if not isinstance(values, dict):
        raise ConfigError(f"{prefix.rstrip('.') or 'the configuration'} is {values!r}; expected a mapping")
    types = get_type_hints(cls)
    known = [f.name for f in dataclasses.fields(cls)]  # type: ignore[arg-type]
    for key in values:
        if key not in known:
            raise ConfigError(f"unknown key '{prefix}{key}'{_hint(str(key), known)}")
    return cls(**{key: _convert(types[key], value, prefix + key) for key, value in values.items()})


def _hint(key: str, known: list[str]) -> str:
    """The keys that ``key`` may have been meant for, and all of them or where they are listed."""
    hint = did_you_mean(key, known, count=3)
    if len(known) <= LISTED_KEYS:
        return f"{hint}; known: {', '.join(known)}"
    return f"{hint}; 'hgs train --settings' lists all {len(known)} keys of this section"


def _convert(kind: Any, value: Any, key: str) -> Any:
    """``value`` as the annotated type ``kind``; a ConfigError names the key where it does not fit."""
    if dataclasses.is_dataclass(kind):
        return build(kind, value, key + ".")  # type: ignore[arg-type]
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Literal:
        require(value in arguments, key, value, "one of " + ", ".join(map(repr, arguments)))
        return value
    if origin in (Union, UnionType):
        return None if value is None else _convert(next(a for a in arguments if a is not type(None)), value, key)
    if origin is tuple:
        require(isinstance(value, list | tuple), key, value, "a list")
        kinds = arguments[:1] * len(value) if arguments[1:] == (...,) else arguments
        require(len(kinds) == len(value), key, value, f"{len(kinds)} values")
        return tuple(_convert(k, v, f"{key}[{i}]") for i, (k, v) in enumerate(zip(kinds, value, strict=True)))
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:  # a whole number beyond all of these
            number = math.inf
        require(math.isfinite(number), key, value, "a finite number")
        return number
    require(type(value) is kind, key, value, f"a value of type {kind.__name__}")
    return value
