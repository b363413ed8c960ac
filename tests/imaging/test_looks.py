"""Scenes dressed to show how they are built."""

from __future__ import annotations

import pytest
import torch

from hgs_toolkit.encoding import dc_to_rgb, logits_to_opacities
from hgs_toolkit.errors import ConfigError
from hgs_toolkit.gaussians import BACKGROUND_LEVEL, GaussianHierarchy
from hgs_toolkit.imaging.looks import LEVEL_COLORS, anchor_balls, faded, grown, opaque, painted_by_level, subtree
from hgs_toolkit.model.generator import Generator
from hgs_toolkit.sampling import sample


def test_a_subtree_is_the_root_and_all_that_descends_from_it(scene: GaussianHierarchy) -> None:
    part = subtree(scene, 2)  # 4 roots of 4 children of 4 each
    assert part.level_counts == [1, 4, 16]
    assert torch.equal(part.means[0, 0], scene.means[0, 2])
    assert (part.parent[1:] >= 0).all()
    assert subtree(scene, 5).level_counts == [0, 1, 4]
    assert subtree(scene, 84).num_gaussians == 1  # of the background


def test_subtrees_of_all_roots_are_the_tree(scene: GaussianHierarchy) -> None:
    assert sum(subtree(scene, root).num_gaussians for root in range(4)) == 84


@pytest.mark.parametrize("root", [-1, 89])
def test_a_root_that_does_not_exist_is_refused(root: int, scene: GaussianHierarchy) -> None:
    with pytest.raises(ConfigError, match=f"Gaussian {root}; expected 0 to 88"):
        subtree(scene, root)


def test_opaque_and_faded_change_opacities_only(scene: GaussianHierarchy) -> None:
    assert (logits_to_opacities(opaque(scene).opacity_logits) > 1 - 1e-6).all()
    half = faded(scene, 0.5)
    torch.testing.assert_close(
        logits_to_opacities(half.opacity_logits), logits_to_opacities(scene.opacity_logits) / 2, atol=1e-6, rtol=0
    )
    assert torch.equal(half.means, scene.means)


def test_paint_says_the_level(scene: GaussianHierarchy) -> None:
    colors = dc_to_rgb(painted_by_level(scene).sh[0, :, 0])
    for level in range(BACKGROUND_LEVEL, 3):
        expected = torch.tensor(LEVEL_COLORS[level + 1])
        torch.testing.assert_close(colors[scene.level == level][0], expected)


def test_anchors_are_round_opaque_and_smaller_from_level_to_level(tiny_model: Generator) -> None:
    balls = anchor_balls(sample(tiny_model, [0]), radius=1.0)
    assert balls.num_gaussians == 8 + 32
    sizes = balls.log_scales[0].exp()
    assert (sizes == sizes[:, :1]).all()
    assert sizes[balls.level == 0].min() > sizes[balls.level == 1].max()


def test_a_scene_without_anchors_says_so(scene: GaussianHierarchy) -> None:
    with pytest.raises(ConfigError, match="carries no anchors"):
        anchor_balls(scene, 1.0)


def test_growth_ends_with_the_scene_and_begins_with_its_background(scene: GaussianHierarchy) -> None:
    assert grown(scene, 3.0) is scene
    assert (grown(scene, 0.0).level == BACKGROUND_LEVEL).all()
    for stage in (1, 2):
        part, expected = grown(scene, stage), scene.levels(range(stage))
        torch.testing.assert_close(part.means, expected.means)
        torch.testing.assert_close(part.opacity_logits, expected.opacity_logits, atol=1e-4, rtol=1e-4)


def test_children_start_at_their_parents_and_are_invisible_there(scene: GaussianHierarchy) -> None:
    early = grown(scene, 1.01)
    children = early.level == 1
    torch.testing.assert_close(early.means[0, children], early.means[0, early.parent[children]], atol=2e-3, rtol=0)
    assert logits_to_opacities(early.opacity_logits[0, children]).max() < 1e-3


def test_growth_is_continuous(scene: GaussianHierarchy) -> None:
    before, after = grown(scene, 1.6), grown(scene, 1.6001)
    for name, value in before.parameters().items():
        torch.testing.assert_close(value, getattr(after, name), atol=5e-3, rtol=1e-3)
