"""The three networks of a run as weights, to be stored together and trained on from.

An import stores them in one safetensors file (``NAME.training.safetensors``): the tensors' names begin with
``generator.``, ``ema.`` and ``discriminator.``, the metadata's entry is that of a model. So does a packed run, whose
weights are in half precision and which may do without ``generator.``: its average then begins.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from hgs_toolkit.checkpoint import save_weights
from hgs_toolkit.config import Config, DiscriminatorConfig
from hgs_toolkit.datasets.attribution import Credit
from hgs_toolkit.errors import CheckpointError
from hgs_toolkit.metrics.lite0_taps import make_lite0_taps
from hgs_toolkit.metrics.squeeze_taps import make_squeeze_taps
from hgs_toolkit.model.discriminator import Discriminator, make_discriminator
from hgs_toolkit.model.generator import Generator
from hgs_toolkit.model.projected_discriminator import FrozenFeatures
from hgs_toolkit.model_files import NETWORKS_KEY
from hgs_toolkit.training.randomness import Purpose, keyed_generator

Weights = dict[str, Tensor]

PARTS = ("generator", "ema", "discriminator")

LEAST_WEIGHTS = 4096
"""In eight bits, smaller tensors than in a model are quantised, too: training mends what that costs."""


@dataclass(frozen=True)
class Networks:
    """State dicts of the networks of ``config``.

    Attributes:
        config: of the run or file they come from.
        generator: the weights that training moves.
        ema: their moving average.
        discriminator: None where the source has none; it then starts anew.
        encoder: of a run that reconstructs; None elsewhere.
        credits: the works that the weights learned from; whoever trains on with them names those, too.
    """

    config: Config
    generator: Weights
    ema: Weights
    discriminator: Weights | None
    encoder: Weights | None = None
    credits: tuple[Credit, ...] = ()


def new_discriminator(config: DiscriminatorConfig) -> Discriminator:
    """A freshly initialised discriminator (torch's global generator) with the pretrained network it may need.

    Raises:
        MissingExtraError: if that network's package is not installed.
    """
    return make_discriminator(config, make_lite0_taps if config.features == "lite0" else make_squeeze_taps)


def perceptual_network() -> FrozenFeatures:
    """The pretrained network whose features are compared, with gradients only to the images.

    Raises:
        MissingExtraError: if its package is not installed.
    """
    network = make_squeeze_taps()
    network.freeze()
    return network


@contextmanager
def drawing_weights(seed: int) -> Iterator[None]:
    """A context in which networks are made with the initial weights of ``training.seed``."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(keyed_generator(seed, 0, Purpose.WEIGHTS).initial_seed())
        yield


def new_networks(config: Config) -> tuple[Generator, Discriminator]:
    """Generator and discriminator of ``config`` with initial weights drawn by ``training.seed``."""
    with drawing_weights(config.training.seed):
        return Generator(config.generator), new_discriminator(config.discriminator)


def save_networks(
    path: str | Path,
    networks: Networks,
    facts: dict[str, str],
    *,
    dtype: torch.dtype = torch.float32,
    force: bool = True,
) -> None:
    """Write ``networks`` and their configuration to one safetensors file, atomically.

    Args:
        dtype: as for :func:`hgs_toolkit.checkpoint.save_model`; weights are float32 again when read.

    Raises:
        CheckpointError: if a weight does not fit ``dtype``.
        HgsError: if the file cannot be written, or exists and not ``force``.
    """
    tensors = {
        f"{part}.{name}": value
        for part in PARTS
        for name, value in (getattr(networks, part) or {}).items()
    }  # fmt: skip
    save_weights(path, tensors, networks.config, facts, key=NETWORKS_KEY, dtype=dtype, least=LEAST_WEIGHTS, force=force)


def load_into(network: nn.Module, weights: Weights, name: str) -> None:
    """Copy ``weights`` into ``network``.

    Raises:
        CheckpointError: if names or shapes differ; the message names the network and the first difference.
    """
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        reasons = str(error).strip().splitlines()
        raise CheckpointError(
            f"the {name} to start from does not fit the configuration ({reasons[min(1, len(reasons) - 1)].strip()}); "
            "leave the settings of the networks as they are in the file"
        ) from error
