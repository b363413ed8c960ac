"""SqueezeNet's activations at three resolutions: what the projected discriminator's heads judge."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from hgs_toolkit.metrics.squeezenet import FIRES, POOLED, SqueezeNet, load_squeezenet
from hgs_toolkit.model.projected_discriminator import FrozenFeatures

TAPS = {3: 80.0, 5: 60.0, 9: 10.0}
"""Numbers of the fire modules whose activations are used, and their root mean square on rendered images."""


class SqueezeTaps(FrozenFeatures):
    """Activations at a quarter, an eighth and a sixteenth of the images' size, which is a multiple of 16."""

    widths = tuple(2 * FIRES[number][2] for number in TAPS)

    def __init__(self, network: SqueezeNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> list[Tensor]:  # (B, 3, S, S) RGB in 0..1 -> (B, C, S / 4 ... S / 16, same)
        """Features of ``images``, fine to coarse."""
        network, found = self.network, []
        x = functional.relu(network.conv1(images.flip(1) * 255 - network.mean))
        x = functional.max_pool2d(x, 3, stride=2, ceil_mode=True)
        for number in FIRES:
            if number in POOLED:
                x = functional.max_pool2d(x, 3, stride=2, ceil_mode=True)
            x = network.get_submodule(f"fire{number}")(x)
            if number in TAPS:
                found.append(x / TAPS[number])
        return found


def make_squeeze_taps() -> SqueezeTaps:
    """The network with the weights that the package ``ndf`` carries.

    Raises:
        MissingExtraError: if ``ndf`` is not installed.
        FormatError: if its file is not what it ships.
    """
    network, _ = load_squeezenet()
    return SqueezeTaps(network)
