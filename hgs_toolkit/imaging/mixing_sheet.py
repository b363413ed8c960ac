"""The mixing sheet: what each level of the tree controls, shown by giving levels the styles of another seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from hgs_toolkit.cameras import frontal
from hgs_toolkit.devices import device_of
from hgs_toolkit.imaging.captions import labelled_sheet
from hgs_toolkit.imaging.scene_images import ImageSettings, draw_images
from hgs_toolkit.model.generator import Generator
from hgs_toolkit.sampling import Classes, class_vectors, mix, sample_w, synthesize


def mixing_sheet(
    model: Generator,
    rows: Sequence[int],
    columns: Sequence[int],
    levels: Sequence[int] | None,
    psi: float,
    settings: ImageSettings,
    progress: Callable[[], None] = lambda: None,
    *,
    row_class: Classes = None,
    column_class: Classes = None,
) -> Tensor:
    """A page (H', W', 3) in 0..1: seeds of ``rows`` whose ``levels`` follow the styles of ``columns``' seeds.

    The unmixed scenes are in front of the rows and above the columns; all images are frontal.

    Args:
        levels: None takes all levels with styles of their own but the coarsest.
        progress: called once for every image, of which there are (rows + 1) (columns + 1) - 1.
        row_class, column_class: of the seeds of the rows and of the columns; None lets each seed draw its own.

    Raises:
        ConfigError: if a seed is out of range or there are none, or a class is unknown.
        ShapeError: if a level does not exist, or none of them has a style of its own.
    """
    if levels is None:
        levels = [level for level, slots in enumerate(model.level_slots) if level and len(slots)]
    config = model.config
    device = device_of(model)
    camera = frontal(config.focal, config.poses.radius).to(device)

    def draw(w: Tensor) -> Tensor:  # (1, w_dim) or (1, num_ws, w_dim) -> (H, W, 3)
        drawn = next(draw_images(next(synthesize(model, w)), camera, settings))
        progress()
        return drawn

    coarse, styles = sample_w(model, rows, psi, classes=row_class), sample_w(model, columns, psi, classes=column_class)
    corner = torch.ones(settings.size, settings.size, 3)
    table = [[corner, *(draw(style[None]) for style in styles)]]
    for w in coarse:
        mixed = [draw(mix(model, w[None], style[None], levels)) for style in styles]
        table.append([draw(w[None]), *mixed])
    in_a_row = len(levels) > 2 and list(levels) == list(range(levels[0], levels[-1] + 1))
    names = f"{levels[0]} to {levels[-1]}" if in_a_row else ", ".join(map(str, levels))
    return labelled_sheet(
        table,
        ["", *_names(model, rows, row_class)],
        [f"levels {names} from:" if len(levels) > 1 else f"level {names} from:", *_names(model, columns, column_class)],
    )


def _names(model: Generator, seeds: Sequence[int], classes: Classes) -> list[str]:
    """What the page calls the scenes of seeds."""
    vectors = class_vectors(model.config, seeds, classes)
    if vectors is None:
        return [f"seed {seed}" for seed in seeds]
    prior = model.config.classes
    return [f"{seed} {prior.describe(vector)}" for seed, vector in zip(seeds, vectors, strict=True)]
