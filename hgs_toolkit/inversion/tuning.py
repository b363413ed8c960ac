"""Tuning of the generator around a found latent, so that it shows the photographs more exactly than its latents can.

Pivotal tuning (Roich et al. 2021, arXiv 2106.05744): the latent stays, the weights move. Beside the photographs' views
the scene is held to what the untuned generator showed from other cameras: otherwise what a photograph does not see
drifts.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch

from hgs_toolkit.cameras import Cameras
from hgs_toolkit.devices import device_of
from hgs_toolkit.errors import ConfigError
from hgs_toolkit.inversion.latent import BackgroundColor, Fit, Step, draw, learning_rate, set_rates
from hgs_toolkit.inversion.objective import Objective
from hgs_toolkit.inversion.target import Target
from hgs_toolkit.model.generator import Generator


@dataclass(frozen=True)
class TuningSettings:
    """How the generator is tuned.

    Attributes:
        steps: of the optimiser.
        rate: learning rate of every layer but the mapping network, which has no part in it.
        hold: weight of the difference from the untuned scene, seen by other cameras.
        held_views: other cameras a step, drawn from the model's prior of poses.
        seed: of those cameras and the backgrounds.
    """

    steps: int = 200
    rate: float = 3e-3
    hold: float = 0.5
    held_views: int = 2
    seed: int = 0

    def __post_init__(self) -> None:
        if self.steps < 1 or self.held_views < 1:
            raise ConfigError(f"{self.steps} steps and {self.held_views} held views; expected at least 1 of each")


def tune(
    model: Generator,
    target: Target,
    fit: Fit,
    objective: Objective,
    settings: TuningSettings,
    report: Step | None = None,
) -> tuple[Generator, list[float]]:
    """A copy of ``model`` tuned to show ``target`` at the latent of ``fit``, and the losses of its steps."""
    with torch.no_grad():
        before = model.synthesize(fit.ws, fit.cameras.forward[:1])
    tuned = copy.deepcopy(model).requires_grad_(True)
    tuned.mapping.requires_grad_(False)
    weights = [parameter for parameter in tuned.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam([{"params": weights, "base": settings.rate}], lr=settings.rate, betas=(0.9, 0.999))
    behind = BackgroundColor(target, settings.seed)
    behind.color.data = fit.background.clone()
    losses = []
    for step in range(settings.steps):
        set_rates(optimizer, learning_rate(step, settings.steps))
        scene = tuned.synthesize(fit.ws, fit.cameras.forward[:1])
        color = behind(step).detach()
        loss = objective(draw(scene, fit.cameras, target.resolution, color), target.over(color))
        cameras = other_cameras(model, settings, step)
        with torch.no_grad():
            held = draw(before, cameras, target.resolution, color)
        drift = (draw(scene, cameras, target.resolution, color) - held).abs().mean()
        optimizer.zero_grad()
        (loss + settings.hold * drift).backward()
        optimizer.step()
        losses.append(loss.item())
        if report is not None:
            report(step + 1, losses[-1])
    return tuned.eval().requires_grad_(False), losses


def other_cameras(model: Generator, settings: TuningSettings, step: int) -> Cameras:
    """Cameras (held_views,) of a step."""
    generator = torch.Generator().manual_seed(settings.seed * 1_000_003 + step)
    cameras = model.config.poses.sample(settings.held_views, generator)
    return model.config.render_cameras(cameras).to(device_of(model))
