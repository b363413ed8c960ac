"""Files within a budget of bytes: as large as allowed, the important Gaussians kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from hgs_toolkit.errors import FormatError
from hgs_toolkit.exporters.budget import importance_order, scene_within
from hgs_toolkit.exporters.table import export, load
from hgs_toolkit.gaussians import GaussianHierarchy
from tests.exporters.splats.accuracy import reference_scene

SceneFactory = Callable[..., GaussianHierarchy]


def test_coarse_levels_and_what_covers_much_come_first(scene_factory: SceneFactory) -> None:
    scene = scene_factory((4, 16, 64), background=3)
    order = importance_order(scene)
    assert sorted(order.tolist()) == list(range(scene.num_gaussians))
    assert scene.level[order].tolist() == sorted(scene.level.tolist())
    flat = reference_scene(0, 20)
    large = flat.replace(log_scales=torch.linspace(-5, -1, 20)[None, :, None].expand(1, 20, 3),
                         opacity_logits=torch.zeros(1, 20))  # fmt: skip
    assert importance_order(large).tolist() == list(range(19, -1, -1))


@pytest.mark.parametrize("suffix", [".spz", ".sog", ".compressed.ply", ".splat", ".rad", ".ply"])
def test_a_file_is_as_large_as_the_budget_allows(suffix: str, tmp_path: Path) -> None:
    scene = reference_scene(0, 2000)
    export(scene, tmp_path / f"whole{suffix}")
    budget = (tmp_path / f"whole{suffix}").stat().st_size // 2
    kept = scene_within(scene, f"a{suffix}", budget, export)
    export(kept, tmp_path / f"a{suffix}")
    assert 0.9 * budget <= (tmp_path / f"a{suffix}").stat().st_size <= budget
    assert load(tmp_path / f"a{suffix}").num_gaussians == kept.num_gaussians
    chosen = set(importance_order(scene)[: kept.num_gaussians].tolist())
    assert torch.equal(kept.means[0], scene.means[0, sorted(chosen)])


def test_a_scene_that_fits_is_left_as_it_is(scene: GaussianHierarchy) -> None:
    assert scene_within(scene, "a.spz", 10**9, export) is scene


def test_anchors_go_before_gaussians(scene: GaussianHierarchy, tmp_path: Path) -> None:
    """Nobody sees them, and they are nearly as large as the scene."""
    told = scene.replace(anchors=scene.replace(anchors=None))
    export(scene, tmp_path / "bare.hgs")
    kept = scene_within(told, "a.hgs", (tmp_path / "bare.hgs").stat().st_size, export)
    assert kept.anchors is None
    assert kept.num_gaussians == scene.num_gaussians


def test_a_file_of_some_levels_has_their_anchors(scene: GaussianHierarchy, tmp_path: Path) -> None:
    told = scene.replace(anchors=scene.levels([0, 1], background=False))
    export(told, tmp_path / "a.hgs", levels=[1])
    anchors = load(tmp_path / "a.hgs").anchors
    assert anchors is not None
    assert anchors.level_counts[1:] == scene.level_counts[1:2]
    export(told, tmp_path / "b.hgs", levels=[2])
    assert load(tmp_path / "b.hgs").anchors is None


def test_a_budget_below_one_gaussian_is_refused(scene: GaussianHierarchy) -> None:
    with pytest.raises(FormatError, match=r"one Gaussian takes \d+ bytes of a\.ply"):
        scene_within(scene, "a.ply", 100, export)
