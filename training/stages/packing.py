"""A run packed into one small file: its networks in half precision or eight bits, to be trained on elsewhere.

The file is that of an import (:mod:`hgs_toolkit.training.networks`), so ``hgs train --init`` takes it. What stays
behind are the second moments of the optimisers: with Adam's β₂ of 0.99 they are renewed within a warm-up of 100 steps.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import torch

from hgs_toolkit.datasets.attribution import attribution_facts
from hgs_toolkit.errors import CheckpointError
from hgs_toolkit.files import refuse_overwrite
from hgs_toolkit.model_files import find_model, read_header
from hgs_toolkit.settings_io import config_to_dict, flatten_keys
from hgs_toolkit.training.networks import Networks, save_networks
from hgs_toolkit.training.stages.growing import FREE, PIXELS
from hgs_toolkit.training.stages.warm_start import newest_run, read_networks

logger = logging.getLogger(__name__)


SAME_WEIGHTS = (*FREE, "generator.precision")
"""Beginnings of settings under which the weights of a generator mean the same."""


def pack_run(
    run: str | Path, out: str | Path, *, average_only: bool = False, heads: bool = True,
    generator: str | Path | None = None, dtype: torch.dtype = torch.float16, force: bool = False,
) -> Networks:  # fmt: skip
    """Write the generator, its average and the discriminator of ``run`` (the newest stage of a plan) to ``out``.

    Args:
        run: folder of a run.
        out: a ``.safetensors`` file.
        average_only: leave the generator out; whoever trains on begins with its average. A third less, and the
            average lags the generator by no more than its half-life.
        heads: with the discriminator's heads on pretrained features, if it has any; without, new ones join where it
            is trained on by a recipe that has them.
        generator: model whose weights take the place of the run's generator and average, such as a mean of its
            snapshots.
        dtype: of the stored weights, see :func:`hgs_toolkit.checkpoint.save_model`.

    Returns:
        What was written.

    Raises:
        CheckpointError: if the folder holds no run, ``generator`` is no model or one of another architecture, or a
            weight does not fit ``dtype``.
        HgsError: if ``out`` exists and not ``force``, or cannot be written.
    """
    refuse_overwrite(Path(out), force=force)
    folder = newest_run(Path(run))
    if not folder.state_file.is_file():
        raise CheckpointError(f"{run} holds no state.pt; expected the run folder of 'hgs train'")
    networks = read_networks(run)
    if generator is not None:
        networks = _with_generator(networks, Path(generator))
        average_only = True
    if networks.encoder is not None:
        logger.warning("the encoder of %s stays behind: what is packed goes on without reconstruction", run)
    trained = {} if average_only else networks.generator
    packed = replace(networks, generator=trained, encoder=None)
    if not heads:
        packed = of_pixels_alone(packed)
    facts = read_header(folder.model_file).facts if folder.model_file.is_file() else {}
    save_networks(out, packed, facts | attribution_facts(packed.credits), dtype=dtype, force=force)
    return packed


def _with_generator(networks: Networks, model: Path) -> Networks:
    """``networks`` with the weights of ``model`` as generator and average; a CheckpointError if they do not fit."""
    other = read_networks(find_model(model))
    own, theirs = ({name: tuple(value.shape) for name, value in some.ema.items()} for some in (networks, other))
    if own != theirs:
        name = next(name for name in sorted(own.keys() | theirs.keys()) if own.get(name) != theirs.get(name))
        raise CheckpointError(
            f"{model} has {theirs.get(name, 'nothing')} for '{name}', the run has {own.get(name, 'nothing')}; expected "
            "a model of the same architecture, such as the mean of the run's snapshots"
        )
    trained, given = (flatten_keys(config_to_dict(config)) for config in (networks.config, other.config))
    for name in trained:
        if trained[name] == given[name] or not name.startswith("generator.") or name.startswith(SAME_WEIGHTS):
            continue
        raise CheckpointError(
            f"{name} is {given[name]!r} in {model} and {trained[name]!r} in the run; expected a model with "
            "the run's settings, such as the mean of its snapshots: weights mean something else under others"
        )
    return replace(networks, generator=other.ema, ema=other.ema, credits=(*networks.credits, *other.credits))


def of_pixels_alone(networks: Networks) -> Networks:
    """``networks`` with a discriminator of the pixels where it has heads on pretrained features beside those."""
    judge, weights = networks.config.discriminator, networks.discriminator
    if judge.kind != "projected" or weights is None:
        return networks
    pixels = {name.removeprefix(PIXELS): value for name, value in weights.items() if name.startswith(PIXELS)}
    config = replace(networks.config, discriminator=judge.without_heads)
    return replace(networks, config=config, discriminator=pixels)
