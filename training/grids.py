"""Sample and data grids: the same latents and cameras at every tick, so that images can be compared over time."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hgs_toolkit.cameras import Cameras, from_yaw_pitch
from hgs_toolkit.config import ClassPrior, Config
from hgs_toolkit.datasets.eg3d import PosedImages
from hgs_toolkit.devices import device_of
from hgs_toolkit.footprint import footprint, widen
from hgs_toolkit.imaging.images import grid
from hgs_toolkit.model.generator import Generator
from hgs_toolkit.rendering import render
from hgs_toolkit.training.inputs.augment import compose
from hgs_toolkit.training.randomness import Purpose, dataset_indices, keyed_generator

GRID_BACKGROUND = 0.5
"""Grey under what is transparent in a grid: both dark and light edges show."""

TURNTABLE_FRAMES = 16

CHUNK = 16
"""Scenes generated at once; bounds the memory of large grids and measurements."""


def shown_background(config: Config, background: float = GRID_BACKGROUND) -> float:
    """The grey behind what is transparent: ``background`` where training had colours of all kinds there, else black."""
    return background if config.training.background == "random" else 0.0


def sample_chunks(
    model: Generator, config: Config, count: int, purpose: Purpose, background: float = GRID_BACKGROUND
) -> Iterator[Tensor]:
    """Images (<= CHUNK, H, W, 3) in 0..1 of the average model under cameras of its pose prior; fixed by the purpose.

    Their classes are as frequent as in the dataset, or in a grid all equally frequent, one after the other.
    """
    generator = keyed_generator(config.training.seed, 0, purpose)
    latents = torch.randn(count, config.generator.z_dim, generator=generator)
    cameras = config.generator.poses.sample(count, generator)
    prior = config.generator.classes
    rows = balanced_rows(prior, count) if purpose is Purpose.GRID else drawn_rows(prior, count, generator)
    classes = torch.from_numpy(prior.table[rows]) if prior.size else None
    return drawn_chunks(model, config, latents, cameras, cameras, background, classes=classes)


def balanced_rows(prior: ClassPrior, count: int) -> npt.NDArray[np.int64]:
    """Rows (count,) of the prior's table, each equally often, in their order."""
    return np.arange(count) * prior.kinds // max(count, 1)


def drawn_rows(prior: ClassPrior, count: int, generator: torch.Generator) -> npt.NDArray[np.int64]:
    """Rows (count,) of the prior's table, each as often as it occurs; nothing is drawn where there is none."""
    return prior.choose(torch.rand(count, generator=generator)) if prior.size else np.zeros(count, np.int64)


@torch.inference_mode()
def drawn_chunks(
    model: Generator,
    config: Config,
    latents: Tensor,
    cameras: Cameras,
    conditioning: Cameras,
    background: float = GRID_BACKGROUND,
    psi: float = 1.0,
    classes: Tensor | None = None,
    resolution: int | None = None,
) -> Iterator[Tensor]:
    """Images (<= CHUNK, H, W, 3) in 0..1 of ``latents`` (N, z_dim), drawn as in training: size, focal, background.

    Args:
        cameras: (N,) from which the scenes are seen.
        conditioning: (N,) what a pose-conditioned or view-dependent model is told, as the labels say; in training, the
            same.
        psi: truncation.
        classes: (N, C) class vectors for a model with classes.
        resolution: H = W; None is that of the training. For larger images Gaussians are as wide as training saw them.
    """
    cameras = config.generator.render_cameras(cameras)
    device, resolution = device_of(model), resolution or config.generator.resolution
    has_background = config.generator.background != "none"
    color = (shown_background(config, background),) * 3
    variance = footprint(config.generator, resolution)
    for start in range(0, len(latents), CHUNK):
        rows = slice(start, start + CHUNK)
        seen, told = cameras[rows].to(device), conditioning[rows].to(device)
        labels = told.labels if config.generator.pose_conditioned else None
        w = model.map(
            latents[rows].to(device), labels, psi, classes=None if classes is None else classes[rows].to(device)
        )
        scene = widen(model.synthesize(w, told.forward, background=has_background), variance)
        image, _ = render(scene, seen.reshape(-1, 1), resolution, resolution, background=color)
        yield image[:, 0].clamp(0, 1).cpu()


def real_chunks(
    data: PosedImages,
    config: Config,
    count: int,
    background: float = GRID_BACKGROUND,
    *,
    seed: int | None = None,
    start: int = 0,
) -> Iterator[Tensor]:
    """Images (<= CHUNK, H, W, 3) in 0..1 of the dataset, over the same background; a fixed random choice.

    Args:
        seed: of the order of the dataset; None is the run's own.
        start: position in that order of the first image.
    """
    indices = dataset_indices(config.training.seed + 1 if seed is None else seed, start, count, len(data))
    yield from _composed(data, indices, shown_background(config, background))


def _composed(data: PosedImages, indices: npt.NDArray[np.int64], color: float) -> Iterator[Tensor]:
    for first in range(0, len(indices), CHUNK):
        images, _ = data.batch(indices[first : first + CHUNK])
        yield (compose(images, torch.full((len(images), 3), color)).movedim(1, -1) + 1) / 2


def _balanced_chunks(data: PosedImages, config: Config, count: int) -> Iterator[Tensor]:
    """As :func:`real_chunks`, with the classes of :func:`balanced_rows`."""
    prior, labels = config.generator.classes, data.classes
    if labels is None or not prior.size:
        return real_chunks(data, config, count)
    order = dataset_indices(config.training.seed + 1, 0, len(data), len(data))
    kinds, chosen = prior.nearest(labels.vectors[order]), []
    for kind, wanted in enumerate(np.bincount(balanced_rows(prior, count), minlength=prior.kinds)):
        chosen.append(np.resize(order[kinds == kind], wanted) if (kinds == kind).any() else order[:wanted])
    return _composed(data, np.concatenate(chosen), shown_background(config))


@torch.inference_mode()
def turntable(model: Generator, config: Config) -> Tensor:
    """Frames (TURNTABLE_FRAMES, H, W, 3) in 0..1 around the first sample of the grid.

    Once around where the pose prior goes all around, else to and fro within two deviations of it.
    """
    poses, resolution, phase = config.generator.poses, config.generator.resolution, torch.arange(TURNTABLE_FRAMES)
    turn = phase / TURNTABLE_FRAMES * (2 * math.pi)
    spread = poses.yaw_spread * (2.0 if poses.yaw_law == "normal" else 1.0)
    yaw = turn if spread > 0.9 * math.pi else poses.yaw_mean + min(spread, poses.yaw_limit) * turn.sin()
    cameras = from_yaw_pitch(yaw, torch.full_like(yaw, poses.pitch_mean), poses.radius, config.generator.focal)
    device = device_of(model)
    rows = config.training.grid**2  # all of the grid's: another number of rows would be other numbers
    drawn = torch.randn(rows, config.generator.z_dim, generator=keyed_generator(config.training.seed, 0, Purpose.GRID))
    latent = drawn[:1].to(device)
    front = cameras[:1].to(device)
    prior = config.generator.classes
    classes = torch.from_numpy(prior.table[:1]).to(device) if prior.size else None
    w = model.map(latent, front.labels if config.generator.pose_conditioned else None, classes=classes)
    scene = model.synthesize(w, front.forward, background=config.generator.background != "none")
    color = (shown_background(config),) * 3
    frames, _ = render(scene, cameras.reshape(1, -1).to(device), resolution, resolution, background=color)
    return frames[0].clamp(0, 1).cpu()


def sample_grid(model: Generator, config: Config) -> Tensor:
    """The grid (H, W, 3) of ``training.grid``^2 samples."""
    return _grid(sample_chunks(model, config, config.training.grid**2, Purpose.GRID), config)


def real_grid(data: PosedImages, config: Config) -> Tensor:
    """The grid (H, W, 3) of as many real images, for comparison."""
    return _grid(_balanced_chunks(data, config, config.training.grid**2), config)


def _grid(chunks: Iterator[Tensor], config: Config) -> Tensor:
    return grid(torch.cat(list(chunks)), config.training.grid)
