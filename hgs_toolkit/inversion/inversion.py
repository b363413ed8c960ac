"""From photographs to a scene: camera, latent, tuning, in this order, as far as they are asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from hgs_toolkit.devices import device_of
from hgs_toolkit.errors import ConfigError
from hgs_toolkit.gaussians import GaussianHierarchy
from hgs_toolkit.inversion.latent import Fit, LatentSettings, draw, fit_latent
from hgs_toolkit.inversion.objective import Objective
from hgs_toolkit.inversion.poses import CameraEstimate, estimate_camera
from hgs_toolkit.inversion.target import Target
from hgs_toolkit.inversion.tuning import TuningSettings, tune
from hgs_toolkit.model.generator import Generator

Stage = Callable[[str, int, int, float], None]
"""Called with the stage's name, the step, its number of steps and the loss."""


@dataclass(frozen=True)
class InversionSettings:
    """What is done.

    Attributes:
        latent: the search of the style vectors.
        tuning: of the generator afterwards; None leaves it alone.
        estimate_camera: find the camera of the one photograph first.
    """

    latent: LatentSettings = field(default_factory=LatentSettings)
    tuning: TuningSettings | None = None
    estimate_camera: bool = False


@dataclass(frozen=True, eq=False)
class Inversion:
    """What came out.

    Attributes:
        model: the generator that shows ``scene``: the one given, or its tuned copy.
        fit: latent, cameras and background.
        before: the scene of the latent in the generator given; None where nothing was tuned.
        scene: the scene, a batch of one.
        losses: of the last stage's steps.
        estimate: of the camera, where that was estimated.
    """

    model: Generator
    fit: Fit
    before: GaussianHierarchy | None
    scene: GaussianHierarchy
    losses: list[float]
    estimate: CameraEstimate | None = None


def invert(
    model: Generator, target: Target, objective: Objective, settings: InversionSettings, report: Stage | None = None
) -> Inversion:
    """The scene of ``model`` that shows ``target``; everything is computed on the model's device.

    Raises:
        ConfigError: if a camera is to be estimated from several photographs.
    """
    target, estimate = target.to(device_of(model)), None
    if settings.estimate_camera:
        if len(target.cameras) > 1:
            raise ConfigError(
                f"the camera of {len(target.cameras)} photographs is not known; expected one photograph, or cameras"
            )
        estimate = estimate_camera(model, target, objective, settings.latent)
        target = target.seen_from(estimate.camera)
        settings = replace(settings, latent=replace(settings.latent, refine_camera=True))
    fit = fit_latent(model, target, objective, settings.latent, _stage(report, "latent", settings.latent.steps))
    before = show(model, fit)
    if settings.tuning is None:
        return Inversion(model, fit, None, before, fit.losses, estimate)
    on_step = _stage(report, "tuning", settings.tuning.steps)
    tuned, losses = tune(model, target, fit, objective, settings.tuning, on_step)
    return Inversion(tuned, fit, before, show(tuned, fit), losses, estimate)


@torch.no_grad()
def show(model: Generator, fit: Fit) -> GaussianHierarchy:
    """The scene of ``fit``."""
    return model.synthesize(fit.ws, fit.cameras.forward[:1])


@torch.no_grad()
def draw_photographs(scene: GaussianHierarchy, target: Target, fit: Fit) -> Tensor:
    """What ``scene`` looks like (V, H, W, 3) from the photographs' cameras, in 0..1, over the fit's background."""
    return draw(scene, fit.cameras, target.resolution, fit.background).clamp(0, 1)


def _stage(report: Stage | None, name: str, steps: int) -> Callable[[int, float], None] | None:
    return None if report is None else lambda step, loss: report(name, step, steps, loss)
