"""With the authors' weights our generator makes the authors' Gaussians."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from hgs_toolkit.cameras import Cameras
from hgs_toolkit.gaussians import GaussianHierarchy
from hgs_toolkit.model.generator import Generator
from tests.parity.reference_weights import normal_of_name

Goldens = Mapping[str, NDArray[Any]]

ABSOLUTE = 1e-4
RELATIVE = 1e-4
FOREGROUND = 87296
PARAMETERS = ("means", "log_scales", "quats_wxyz", "sh_dc", "opacity_logits")


def parameter(scene: GaussianHierarchy, name: str) -> Tensor:
    """A parameter (B, N, ·) under the golden file's name."""
    return {
        "means": scene.means,
        "log_scales": scene.log_scales,
        "quats_wxyz": scene.quats,
        "sh_dc": scene.sh[:, :, 0],
        "opacity_logits": scene.opacity_logits.unsqueeze(-1),
    }[name]


def assert_equal(ours: Tensor, theirs: NDArray[Any]) -> None:
    np.testing.assert_allclose(ours.numpy(), theirs, rtol=0, atol=ABSOLUTE)


def test_the_latents_follow_the_rule_of_names(goldens: Goldens) -> None:
    np.testing.assert_array_equal(goldens["z"], normal_of_name("z", (2, 512)))


def test_mapping_gives_the_authors_w(reference_w: Tensor, goldens: Goldens) -> None:
    assert_equal(reference_w, goldens["w"])


def test_truncation_pulls_w_as_theirs(reference_generator: Generator, goldens: Goldens) -> None:
    z, label = torch.from_numpy(goldens["z"]), torch.from_numpy(goldens["label"])
    assert_equal(reference_generator.map(z, label, psi=0.7), goldens["w_psi07"])


def test_their_viewing_direction_is_the_cameras_forward_axis(goldens: Goldens) -> None:
    assert_equal(Cameras.from_labels(torch.from_numpy(goldens["label"])).forward, goldens["camera_dir"])


@pytest.mark.parametrize("name", PARAMETERS)
@pytest.mark.parametrize("level", range(4))
def test_anchors_of_every_level(reference_scene: GaussianHierarchy, goldens: Goldens, level: int, name: str) -> None:
    anchors = reference_scene.anchors
    assert anchors is not None
    index = torch.from_numpy(goldens["anchor_index"])
    here = anchors.level[index] == level
    assert here.any()
    assert_equal(parameter(anchors, name)[:, index[here]], goldens[f"anchor_{name}"][:, here.numpy()])


@pytest.mark.parametrize("name", PARAMETERS)
@pytest.mark.parametrize("level", range(5))
def test_gaussians_of_every_level(reference_scene: GaussianHierarchy, goldens: Goldens, level: int, name: str) -> None:
    index = torch.from_numpy(goldens["gaussian_index"])
    here = reference_scene.level[index] == level
    assert here.any()
    assert_equal(parameter(reference_scene, name)[:, index[here]], goldens[f"fg_{name}"][:, here.numpy()])


@pytest.mark.parametrize("name", PARAMETERS)
def test_background(reference_scene: GaussianHierarchy, goldens: Goldens, name: str) -> None:
    index = FOREGROUND + torch.from_numpy(goldens["background_index"])
    assert (reference_scene.level[FOREGROUND:] == -1).all()
    assert_equal(parameter(reference_scene, name)[:, index], goldens[f"bg_{name}"])


@pytest.mark.parametrize("name", PARAMETERS)
def test_sums_over_all_foreground_gaussians(reference_scene: GaussianHierarchy, goldens: Goldens, name: str) -> None:
    values = parameter(reference_scene, name)[:, :FOREGROUND].double()
    np.testing.assert_allclose(values.sum(1), goldens[f"fg_{name}_sum64"], rtol=RELATIVE)
    np.testing.assert_allclose(values.square().sum(1), goldens[f"fg_{name}_sumsq64"], rtol=RELATIVE)


def test_level_counts(reference_scene: GaussianHierarchy, goldens: Goldens) -> None:
    assert reference_scene.level_counts == goldens["level_counts"].tolist()
    assert sum(reference_scene.level_counts) == FOREGROUND
