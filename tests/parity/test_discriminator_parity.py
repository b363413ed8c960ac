"""With the authors' weights our StyleGAN2 discriminator judges as theirs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from hgs_toolkit.config import DiscriminatorConfig
from hgs_toolkit.model.discriminator_base import DiscriminatorOutput
from hgs_toolkit.model.stylegan2_discriminator import StyleGAN2Discriminator, reference_names
from tests.parity.reference_weights import reference_state

Goldens = Mapping[str, NDArray[Any]]
ABSOLUTE = 1e-4


@pytest.fixture(scope="module")
def judged(goldens: Goldens) -> DiscriminatorOutput:
    config = DiscriminatorConfig(resolution=64)
    names = reference_names(64)
    with torch.random.fork_rng(devices=[]):
        discriminator = StyleGAN2Discriminator(config)
    state = {names[name.removeprefix("D.")]: value for name, value in reference_state(discriminator=True).items()}
    discriminator.load_state_dict(state)
    with torch.inference_mode():
        output = discriminator(torch.from_numpy(goldens["d_image"]), torch.from_numpy(goldens["d_label"]))
    assert isinstance(output, DiscriminatorOutput)
    return output


def test_logits(judged: DiscriminatorOutput, goldens: Goldens) -> None:
    np.testing.assert_allclose(judged.logits, goldens["d_logits"][:, 0], rtol=0, atol=ABSOLUTE)


def test_pose_features(judged: DiscriminatorOutput, goldens: Goldens) -> None:
    assert judged.pose_features is not None
    np.testing.assert_allclose(judged.pose_features, goldens["d_pose_feature"], rtol=0, atol=ABSOLUTE)


def test_camera_features(judged: DiscriminatorOutput, goldens: Goldens) -> None:
    assert judged.camera_features is not None
    np.testing.assert_allclose(judged.camera_features, goldens["d_camera_feature"], rtol=0, atol=ABSOLUTE)
