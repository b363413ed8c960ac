from __future__ import annotations

import pytest
import torch

from hgs_toolkit.cameras import frontal
from hgs_toolkit.config import GeneratorConfig
from hgs_toolkit.errors import ShapeError
from hgs_toolkit.model.mapping import MappingNetwork


@pytest.fixture
def posed() -> MappingNetwork:
    torch.manual_seed(0)
    return MappingNetwork(GeneratorConfig(z_dim=8, w_dim=6, pose_conditioned=True))


@pytest.fixture
def unposed() -> MappingNetwork:
    torch.manual_seed(0)
    return MappingNetwork(GeneratorConfig(z_dim=8, w_dim=6, pose_conditioned=False))


def test_only_the_direction_of_z_matters(unposed: MappingNetwork) -> None:
    z = torch.randn(4, 8)
    torch.testing.assert_close(unposed(z), unposed(3.0 * z), atol=1e-5, rtol=1e-5)


def test_an_unposed_network_ignores_labels(unposed: MappingNetwork) -> None:
    z = torch.randn(4, 8)
    assert torch.equal(unposed(z), unposed(z, torch.randn(4, 25)))


def test_a_posed_network_sees_the_label_and_assumes_the_frontal_camera(posed: MappingNetwork) -> None:
    z = torch.randn(2, 8)
    assert torch.equal(posed(z), posed(z, frontal(2.0).labels.expand(2, -1)))
    assert not torch.allclose(posed(z), posed(z, torch.randn(2, 25)))


def test_w_avg_moves_towards_the_mean_only_when_told(unposed: MappingNetwork) -> None:
    w = unposed(torch.randn(16, 8))
    assert torch.equal(unposed.w_avg, torch.zeros(6))
    unposed.update_w_avg(w)
    torch.testing.assert_close(unposed.w_avg, w.detach().mean(0) * 0.002)


def test_truncation_interpolates_between_the_average_and_w(unposed: MappingNetwork) -> None:
    unposed.w_avg.normal_()
    w = torch.randn(3, 6)
    assert torch.equal(unposed.truncate(w, 1.0), w)
    torch.testing.assert_close(unposed.truncate(w, 0.0), unposed.w_avg.expand(3, -1))
    torch.testing.assert_close(unposed.truncate(w, 0.5), (w + unposed.w_avg) / 2)


@pytest.mark.parametrize("shape", [(8,), (2, 7), (1, 2, 8)])
def test_z_of_another_shape_is_refused(unposed: MappingNetwork, shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match="expected"):
        unposed(torch.zeros(shape))


@pytest.mark.parametrize("shape", [(2, 24), (3, 25), (25,)])
def test_labels_of_another_shape_are_refused(posed: MappingNetwork, shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match="expected"):
        posed(torch.zeros(2, 8), torch.zeros(shape))
