"""Frames: turning a scene must turn what it looks like, exactly, and turning it twice must change nothing."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.special import sph_harm_y

from hgs_toolkit.encoding import quats_to_rotmats
from hgs_toolkit.errors import FormatError
from hgs_toolkit.exporters.splats.transform import convert_frame
from hgs_toolkit.gaussians import GaussianHierarchy

TURN = torch.diag(torch.tensor([1.0, -1.0, -1.0]))

SceneFactory = Callable[..., GaussianHierarchy]


def covariances(scene: GaussianHierarchy) -> torch.Tensor:
    factor = quats_to_rotmats(scene.quats) * scene.log_scales.exp()[..., None, :]
    return factor @ factor.mT


def real_harmonics(directions: torch.Tensor, degree: int) -> torch.Tensor:
    """(M, (degree + 1)^2) by scipy: with Condon-Shortley phase, as the 3D-GS basis."""
    x, y, z = directions.double().numpy().T
    theta, phi = np.arccos(z), np.arctan2(y, x)
    values = []
    for n in range(degree + 1):
        for m in range(-n, n + 1):
            complex_value = sph_harm_y(n, abs(m), theta, phi)
            part = complex_value.imag if m < 0 else complex_value.real
            values.append(part * (math.sqrt(2) if m else 1))
    return torch.from_numpy(np.stack(values, axis=-1))


def test_means_turn_by_half_a_turn_about_x(scene: GaussianHierarchy) -> None:
    assert torch.equal(convert_frame(scene, "y_up", "rdf").means, scene.means @ TURN)


def test_ellipsoids_turn_with_the_frame(scene: GaussianHierarchy) -> None:
    torch.testing.assert_close(covariances(convert_frame(scene, "y_up", "rdf")), TURN @ covariances(scene) @ TURN.mT)


@pytest.mark.parametrize("degree", [1, 2, 3])
def test_the_colour_seen_from_a_turned_direction_is_unchanged(degree: int, scene_factory: SceneFactory) -> None:
    scene = scene_factory((8,), degree=degree)
    turned = convert_frame(scene, "y_up", "rdf")
    directions = torch.nn.functional.normalize(torch.randn(50, 3, generator=torch.Generator().manual_seed(1)), dim=-1)
    before = torch.einsum("mk,nkc->mnc", real_harmonics(directions, degree), scene.sh[0].double())
    after = torch.einsum("mk,nkc->mnc", real_harmonics(directions @ TURN, degree), turned.sh[0].double())
    torch.testing.assert_close(after, before)


def test_turning_there_and_back_is_bitwise_the_identity(scene_factory: SceneFactory) -> None:
    scene = scene_factory(degree=3).replace(anchors=scene_factory((4, 16)))
    back = convert_frame(convert_frame(scene, "y_up", "rdf"), "rdf", "y_up")
    assert back.anchors is not None
    assert scene.anchors is not None
    for name, value in scene.parameters().items():
        assert torch.equal(getattr(back, name), value), name
    assert torch.equal(back.anchors.means, scene.anchors.means)


def test_an_unknown_frame_is_refused_by_name(scene: GaussianHierarchy) -> None:
    with pytest.raises(FormatError, match="unknown frame 'z_down'; expected one of: rdf, y_up"):
        convert_frame(scene, "y_up", "z_down")
