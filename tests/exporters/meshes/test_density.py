"""The sum of Gaussians on a grid: against brute force, and the compiled kernel against its torch twin."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from hgs_toolkit.exporters.meshes.density import sum_on_grid
from hgs_toolkit.exporters.meshes.grid import FLOOR, SUPPORT, Grid, fit_grid
from hgs_toolkit.exporters.meshes.visible import VisibleGaussians, visible_gaussians
from hgs_toolkit.gaussians import GaussianHierarchy
from tests.exporters.meshes import shapes
from tests.exporters.meshes.shapes import cover


def random_splats(count: int = 400) -> VisibleGaussians:
    generator = torch.Generator().manual_seed(4)
    scene = GaussianHierarchy(
        means=torch.rand(1, count, 3, generator=generator), quats=torch.randn(1, count, 4, generator=generator),
        log_scales=torch.randn(1, count, 3, generator=generator) * 0.4 - 3, sh=torch.zeros(1, count, 1, 3),
        opacity_logits=torch.randn(1, count, generator=generator) + 1,
    )  # fmt: skip
    return visible_gaussians(scene)


def brute_force(splats: VisibleGaussians, grid: Grid, points: Any) -> Any:
    """(M,) summed opacity at world positions (M, 3), every Gaussian at every point, float64."""
    covariances = splats.covariances(FLOOR * grid.voxel).astype(np.float64)
    offsets = points[:, None] - splats.means[None].astype(np.float64)  # (M, N, 3)
    q = np.einsum("mni,nij,mnj->mn", offsets, np.linalg.inv(covariances), offsets)
    return (splats.opacities * np.exp(-0.5 * q) * (q <= SUPPORT**2)).sum(axis=1)


@pytest.mark.parametrize("device", ["numba", "torch"])
def test_the_density_is_the_sum_of_all_gaussians_at_a_thousand_points(device: str) -> None:
    splats = random_splats()
    grid = fit_grid(splats, 64)
    density = density_by(device, splats, splats.opacities[:, None], grid)[0]
    rng = np.random.default_rng(0)
    near = grid.coordinates(splats.means[rng.integers(0, len(splats), 1000)]) + rng.uniform(-4, 4, (1000, 3))
    index = np.clip(np.rint(near).astype(int), 0, np.array(grid.shape) - 1)
    expected = brute_force(splats, grid, grid.positions(index.astype(float)))
    np.testing.assert_allclose(density[tuple(index.T)], expected, rtol=2e-3, atol=1e-6)
    assert np.count_nonzero(expected) > 500


def density_by(backend: str, splats: VisibleGaussians, values: Any, grid: Grid) -> Any:
    if backend == "numba":
        return sum_on_grid(splats, values, grid)
    from hgs_toolkit.exporters.meshes.density import on_grid, sum_torch

    centres, precisions, reach = map(torch.from_numpy, on_grid(splats, grid, FLOOR))
    return sum_torch(centres, precisions, reach, torch.from_numpy(values), grid.shape).numpy()


@pytest.mark.parametrize("channels", [1, 3])
def test_the_kernel_and_its_torch_twin_agree(channels: int) -> None:
    splats = visible_gaussians(cover(shapes.TORUS, 3000))
    grid = fit_grid(splats, 48)
    values = np.random.default_rng(0).standard_normal((len(splats), channels)).astype(np.float32)
    a, b = (density_by(backend, splats, values, grid) for backend in ("numba", "torch"))
    np.testing.assert_allclose(a, b, atol=2e-5)


def test_gaussians_beyond_the_grid_are_cut_off() -> None:
    splats = random_splats()
    whole = fit_grid(splats, 48)
    x, y, z = whole.positions(np.full(3, 12.0))
    part = Grid((x, y, z), whole.voxel, (16, 20, 17))
    opacities = splats.opacities[:, None]
    inside = sum_on_grid(splats, opacities, whole)[0][12:28, 12:32, 12:29]
    for backend in ("numba", "torch"):
        np.testing.assert_allclose(density_by(backend, splats, opacities, part)[0], inside, atol=2e-5)


def test_memory_of_the_torch_twin_is_bounded_by_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    splats = random_splats()
    grid = fit_grid(splats, 32)
    whole = density_by("torch", splats, splats.opacities[:, None], grid)
    monkeypatch.setattr("hgs_toolkit.exporters.meshes.density.CHUNK", 5000)
    np.testing.assert_allclose(density_by("torch", splats, splats.opacities[:, None], grid), whole, atol=1e-5)
