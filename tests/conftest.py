"""Scenes that every area's tests can use."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from hgs_toolkit.gaussians import GaussianHierarchy

SceneFactory = Callable[..., GaussianHierarchy]


def make_scene(
    level_counts: tuple[int, ...] = (4, 16, 64), *, batch: int = 1, background: int = 0, degree: int = 0, seed: int = 0
) -> GaussianHierarchy:
    """Random Gaussians whose children follow their parents: child i of a level belongs to parent i * n_p // n."""
    generator = torch.Generator().manual_seed(seed)
    level, parent, start = [], [], 0
    for depth, count in enumerate(level_counts):
        above = level_counts[depth - 1] if depth else 0
        level += [depth] * count
        parent += [start - above + i * above // count if depth else -1 for i in range(count)]
        start += count
    count = start + background

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(batch, count, *shape, generator=generator)

    return GaussianHierarchy(
        means=normal(3) * 0.3,
        log_scales=normal(3) * 0.3 - 3,
        quats=normal(4),
        sh=normal((degree + 1) ** 2, 3),
        opacity_logits=normal(),
        level=torch.tensor(level + [-1] * background),
        parent=torch.tensor(parent + [-1] * background),
    )


@pytest.fixture
def scene_factory() -> SceneFactory:
    return make_scene


@pytest.fixture
def scene() -> GaussianHierarchy:
    """84 Gaussians in three levels and 5 of a background."""
    return make_scene(background=5)
