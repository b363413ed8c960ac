"""SqueezeNet 1.1 as a feature extractor, with the ImageNet weights that the package ``ndf`` (MIT) carries.

The package stores them as a pickle in Keras layout. It is converted once, at the first use, to safetensors in the
user's cache folder (:func:`hgs_toolkit.files.cache_folder`); the network runs in torch.

Source: Iandola et al. 2016 (arXiv 1602.07360); widths of version 1.1.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from hgs_toolkit.errors import FormatError, HgsError
from hgs_toolkit.files import atomic_path, cache_folder, sha256
from hgs_toolkit.metrics.extractors import Extractor, package_folder
from hgs_toolkit.metrics.keras_pickle import read_keras_weights

logger = logging.getLogger(__name__)

SIZE = 227
"""Input size at which every pooling window fits without padding."""

MEAN_BGR = (103.939, 116.779, 123.68)
"""What the network was trained to have subtracted, in 0..255; its channels are blue, green, red."""

FIRES = {2: (64, 16, 64), 3: (128, 16, 64), 4: (128, 32, 128), 5: (256, 32, 128),
         6: (256, 48, 192), 7: (384, 48, 192), 8: (384, 64, 256), 9: (512, 64, 256)}  # fmt: skip
"""Number of each fire module: channels in, squeezed, expanded (twice)."""

POOLED = (4, 6)
"""Fire modules with a maximum pooling before them."""


class Fire(nn.Module):
    """1x1 squeeze, then 1x1 and 3x3 expansions side by side."""

    def __init__(self, in_channels: int, squeezed: int, expanded: int) -> None:
        super().__init__()
        self.squeeze1x1 = nn.Conv2d(in_channels, squeezed, 1)
        self.expand1x1 = nn.Conv2d(squeezed, expanded, 1)
        self.expand3x3 = nn.Conv2d(squeezed, expanded, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:  # (B, C, H, W) -> (B, 2 * expanded, H, W)
        """Apply the module."""
        x = functional.relu(self.squeeze1x1(x))
        return functional.relu(torch.cat([self.expand1x1(x), self.expand3x3(x)], dim=1))


class SqueezeNet(nn.Module):
    """Up to the last fire module, averaged over the image: 512 features."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 3, stride=2, padding=1)
        for number, widths in FIRES.items():
            self.add_module(f"fire{number}", Fire(*widths))
        self.mean: Tensor
        self.register_buffer("mean", torch.tensor(MEAN_BGR)[:, None, None], persistent=False)

    def forward(self, images: Tensor) -> Tensor:  # (B, 3, 227, 227) RGB in 0..1 -> (B, 512)
        """Features of ``images``."""
        x = functional.relu(self.conv1(images.flip(1) * 255 - self.mean))
        x = functional.max_pool2d(x, 3, stride=2)
        for number in FIRES:
            if number in POOLED:
                x = functional.max_pool2d(x, 3, stride=2)
            x = self.get_submodule(f"fire{number}")(x)
        return x.mean(dim=(2, 3))


def make_squeeze(path: Path | None = None) -> Extractor:
    """The extractor ``squeeze`` from the weights at ``path`` (default: the package ``ndf``).

    Raises:
        MissingExtraError: if no path is given and ``ndf`` is not installed.
        FormatError: if the file is not what ``ndf`` ships.
    """
    network, digest = load_squeezenet(path)
    return Extractor("squeeze", 512, digest, SIZE, network)


def load_squeezenet(path: Path | None = None) -> tuple[SqueezeNet, str]:
    """The frozen network and the SHA-256 of its weights; ``path`` and errors as in :func:`make_squeeze`."""
    if path is None:
        folder = package_folder("ndf", "the pretrained network SqueezeNet")
        path = folder / "example_models" / "weights" / "squeezenet_weights.pkl"
    network = SqueezeNet()
    digest = _digest(path)
    network.load_state_dict(_cached(digest, network) or _converted(path, digest, network))
    return network.eval().requires_grad_(False), digest


def _digest(path: Path) -> str:
    try:
        return sha256(path)
    except OSError as error:
        raise FormatError(f"cannot read the SqueezeNet weights {path}: {error.strerror}; reinstall ndf") from error


def _cache_file(digest: str) -> Path:
    """Where the converted weights of the pickle with this SHA-256 are kept."""
    return cache_folder() / f"squeezenet-{digest[:16]}.safetensors"


def _cached(digest: str, network: nn.Module) -> dict[str, Tensor] | None:
    """The converted weights of an earlier use; None if there are none that fit."""
    try:
        state = load_file(_cache_file(digest))
    except (OSError, SafetensorError):
        return None
    wanted = {name: value.shape for name, value in network.state_dict().items()}
    return state if {name: value.shape for name, value in state.items()} == wanted else None


def _converted(path: Path, digest: str, network: nn.Module) -> dict[str, Tensor]:
    """The weights of the pickle at ``path``, kept as safetensors for the next use where that is possible."""
    state = _state_dict(read_keras_weights(path), network, path)
    try:
        with atomic_path(_cache_file(digest)) as temporary:
            save_file(state, temporary)
    except (HgsError, SafetensorError) as error:
        logger.info("the converted SqueezeNet weights are not kept: %s", error)
    return state


def _state_dict(weights: dict[str, list[Any]], network: nn.Module, path: Path) -> dict[str, Tensor]:
    """Torch's names and layout of Keras' layers (``fire2/squeeze1x1``: [HWIO kernel, bias])."""
    state = {}
    for name, parameter in network.state_dict().items():
        layer, kind = name.rsplit(".", 1)
        try:
            array = weights[layer.replace(".", "/")][kind == "bias"].array()
        except (AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
            raise FormatError(f"{path} has no usable {kind} of layer {layer}; reinstall ndf") from error
        if array.ndim == 4:
            array = array.transpose(3, 2, 0, 1)  # HWIO -> OIHW
        if array.shape != tuple(parameter.shape) or not np.isfinite(array).all():
            raise FormatError(
                f"{path}: {name} is {array.shape}; expected finite {tuple(parameter.shape)}; reinstall ndf"
            )
        state[name] = torch.from_numpy(np.array(array, order="C"))
    return state
