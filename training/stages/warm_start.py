"""Starting a new run from weights that exist: of an imported checkpoint, of another run, or of a model alone."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from hgs_toolkit.checkpoint import read_weights
from hgs_toolkit.config import Config
from hgs_toolkit.datasets.attribution import credits_in
from hgs_toolkit.errors import CheckpointError
from hgs_toolkit.model.discriminator import Discriminator
from hgs_toolkit.model_files import (
    MODEL_FILE,
    NETWORKS_KEY,
    newest_stage,
    read_header,
    read_metadata,
    shipped_file,
)
from hgs_toolkit.settings_io import config_from_dict
from hgs_toolkit.training.networks import PARTS, Networks, Weights, load_into, new_discriminator
from hgs_toolkit.training.opening import after_the_opening
from hgs_toolkit.training.state import RunFolder, read_state


def starting_config(networks: Networks, recipe: Config | None) -> Config:
    """The configuration of a run that starts from ``networks``: their settings, and the training of ``recipe``.

    Without a recipe the training is that of the networks' own run. A residual discriminator gets the heads on
    pretrained features that the recipe has, and Gaussians its bound.
    """
    recipe = recipe or networks.config
    judge = networks.config.discriminator
    if judge.gains_heads_as(recipe.discriminator):
        judge = judge.with_heads_of(recipe.discriminator)
    generator = networks.config.generator
    if recipe.generator.max_elongation is not None:
        generator = replace(generator, max_elongation=recipe.generator.max_elongation)
    return replace(
        networks.config, name=recipe.name, generator=generator, discriminator=judge,
        training=after_the_opening(recipe.training),
    )  # fmt: skip


def read_networks(path: str | Path) -> Networks:
    """The networks of a packed run or an import's training file, of a run folder, or of a model (no discriminator).

    A name that ``hgs models`` lists stands for the file of that model.

    Raises:
        CheckpointError: if there is none of these, or it is broken.
    """
    path = Path(path)
    if path.is_dir():
        return _of_run(path)
    if not path.is_file():
        shipped = shipped_file(path)
        if shipped is None:
            raise CheckpointError(f"{path} does not exist; expected a file of 'hgs runs pack', a run folder or a model")
        path = shipped
    entries = read_metadata(path)
    if NETWORKS_KEY not in entries:
        return _of_model(path)
    weights = read_weights(path)
    parts: dict[str, Weights] = {part: {} for part in PARTS}
    for name, value in weights.items():
        part, _, rest = name.partition(".")
        if part not in parts:
            raise CheckpointError(f"{path} holds '{name}'; expected names that begin with {', '.join(PARTS)}")
        parts[part][rest] = value
    generator, ema, discriminator = (parts[part] for part in PARTS)
    header = read_header(path, NETWORKS_KEY)
    return Networks(header.config, generator or ema, ema, discriminator or None, credits=credits_in(header.facts))


def load_discriminator(model: Path | None) -> Discriminator | None:
    """The discriminator of a run folder or an import, frozen; None where there is none, as for the model that ships.

    Raises:
        CheckpointError: if the file is broken.
    """
    if model is None:
        return None
    networks = read_networks(model)
    if networks.discriminator is None:
        return None
    discriminator = new_discriminator(networks.config.discriminator)
    load_into(discriminator, networks.discriminator, "discriminator")
    return discriminator.eval().requires_grad_(False)


def _of_run(folder: Path) -> Networks:
    run = newest_run(folder)
    if not run.state_file.is_file():
        if run.model_file.is_file():
            return _of_model(run.model_file)
        raise CheckpointError(f"the folder {folder} holds neither state.pt nor {MODEL_FILE}; expected a run folder")
    state = read_state(run.state_file)
    generator, ema, discriminator = (state[part] for part in PARTS)
    return Networks(
        config_from_dict(json.loads(state["config"])), generator, ema, discriminator, state.get("encoder"), run.credits
    )  # fmt: skip


def newest_run(folder: Path) -> RunFolder:
    """The run in ``folder``, or the newest stage of a plan there."""
    return RunFolder(newest_stage(folder))


def _of_model(path: Path) -> Networks:
    weights, header = read_weights(path), read_header(path)
    return Networks(header.config, weights, weights, None, credits=credits_in(header.facts))
