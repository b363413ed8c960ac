"""View-dependent colour against gsplat's PyTorch code and against what spherical harmonics are."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from hgs_toolkit.cameras import orbit
from hgs_toolkit.encoding import SH_C0, dc_to_rgb
from hgs_toolkit.rendering import rasterize
from hgs_toolkit.rendering.harmonics import sh_basis, sh_to_rgb
from tests.rendering.conftest import Drawing, Studio, differentiate

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


@pytest.fixture(scope="module")
def views() -> dict[str, torch.Tensor]:
    """Two scenes of 150 Gaussians, coefficients of degree 3, so large that colours are clamped, two cameras each."""
    generator = torch.Generator().manual_seed(3)
    return Studio.scene(2, 150, 2) | {"colors": torch.randn(2, 150, 16, 3, generator=generator) * 0.4}


def evaluated_by_torch(inputs: dict[str, torch.Tensor], degree: int, dtype: torch.dtype, backend: str) -> Drawing:
    """Drawn from the colours that torch finds, with gradients to all that :meth:`Studio.draw` differentiates."""
    leaves: dict[str, Any] = {
        name: value.to(dtype).clone().requires_grad_(name != "Ks") for name, value in inputs.items()
    }
    colors = sh_to_rgb(leaves["colors"], leaves["means"], leaves["viewmats"], degree)
    image, alpha = rasterize(**(leaves | {"colors": colors}), width=40, height=24, backend=backend)
    differentiate(image, alpha)
    return Drawing(image.detach(), alpha.detach(), {k: v.grad for k, v in leaves.items() if v.grad is not None})


@pytest.mark.parametrize("per_camera", [False, True], ids=["shared", "per-camera"])
@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_kernels_see_the_colours_that_torch_sees_and_so_do_their_gradients(
    views: dict[str, torch.Tensor], degree: int, per_camera: bool
) -> None:
    inputs = dict(views)
    if per_camera:
        inputs["colors"] = torch.stack([inputs["colors"], inputs["colors"].flip(2)], dim=1)
    plain = evaluated_by_torch(inputs, degree, torch.float32, "cpu")
    exact = evaluated_by_torch(inputs, degree, torch.float64, "torch")
    ours = Studio.draw(inputs, backend="cpu", sh_degree=degree)
    torch.testing.assert_close(ours.image, plain.image, atol=2e-6, rtol=0)
    assert torch.equal(ours.alpha, plain.alpha)
    assert ours.grads.keys() == exact.grads.keys()
    for name, grad in exact.grads.items():
        if name == "viewmats":
            grad = grad.index_fill(-2, torch.tensor(3), 0)  # the kernels leave out the last row, which is constant
            ours.grads[name].index_fill_(-2, torch.tensor(3), 0)
        error = (ours.grads[name].double() - grad).norm() / grad.norm()
        assert float(error) < 3e-6, name
    assert not ours.grads["colors"][..., (degree + 1) ** 2 :, :].any()


def test_harmonics_give_the_same_bits_for_any_number_of_threads(views: dict[str, torch.Tensor]) -> None:
    drawn = []
    for threads in (1, 2, 5):
        torch.set_num_threads(threads)
        drawn.append(Studio.draw(views, backend="cpu", sh_degree=3, render_mode="RGB+D"))
    for other in drawn[1:]:
        assert torch.equal(other.image, drawn[0].image)
        for name, grad in drawn[0].grads.items():
            assert torch.equal(grad, other.grads[name]), name


def test_a_gaussian_whose_colour_is_clamped_takes_no_gradient_and_black_itself_does(
    views: dict[str, torch.Tensor],
) -> None:
    black = torch.tensor(-0.5) / SH_C0
    assert float(SH_C0 * black + 0.5) == 0
    for below, moved in ((0.0, True), (1e-3, False)):
        colors = (black - below).expand(2, 150, 1, 3)
        drawn = Studio.draw(views | {"colors": colors}, backend="cpu", sh_degree=0)
        expected = evaluated_by_torch(views | {"colors": colors}, 0, torch.float32, "cpu")
        torch.testing.assert_close(drawn.grads["colors"], expected.grads["colors"], atol=1e-5, rtol=1e-5)
        assert bool(drawn.grads["colors"].any()) == moved


@pytest.mark.parametrize("backend", ["cpu", "torch"])
def test_features_travel_with_the_colours_and_equal_a_drawing_of_their_own(
    views: dict[str, torch.Tensor], backend: str
) -> None:
    features = torch.randn(2, 2, 150, 4, generator=torch.Generator().manual_seed(5))
    size: dict[str, Any] = {"width": 40, "height": 24, "backend": backend}
    scenes: dict[str, Any] = dict(views)
    both, alpha = rasterize(**scenes, features=features, **size, sh_degree=2, render_mode="RGB+ED")
    image, alone_alpha = rasterize(**scenes, **size, sh_degree=2, render_mode="RGB+ED")
    given = {name: value for name, value in scenes.items() if name != "backgrounds"} | {"colors": features}
    alone, _ = rasterize(**given, **size)
    assert torch.equal(alpha, alone_alpha)
    torch.testing.assert_close(both, torch.cat([image[..., :3], alone, image[..., 3:]], -1), atol=1e-6, rtol=0)
