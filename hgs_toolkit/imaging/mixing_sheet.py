"""The mixing sheet: which level of the tree carries what, seen by giving levels the styles of another seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from hgs_toolkit.cameras import frontal
from hgs_toolkit.devices import device_of
from hgs_toolkit.imaging.captions import sheet
from hgs_toolkit.imaging.shots import Shot, shoot
from hgs_toolkit.model.generator import Generator
from hgs_toolkit.sampling import mix, sample_w, synthesize


def mixing_sheet(
    model: Generator,
    rows: Sequence[int],
    columns: Sequence[int],
    levels: Sequence[int] | None,
    psi: float,
    shot: Shot,
    progress: Callable[[], None] = lambda: None,
) -> Tensor:
    """A page (H', W', 3) in 0..1: seeds of ``rows`` whose ``levels`` follow the styles of ``columns``' seeds.

    The unmixed scenes stand in front of the rows and above the columns; pictures are from the front.

    Args:
        levels: None takes all that have styles of their own but the coarsest.
        progress: called once for every picture, of which there are (rows + 1) (columns + 1) - 1.

    Raises:
        ConfigError: if a seed is out of range or there are none.
        ShapeError: if a level does not exist, or none of them has a style of its own.
    """
    if levels is None:
        levels = [level for level, slots in enumerate(model.level_slots) if level and len(slots)]
    config = model.config
    device = device_of(model)
    camera = frontal(config.focal, config.poses.radius).to(device)

    def picture(w: Tensor) -> Tensor:  # (1, w_dim) or (1, num_ws, w_dim) -> (H, W, 3)
        drawn = next(shoot(next(synthesize(model, w)), camera, shot))
        progress()
        return drawn

    coarse, styles = sample_w(model, rows, psi), sample_w(model, columns, psi)
    corner = torch.ones(shot.size, shot.size, 3)
    table = [[corner, *(picture(style[None]) for style in styles)]]
    for w in coarse:
        mixed = [picture(mix(model, w[None], style[None], levels)) for style in styles]
        table.append([picture(w[None]), *mixed])
    names = ", ".join(map(str, levels))
    return sheet(
        table,
        ["", *(f"seed {seed}" for seed in rows)],
        [f"levels {names} from:" if len(levels) > 1 else f"level {names} from:", *(f"seed {seed}" for seed in columns)],
    )
