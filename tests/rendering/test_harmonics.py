"""View-dependent colour against gsplat's PyTorch code and against what spherical harmonics are."""

from __future__ import annotations

import pytest
import torch

from hgs_toolkit.cameras import orbit
from hgs_toolkit.encoding import dc_to_rgb
from hgs_toolkit.rendering.harmonics import sh_basis, sh_to_rgb

gsplat_torch = pytest.importorskip("gsplat.cuda._torch_impl")


def unit_vectors(count: int) -> torch.Tensor:
    vectors = torch.randn(count, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return torch.nn.functional.normalize(vectors, dim=-1)


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_the_basis_is_gsplats(degree: int) -> None:
    directions = unit_vectors(200)
    expected = gsplat_torch._eval_sh_bases_fast((degree + 1) ** 2, directions)
    torch.testing.assert_close(sh_basis(directions, degree), expected, atol=1e-12, rtol=0)


def test_the_basis_is_orthonormal_on_the_sphere() -> None:
    """Integrated by Gauss-Legendre in z and evenly in longitude, exact for these polynomials."""
    nodes, weights = (torch.from_numpy(v) for v in __import__("numpy").polynomial.legendre.leggauss(8))
    angle = torch.arange(16, dtype=torch.float64) * (2 * torch.pi / 16)
    z, phi = torch.meshgrid(nodes, angle, indexing="ij")
    radius = (1 - z * z).sqrt()
    basis = sh_basis(torch.stack([radius * phi.cos(), radius * phi.sin(), z], -1), 3)  # (8, 16, 16)
    gram = torch.einsum("zpi,zpj,z->ij", basis, basis, weights) * (2 * torch.pi / 16)
    torch.testing.assert_close(gram, torch.eye(16, dtype=torch.float64), atol=1e-12, rtol=0)


def test_degree_zero_is_the_stored_colour_from_everywhere_and_never_negative() -> None:
    dc = torch.randn(2, 5, 1, 3, generator=torch.Generator().manual_seed(1)) * 3
    views = orbit(4).expand(2, 4).viewmats
    rgb = sh_to_rgb(dc, torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(2)), views, 0)
    expected = dc_to_rgb(dc[:, None, :, 0]).clamp_min(0).expand(2, 4, 5, 3)
    assert bool((expected == 0).any())
    torch.testing.assert_close(rgb, expected)


def test_colours_are_seen_along_the_ray_from_the_camera_to_the_gaussian() -> None:
    coefficients = torch.zeros(1, 1, 4, 3)
    coefficients[..., 2, 0] = 1.0  # + C1 z
    cameras = orbit(2, pitch=0.0)  # at +z and at -z, looking along -z and +z
    rgb = sh_to_rgb(coefficients, torch.zeros(1, 1, 3), cameras.expand(1, 2).viewmats, 1)
    torch.testing.assert_close(rgb[0, :, 0, 0], 0.5 + 0.4886025 * torch.tensor([-1.0, 1.0]), atol=1e-5, rtol=0)
