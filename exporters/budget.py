"""A splat file within a budget of bytes: the least important Gaussians go until it is as small as asked."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from hgs_toolkit.encoding import log_scales_to_scales, logits_to_opacities
from hgs_toolkit.errors import FormatError
from hgs_toolkit.exporters.splats.merge_tree import surface
from hgs_toolkit.gaussians import GaussianHierarchy

ENOUGH = 0.98
"""Share of the budget from which on a file is large enough."""

ATTEMPTS = 12
"""Greatest number of files that are written to find the largest one within the budget."""

Write = Callable[[GaussianHierarchy, Path], None]


def importance_order(scene: GaussianHierarchy) -> Tensor:
    """Indices (N,) of the Gaussians of a batch of one, the most important first.

    Coarser levels come before finer ones, after the background; within a level, the Gaussians are ordered by opacity
    times surface, which is proportional to the mean area that they cover.
    """
    scales = log_scales_to_scales(scene.log_scales[0].detach().double().cpu())
    area = torch.from_numpy(surface(scales.numpy()))
    covered = logits_to_opacities(scene.opacity_logits[0].detach().double().cpu()) * area
    by_cover = covered.argsort(descending=True, stable=True)
    return by_cover[scene.level.cpu()[by_cover].argsort(stable=True)]


def scene_within(scene: GaussianHierarchy, name: str, budget: int, write: Write) -> GaussianHierarchy:
    """The Gaussians of ``scene`` whose file is as large as the budget allows, or nearly so; all if they fit.

    Anchors, which nobody sees, go first.

    Args:
        scene: a batch of one.
        name: name of the file, whose suffix names the format.
        budget: greatest size in bytes, of the file and what lies beside it.
        write: writes a scene to a path.

    Raises:
        FormatError: if even one Gaussian takes more.
    """
    order, total, bare = importance_order(scene), scene.num_gaussians, scene

    def first(count: int) -> GaussianHierarchy:
        keep = torch.zeros(total, dtype=torch.bool)
        keep[order[:count]] = True
        return bare.select(keep.to(scene.device))

    def size(count: int) -> int:
        with tempfile.TemporaryDirectory() as folder:
            write(first(count), Path(folder) / name)
            return sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file())

    if (too_large := size(total)) <= budget:
        return scene
    if scene.anchors is not None:
        bare = scene.replace(anchors=None)
        if (too_large := size(total)) <= budget:
            return bare
    too_many = total
    fitting, fitting_size = 1, size(1)
    if fitting_size > budget:
        raise FormatError(f"one Gaussian takes {fitting_size} bytes of {name}; expected a budget of at least as many")
    for _ in range(ATTEMPTS):
        if too_many - fitting <= 1 or fitting_size >= ENOUGH * budget:
            break
        # Files grow about linearly; the target leaves some room so that the next one probably fits.
        share = (0.995 * budget - fitting_size) / (too_large - fitting_size)
        count = min(max(fitting + round(share * (too_many - fitting)), fitting + 1), too_many - 1)
        if (bytes_ := size(count)) <= budget:
            fitting, fitting_size = count, bytes_
        else:
            too_many, too_large = count, bytes_
    return first(fitting)
