"""plan.yaml: the settings of all stages as text that is read and edited by people.

``stages`` lists what differs from stage to stage, ``all`` holds what they share, ``why`` the reasons for the choices;
nothing but ``stages`` is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from hgs_toolkit.config import Config
from hgs_toolkit.errors import ConfigError
from hgs_toolkit.settings_io import config_from_dict, config_to_dict, flatten_keys, merge, read_yaml

HEADER = """\
# The plan of a run: edit it, then start or continue the run with hgs train --resume. A stage that has begun keeps its
# settings but for kimg. 'stages' lists what differs between the stages, 'all' what they share, 'why' is for people.
"""

KEYS = ("why", "stages", "all")


@dataclass(frozen=True)
class Choice:
    """One decision of a plan, for people: what was chosen, and why."""

    what: str
    value: str
    why: str


def write_plan(stages: Sequence[Config], choices: Sequence[Choice] = ()) -> str:
    """The text of a plan."""
    values = [config_to_dict(stage) for stage in stages]
    flat = [flatten_keys(value) for value in values]
    shared = {key for key in flat[0] if len(flat) > 1 and all(key in one and one[key] == flat[0][key] for one in flat)}
    content: dict[str, Any] = {}
    if choices:
        content["why"] = {choice.what: f"{choice.value} ({choice.why})" for choice in choices}
    content["stages"] = [_nested({key: value for key, value in one.items() if key not in shared}) for one in flat]
    if shared:
        content["all"] = _nested({key: flat[0][key] for key in flat[0] if key in shared})
    return HEADER + "\n".join(
        yaml.safe_dump(
            {key: value}, sort_keys=False, width=120, allow_unicode=True,
            default_flow_style=False if key == "why" else None,
        )
        for key, value in content.items()
    )  # fmt: skip


def is_plan(file: Path) -> bool:
    """Whether a YAML file is a plan, not the configuration of one run."""
    stages = read_yaml(file).get("stages")
    return isinstance(stages, list) and all(isinstance(stage, dict) for stage in stages)


def read_plan(text: str) -> list[Config]:
    """The stages of a plan's text.

    Raises:
        ConfigError: naming what is not a plan's, or the setting that cannot be used.
    """
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"no valid YAML: {' '.join(str(error).split())}") from error
    if isinstance(content, list):
        content = {"stages": content}
    if not isinstance(content, dict) or not isinstance(content.get("stages"), list) or not content["stages"]:
        raise ConfigError("no list of stages; expected the key 'stages'")
    unknown = [str(key) for key in content if key not in KEYS]
    if unknown:
        raise ConfigError(f"unknown key '{unknown[0]}'; known: {', '.join(KEYS)}")
    shared = content.get("all") or {}
    if not isinstance(shared, dict) or not all(isinstance(stage, dict) for stage in content["stages"]):
        raise ConfigError("'all' and every stage are mappings of settings")
    stages = [config_from_dict(merge(shared, stage)) for stage in content["stages"]]
    refuse_one_name(stages)
    return stages


def refuse_one_name(stages: Sequence[Config]) -> None:
    """Raise a ConfigError if two of ``stages`` have one name: their folders are named after them."""
    names = [stage.name for stage in stages]
    if len(set(names)) < len(names):
        raise ConfigError(f"two stages have one name: {', '.join(names)}; expected a name for each")


def _nested(flat: dict[str, Any]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for key, value in flat.items():
        *path, last = key.split(".")
        section = nested
        for part in path:
            section = section.setdefault(part, {})
        section[last] = value
    return nested
