"""Stored and activated parameters: each conversion is undone by its inverse and stays finite at the ends."""

import pytest
import torch

from hgs_toolkit import encoding


def test_conversions_round_trip() -> None:
    values = torch.linspace(0.01, 0.99, 50, dtype=torch.float64)
    torch.testing.assert_close(encoding.logits_to_opacities(encoding.opacities_to_logits(values)), values)
    torch.testing.assert_close(encoding.log_scales_to_scales(encoding.scales_to_log_scales(values)), values)
    torch.testing.assert_close(encoding.dc_to_rgb(encoding.rgb_to_dc(values)), values)


def test_the_ends_of_every_range_stay_finite() -> None:
    assert encoding.opacities_to_logits(torch.tensor([0.0, 1.0])).tolist() == [-16, 16]
    assert encoding.scales_to_log_scales(torch.tensor([0.0])).isfinite().all()


def test_zero_dc_is_mid_grey_as_in_3d_gs() -> None:
    assert encoding.dc_to_rgb(torch.zeros(1)).item() == 0.5


@pytest.mark.parametrize("degree", range(4))
def test_degree_and_number_of_harmonics_belong_together(degree: int) -> None:
    assert encoding.sh_degree(encoding.sh_bases(degree)) == degree


@pytest.mark.parametrize("bases", [0, 2, 5, 15])
def test_other_numbers_of_harmonics_are_refused(bases: int) -> None:
    with pytest.raises(ValueError, match="expected 1, 4, 9 or 16"):
        encoding.sh_degree(bases)


def test_rotation_matrices_are_proper_ignore_length_and_sign_and_compose() -> None:
    quats = torch.randn(20, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    rotation = encoding.quats_to_rotmats(quats)
    torch.testing.assert_close(rotation @ rotation.mT, torch.eye(3, dtype=torch.float64).expand(20, 3, 3))
    torch.testing.assert_close(torch.linalg.det(rotation), torch.ones(20, dtype=torch.float64))
    torch.testing.assert_close(encoding.quats_to_rotmats(-3 * quats), rotation)


def test_a_quarter_turn_about_z_takes_x_to_y() -> None:
    quarter = torch.tensor([0.5**0.5, 0.0, 0.0, 0.5**0.5])
    turned = encoding.quats_to_rotmats(quarter) @ torch.tensor([1.0, 0.0, 0.0])
    torch.testing.assert_close(turned, torch.tensor([0.0, 1.0, 0.0]))


def test_a_zero_quaternion_becomes_the_identity() -> None:
    quats = torch.tensor([[0.0, 0, 0, 0], [0, 3.0, 0, 4.0]])
    assert encoding.normalize_quats(quats).tolist() == [[1, 0, 0, 0], [0, pytest.approx(0.6), 0, pytest.approx(0.8)]]
