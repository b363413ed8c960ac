"""Levels of detail, each a scene that is complete by itself, for formats that hold several."""

from __future__ import annotations

from dataclasses import dataclass

from hgs_toolkit.exporters.splats.merge_tree import cut, merge_tree
from hgs_toolkit.gaussians import GaussianHierarchy

RATIO = 4
"""Gaussians of a level by those of the next coarser one, where a flat scene is merged: the generator's own."""

LEAST = 256
"""Gaussians of the coarsest level of a flat scene, or a few more."""


@dataclass(frozen=True)
class LevelOfDetail:
    """One level: a name such as ``levels_0_2``, and the scene."""

    name: str
    scene: GaussianHierarchy


def levels_of_detail(scene: GaussianHierarchy) -> list[LevelOfDetail]:
    """The levels of detail of a batch of one, the coarsest first; the last is ``scene``.

    Of a tree they are the unions of its levels 0 to k, since the generator draws all its levels together; the
    background belongs to each. A flat scene is merged into fewer and fewer Gaussians.
    """
    depths = [depth for depth, count in enumerate(scene.level_counts) if count]
    if len(depths) > 1:
        return [LevelOfDetail(f"levels_0_{depth}", scene.levels(range(depth + 1))) for depth in depths]
    whole = LevelOfDetail(f"splats_{scene.num_gaussians}", scene)
    counts: list[int] = []
    while (scene.num_gaussians // RATIO ** (len(counts) + 1)) >= LEAST:
        counts.append(scene.num_gaussians // RATIO ** (len(counts) + 1))
    if not counts:
        return [whole]
    tree = merge_tree(scene)
    return [LevelOfDetail(f"splats_{count}", cut(tree, scene, count)) for count in reversed(counts)] + [whole]
