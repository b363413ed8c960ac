"""Sample and data grids: the same latents and cameras at every tick, so that images can be compared over time."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from hgs_toolkit.cameras import Cameras
from hgs_toolkit.config import Config
from hgs_toolkit.datasets.eg3d import PosedImages
from hgs_toolkit.devices import device_of
from hgs_toolkit.imaging.images import grid
from hgs_toolkit.model.generator import Generator
from hgs_toolkit.rendering import render
from hgs_toolkit.training.augment import compose
from hgs_toolkit.training.randomness import Purpose, dataset_indices, keyed_generator

GRID_BACKGROUND = 0.5
"""Grey under what is transparent in a grid: both dark and light edges show."""

CHUNK = 16
"""Scenes generated at once; bounds the memory of large grids and measurements."""


def sample_chunks(
    model: Generator, config: Config, count: int, purpose: Purpose, background: float = GRID_BACKGROUND
) -> Iterator[Tensor]:
    """Images (<= CHUNK, H, W, 3) in 0..1 of the average model under cameras of its pose prior; fixed by the purpose."""
    generator = keyed_generator(config.training.seed, 0, purpose)
    latents = torch.randn(count, config.generator.z_dim, generator=generator)
    cameras = config.generator.poses.sample(count, generator)
    return drawn_chunks(model, config, latents, cameras, cameras, background)


@torch.inference_mode()
def drawn_chunks(
    model: Generator,
    config: Config,
    latents: Tensor,
    cameras: Cameras,
    conditioning: Cameras,
    background: float = GRID_BACKGROUND,
    psi: float = 1.0,
) -> Iterator[Tensor]:
    """Images (<= CHUNK, H, W, 3) in 0..1 of ``latents`` (N, z_dim), drawn as in training: size, focal, background.

    Args:
        cameras: (N,) from which the scenes are seen.
        conditioning: (N,) what a pose-conditioned or view-dependent model is told, as the labels say; in training, the
            same.
        psi: truncation.
    """
    cameras = config.generator.render_cameras(cameras)
    device, resolution = device_of(model), config.generator.resolution
    has_background = config.generator.background != "none"
    color = (background,) * 3 if config.training.background == "random" else (0.0,) * 3
    for start in range(0, len(latents), CHUNK):
        rows = slice(start, start + CHUNK)
        seen, told = cameras[rows].to(device), conditioning[rows].to(device)
        w = model.map(latents[rows].to(device), told.labels if config.generator.pose_conditioned else None, psi)
        scene = model.synthesize(w, told.forward, background=has_background)
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
    color = background if config.training.background == "random" else 0.0
    indices = dataset_indices(config.training.seed + 1 if seed is None else seed, start, count, len(data))
    for first in range(0, count, CHUNK):
        images, _ = data.batch(indices[first : first + CHUNK])
        yield (compose(images, torch.full((len(images), 3), color)).movedim(1, -1) + 1) / 2


def sample_grid(model: Generator, config: Config) -> Tensor:
    """The grid (H, W, 3) of ``training.grid``^2 samples."""
    return _grid(sample_chunks(model, config, config.training.grid**2, Purpose.GRID), config)


def real_grid(data: PosedImages, config: Config) -> Tensor:
    """The grid (H, W, 3) of as many real images, for comparison."""
    return _grid(real_chunks(data, config, config.training.grid**2), config)


def _grid(chunks: Iterator[Tensor], config: Config) -> Tensor:
    return grid(torch.cat(list(chunks)), config.training.grid)
