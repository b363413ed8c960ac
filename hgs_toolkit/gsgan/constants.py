"""Constants that a checkpoint stores beside its weights: they must be the ones that our networks compute with."""

from __future__ import annotations

import math
import re

import torch
from torch import Tensor

from hgs_toolkit.config import GeneratorConfig
from hgs_toolkit.errors import CheckpointError
from hgs_toolkit.model import background
from hgs_toolkit.model.densify import ScaleBounds

TOLERANCE = 1e-3
"""Largest difference from an expected constant, relative to its size or absolute below 1."""

Expected = dict[str, tuple[Tensor, ...]]


def check_constants(theirs: dict[str, Tensor], config: GeneratorConfig) -> None:
    """Compare the generator's constants with those of ``config``, whose networks are computed with them.

    Raises:
        CheckpointError: if one differs; the message names it, its values and the expected ones.
    """
    bounds = {"point_gen": ScaleBounds.of_tree(config), "point_gen_bg": background.SCALES}
    for prefix, bound in bounds.items():
        expected = _initial_values(bound, config.initial_opacity_logit)
        for name, forms in expected.items():
            _check(f"{prefix}.{name}", theirs, forms)
    check_filters(theirs)


def check_filters(theirs: dict[str, Tensor]) -> None:
    """Compare every low-pass filter of a network with the one that ours apply.

    Raises:
        CheckpointError: if one differs.
    """
    row = torch.tensor([1.0, 3.0, 3.0, 1.0])
    for name in theirs:
        if re.search(r"(^|\.)resample_filter$", name):
            _check(name, theirs, (torch.outer(row, row) / 64,))


def opacity_logit(theirs: dict[str, Tensor], default: float) -> float:
    """The initial opacity logit of a checkpoint, which our networks take from their configuration.

    A stored opacity in (0, 1) is converted; ``default`` is the value where the file has none.
    """
    stored = theirs.get("point_gen.opacity_init")
    if stored is None or stored.numel() != 1 or not bool(torch.isfinite(stored).all()):
        return default
    value = float(stored)
    if 0 < value < 1:
        value = math.log(value / (1 - value))
    return default if abs(value - default) < TOLERANCE else value


def _initial_values(bounds: ScaleBounds, logit: float) -> Expected:
    """The accepted values of each constant: as our networks store it, and as the renderer uses it."""
    logs = {"scale_init": bounds.start, "scale_threshold": bounds.large}
    scales = {name: (torch.tensor(log), torch.tensor(math.exp(log))) for name, log in logs.items()}
    return scales | {
        "rotation_init": (torch.tensor([1.0, 0.0, 0.0, 0.0]),),
        "color_init": (torch.tensor(0.0), torch.tensor(0.5)),
        "opacity_init": (torch.tensor(logit), torch.tensor(logit).sigmoid()),
    }


def _check(name: str, theirs: dict[str, Tensor], forms: tuple[Tensor, ...]) -> None:
    """Compare the tensor ``name``, where it is there, with ``forms``, one of which it must equal."""
    if name not in theirs:
        return
    found = theirs[name].float()
    for form in forms:
        compatible = form.ndim == 0 or found.shape[-form.ndim :] == form.shape
        if compatible and torch.allclose(found, form.expand_as(found), rtol=TOLERANCE, atol=TOLERANCE):
            return
    shown = ", ".join(f"{value:.6g}" for value in found.flatten()[:4].tolist())
    wanted = ", ".join(f"{value:.6g}" for value in forms[0].flatten()[:4].tolist())
    raise CheckpointError(f"the constant '{name}' is {shown}; expected {wanted}, which our networks compute with")
