"""Milliseconds an image, in the form of the paper's table: the whole pipeline, and the rasteriser alone."""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

import torch

from hgs_toolkit.cameras import frontal
from hgs_toolkit.config import Config
from hgs_toolkit.devices import device_of
from hgs_toolkit.evaluation.samples import draw_classes, draw_latents
from hgs_toolkit.footprint import footprint, widen
from hgs_toolkit.gaussians import GaussianHierarchy
from hgs_toolkit.model.constants import for_inference
from hgs_toolkit.model.generator import Generator
from hgs_toolkit.rendering import choose_backend, render, warm_up

SIZES = (256, 512)

REPEATS = 7
"""Images of which the median is taken, after one that does not count."""


class RenderTimes(NamedTuple):
    """Medians in milliseconds, one scene, one camera: from the latent to the image, and from Gaussians to it."""

    pipeline: float
    raster: float


def machine(model: Generator) -> dict[str, str | int]:
    """What times depend on besides the model."""
    device = device_of(model)
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine(),
        "threads": torch.get_num_threads(), "backend": choose_backend(device).name, "torch": torch.__version__,
        "repeats": REPEATS, "gaussians": int(model.tree_level.numel()),
    }  # fmt: skip


def measure_timing(model: Generator, config: Config, size: int, seed: int) -> RenderTimes:
    """Time images of ``size`` x ``size`` pixels, one scene at a time, on the model's device."""
    if device_of(model).type == "cpu":
        warm_up()
    latent, poses = draw_latents(config, seed, 1).to(device_of(model)), config.generator.poses
    told = draw_classes(config, seed, 1)
    classes = None if told is None else told.to(device_of(model))

    drawing = for_inference(model)

    def make() -> GaussianHierarchy:
        return widen(drawing(latent, classes=classes), variance)

    camera = frontal(config.generator.focal, poses.radius).to(device_of(model))
    variance = footprint(config.generator, size)
    scene = make()
    pipeline = _median_ms(lambda: render(make(), camera, size, size), device_of(model))
    return RenderTimes(pipeline, _median_ms(lambda: render(scene, camera, size, size), device_of(model)))


def _median_ms(draw: Callable[[], object], device: torch.device) -> float:
    times = []
    for _ in range(REPEATS + 1):
        start = time.perf_counter()
        draw()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - start)
    return 1000 * statistics.median(times[1:])
