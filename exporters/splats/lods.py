"""Levels of detail for the formats that hold several: each is a scene that is complete by itself."""

from __future__ import annotations

from dataclasses import dataclass

from hgs_toolkit.exporters.splats.merge_tree import cut, merge_tree
from hgs_toolkit.gaussians import GaussianHierarchy

RATIO = 4
"""Ratio of the numbers of Gaussians of two levels that are merged from a flat scene; the generator's own ratio."""

LEAST = 256
"""Number of Gaussians below which no level of a flat scene is merged."""


@dataclass(frozen=True)
class LevelOfDetail:
    """One level of detail: its name, such as ``levels_0_2``, and its scene."""

    name: str
    scene: GaussianHierarchy


def levels_of_detail(scene: GaussianHierarchy) -> list[LevelOfDetail]:
    """The levels of detail of a batch of one, the coarsest first; the last one is ``scene``.

    Those of a tree are the unions of its levels 0 to k, since the generator draws all its levels together; each
    includes the background. Those of a flat scene are made by merging neighbours.
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
