"""Seeds to scenes: latents, truncation, interpolation and mixing by level.

A seed's latent is ``numpy.random.RandomState(seed).randn(z_dim)``, as in the scripts of the StyleGAN family (a stream
numpy has frozen), and a matrix product has the rows of one scene, so that a seed gives the same scene, bit by bit,
whatever is sampled with it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from hgs_toolkit.asset import Asset, AssetMetadata
from hgs_toolkit.conventions import DEFAULT_PSI, MAX_SEED
from hgs_toolkit.devices import device_of
from hgs_toolkit.errors import ConfigError, ShapeError
from hgs_toolkit.footprint import footprint, widen
from hgs_toolkit.gaussians import GaussianHierarchy, stack
from hgs_toolkit.memory import keep_freed_blocks
from hgs_toolkit.model.constants import for_inference

if TYPE_CHECKING:
    from hgs_toolkit.config import GeneratorConfig
    from hgs_toolkit.model.generator import Generator


def latents(seeds: Sequence[int], z_dim: int) -> Tensor:
    """(B, z_dim) standard normal latents, each fixed by its seed alone."""
    for seed in seeds:
        if not 0 <= seed <= MAX_SEED:
            raise ConfigError(f"seed {seed}; expected 0 to {MAX_SEED}")
    values = [np.random.RandomState(seed).randn(z_dim) for seed in seeds]
    return torch.from_numpy(np.array(values, dtype=np.float32).reshape(-1, z_dim))


GAUSSIANS_AT_ONCE = 1 << 15
"""Number of Gaussians that are made together, of one scene or more; their features take a few megabytes."""

Classes = str | Sequence[str] | None
"""A class for all scenes or one for each, as :class:`hgs_toolkit.config.ClassPrior` names them; None draws them."""


def class_vectors(config: GeneratorConfig, seeds: Sequence[int], classes: Classes = None) -> Tensor | None:
    """Class vectors (B, C) of the scenes of ``seeds``; None for a model without classes.

    Args:
        classes: the name of one class for all scenes, such as ``chair`` or ``floppy+hat``, or a name for each scene;
            None gives each scene the class that its seed draws, as often as it occurs in the dataset.

    Raises:
        ConfigError: if a class is unknown, or the model has none; or if there are not as many names as seeds.
    """
    prior = config.classes
    if classes is None:
        if not prior.size:
            return None
        return torch.from_numpy(prior.table[[prior.row_of_seed(seed) for seed in seeds]])
    names = [classes] * len(seeds) if isinstance(classes, str) else classes
    if len(names) != len(seeds):
        raise ConfigError(f"{len(names)} classes for {len(seeds)} seeds; expected one for each")
    vectors = [prior.parse(name) for name in names]
    return torch.from_numpy(np.array(vectors, dtype=np.float32).reshape(-1, prior.size))


@torch.no_grad()
def sample_w(
    model: Generator,
    seeds: Sequence[int],
    psi: float = DEFAULT_PSI,
    cutoff: int | None = None,
    label: Tensor | None = None,
    classes: Classes = None,
) -> Tensor:
    """Style vectors of seeds, (B, w_dim), or (B, num_ws, w_dim) with ``cutoff``.

    Args:
        psi: truncation: 0 is the average scene (with classes, that of the class), 1 the whole variety.
        cutoff: truncate only the first so many style slots (the coarse levels).
        label: (25,) or (B, 25) EG3D camera label for a pose-conditioned model; None is the frontal camera.
        classes: see :func:`class_vectors`.
    """
    if not hasattr(model, "config"):
        raise ConfigError(f"the model is {model!r}; expected a generator: hgs_toolkit.load_model(path) makes one")
    device = device_of(model)
    if label is not None:
        label = label.to(device).expand(len(seeds), -1)
    told = class_vectors(model.config, seeds, classes)
    rows = [
        model.map(
            z[None].to(device), None if label is None else label[i : i + 1], psi, cutoff,
            None if told is None else told[i : i + 1].to(device),
        )
        for i, z in enumerate(latents(seeds, model.config.z_dim))
    ]  # fmt: skip
    if not rows:
        raise ConfigError("no seeds given; expected at least one")
    return torch.cat(rows)


@torch.no_grad()
def synthesize(model: Generator, w: Tensor, view_direction: Tensor | None = None) -> Iterator[GaussianHierarchy]:
    """The scenes of style vectors (B, w_dim) or (B, num_ws, w_dim), one by one, each a batch of one.

    They are widened by the model's :mod:`~hgs_toolkit.footprint`: fit to be seen at any size.
    """
    variance = footprint(model.config)
    keep_freed_blocks()
    drawing = for_inference(model)
    count = scenes_at_once(model.config)
    for start in range(0, len(w), count):
        part = slice(start, start + count)
        scenes = widen(drawing.synthesize(w[part], None if view_direction is None else view_direction[part]), variance)
        yield from (scenes[i] for i in range(len(scenes)))


def scenes_at_once(config: GeneratorConfig) -> int:
    """Number of scenes that are made together: so many that most of a pass is arithmetic, at least one."""
    return max(1, GAUSSIANS_AT_ONCE // sum(config.level_counts))


def sample(
    model: Generator,
    seeds: Sequence[int],
    psi: float = DEFAULT_PSI,
    cutoff: int | None = None,
    label: Tensor | None = None,
    classes: Classes = None,
) -> GaussianHierarchy:
    """The scenes of ``seeds`` as one batch.

    Args:
        model: a generator, as :func:`hgs_toolkit.load_model` returns it.
        seeds: whole numbers from 0; the same seed always gives the same scene.
        psi: truncation: 0 is the average scene, 1 the full variety.
        cutoff: number of style slots that are truncated, the coarse ones first; None truncates all.
        label: (25,) or (B, 25) EG3D camera label for a pose-conditioned model; None is the frontal camera.
        classes: for a model with classes the name of one, or one for each seed; None lets each seed draw its own.

    Raises:
        ConfigError: if there is no seed, one is out of range, a class is unknown, or ``model`` is no generator.
    """
    return stack(list(synthesize(model, sample_w(model, seeds, psi, cutoff, label, classes))))


def sample_assets(
    model: Generator, seeds: Sequence[int], psi: float = DEFAULT_PSI, cutoff: int | None = None, name: str = "",
    classes: Classes = None,
) -> Iterator[Asset]:  # fmt: skip
    """The scenes of ``seeds`` one by one on the CPU, with latent and provenance, ready to be written.

    Args:
        name: name of the model's configuration.
        classes: see :func:`class_vectors`.
    """
    latent = sample_w(model, seeds, psi, cutoff, classes=classes)
    config, told = model.config, class_vectors(model.config, seeds, classes)
    for i, scene in enumerate(synthesize(model, latent)):
        metadata = AssetMetadata(
            seed=seeds[i], psi=psi, generator=name, model=model.fingerprint,
            focal=config.focal, radius=config.poses.radius,
            class_name="" if told is None else config.classes.describe(told[i]),
        )  # fmt: skip
        yield Asset(scene.to("cpu"), metadata, latent[i].cpu())


def interpolate(
    model: Generator, seeds: Sequence[int], steps: int, psi: float = DEFAULT_PSI, space: str = "w", loop: bool = False
) -> Tensor:
    """Style vectors (frames, w_dim) along a path through ``seeds``.

    Args:
        steps: frames from one seed to the next.
        space: ``w`` for straight lines between style vectors, ``z`` for arcs between latents.
        loop: return to the first seed, as a film that repeats needs it; then frames = steps * len(seeds),
            otherwise steps * (len(seeds) - 1) + 1.

    Raises:
        ConfigError: if there are fewer than two seeds or ``space`` is neither.
    """
    if len(seeds) < 2 or steps < 1:
        raise ConfigError(f"{len(seeds)} seeds and {steps} steps; expected at least 2 seeds and 1 step between them")
    if space not in ("w", "z"):
        raise ConfigError(f"interpolation in '{space}'; expected w or z")
    if space == "w":
        return _path(sample_w(model, seeds, psi), steps, loop, torch.lerp)
    points = _path(latents(seeds, model.config.z_dim), steps, loop, slerp)
    told = class_vectors(model.config, seeds)
    classes = None if told is None else _path(told, steps, loop, torch.lerp).to(device_of(model))
    with torch.no_grad():
        return torch.cat(
            [
                model.map(
                    z[None].to(device_of(model)), None, psi, classes=None if classes is None else classes[i : i + 1]
                )
                for i, z in enumerate(points)
            ]
        )


def _path(stops: Tensor, steps: int, loop: bool, blend: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Tensor:
    """Points (frames, D) from each of ``stops`` (B, D) to the next."""
    if loop:
        stops = torch.cat([stops, stops[:1]])
    fractions = torch.arange(steps, device=stops.device) / steps  # (S,)
    path = [blend(a, b, fractions[:, None]) for a, b in itertools.pairwise(stops)]
    return torch.cat(path if loop else [*path, stops[-1:]])


def slerp(a: Tensor, b: Tensor, fraction: Tensor) -> Tensor:
    """Points between the vectors ``a`` and ``b`` (..., D) on the arc they span, lengths interpolated linearly.

    ``fraction`` (..., 1): 0 gives a, 1 gives b. Nearly parallel vectors are joined by a straight line.
    """
    length_a, length_b = a.norm(dim=-1, keepdim=True), b.norm(dim=-1, keepdim=True)
    unit_a, unit_b = a / length_a, b / length_b
    angle = (unit_a * unit_b).sum(-1, keepdim=True).clamp(-1, 1).acos()
    sine = angle.sin()
    arc = (((1 - fraction) * angle).sin() * unit_a + (fraction * angle).sin() * unit_b) / sine.clamp_min(1e-6)
    direction = torch.where(sine > 1e-4, arc, torch.lerp(unit_a, unit_b, fraction))
    return direction * torch.lerp(length_a, length_b, fraction)


def mix(model: Generator, coarse: Tensor, styles: Tensor, levels: Sequence[int]) -> Tensor:
    """Style vectors (B, num_ws, w_dim) of ``coarse``, with those of ``styles`` at some levels.

    Args:
        coarse, styles: (B, w_dim) or (B, num_ws, w_dim).
        levels: levels of the tree that follow ``styles``; levels without style slots of their own follow the
            features of the levels above them.

    Raises:
        ShapeError: if a level does not exist, or none of the levels has a style slot.
    """
    unknown = [level for level in levels if not 0 <= level < len(model.level_slots)]
    slots = [slot for level in levels if level not in unknown for slot in model.level_slots[level]]
    if unknown or not slots:
        with_style = [level for level, taken in enumerate(model.level_slots) if len(taken)]
        raise ShapeError(f"levels {list(levels)} cannot be mixed; this model has styles at the levels {with_style}")
    mixed = model.expand_ws(coarse).clone()
    mixed[:, slots] = model.expand_ws(styles)[:, slots]
    return mixed
