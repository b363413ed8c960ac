"""Generated scenes and true critters as views: colour, depth and alpha of one camera, with equally many pixels."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from hgs_toolkit.cameras import Cameras
from hgs_toolkit.config import Config
from hgs_toolkit.datasets.critters.drawing import critter
from hgs_toolkit.datasets.critters.prior import DEMO, CritterPrior
from hgs_toolkit.devices import device_of
from hgs_toolkit.evaluation.consistency import Shooter, ViewLayers
from hgs_toolkit.evaluation.samples import OnDone, draw_classes, draw_latents
from hgs_toolkit.evaluation.settings import EvalSettings
from hgs_toolkit.footprint import footprint, widen
from hgs_toolkit.gaussians import GaussianHierarchy
from hgs_toolkit.model.constants import for_inference
from hgs_toolkit.model.generator import Generator
from hgs_toolkit.rendering import render

SIZE = 128
"""Pixels of the views whose shape is compared."""

TRUTH_SEED = 7_919
"""Critters of this seed are the truth; no dataset of a small seed holds them."""

GREY = 0.5


@torch.inference_mode()
def generated_scenes(
    model: Generator, config: Config, settings: EvalSettings, size: int, advance: OnDone
) -> Iterator[GaussianHierarchy]:
    """Subjects (batches of one) without the background's Gaussians, widened for images of ``size``, on the CPU."""
    drawing = for_inference(model)
    classes = draw_classes(config, settings.seed, settings.scenes)
    for index, latent in enumerate(draw_latents(config, settings.seed, settings.scenes)):
        told = None if classes is None else classes[index : index + 1].to(device_of(model))
        w = model.map(latent[None].to(device_of(model)), None, settings.psi, classes=told)
        yield widen(drawing.synthesize(w, background=False), footprint(config.generator, size)).to("cpu")
        advance(1)


@torch.inference_mode()
def shoot_scene(scene: GaussianHierarchy, camera: Cameras, size: int) -> ViewLayers:
    """The view of a scene (a batch of one) from one camera (1,), over grey."""
    drawn, alpha = render(scene, camera, size, size, (GREY,) * 3, render_mode="RGB+ED")
    return ViewLayers(drawn[0, 0, ..., :3].clamp(0, 1), drawn[0, 0, ..., 3], alpha[0, 0, ..., 0])


def shooters(scenes: Iterator[GaussianHierarchy]) -> Iterator[Shooter]:
    """Scenes as functions from a camera to its view."""
    for scene in scenes:
        yield lambda camera, scene=scene: shoot_scene(scene, camera, SIZE)  # type: ignore[misc]


def critter_shooters(count: int, advance: OnDone, prior: CritterPrior = DEMO) -> Iterator[Shooter]:
    """The same for ``count`` true critters of ``prior``."""
    for index in range(count):
        subject = critter(TRUTH_SEED, index, prior)

        def shoot(camera: Cameras, subject=subject) -> ViewLayers:  # type: ignore[no-untyped-def]
            truth = subject.render(camera.labels[0].numpy(), SIZE)
            alpha = torch.from_numpy(truth.alpha)
            return ViewLayers(over_grey(torch.from_numpy(truth.rgb), alpha), torch.from_numpy(truth.depth), alpha)

        yield shoot
        advance(1)


def over_grey(rgb: Tensor, alpha: Tensor) -> Tensor:
    """Straight colours (H, W, 3) over grey."""
    return rgb * alpha[..., None] + GREY * (1 - alpha[..., None])
