"""The search for the style vectors, and with them cameras and background, that show what the photographs show."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from hgs_toolkit.cameras import Cameras
from hgs_toolkit.devices import device_of
from hgs_toolkit.errors import ConfigError
from hgs_toolkit.gaussians import GaussianHierarchy
from hgs_toolkit.inversion.camera_fit import AdjustableCameras
from hgs_toolkit.inversion.objective import Objective
from hgs_toolkit.inversion.target import Target
from hgs_toolkit.model.constants import for_inference
from hgs_toolkit.model.generator import Generator
from hgs_toolkit.rendering import render
from hgs_toolkit.sampling import class_vectors

LatentSpace = Literal["w", "w+"]
Step = Callable[[int, float], None]

SPREAD_SAMPLES = 2000
"""Latents whose style vectors tell how far apart they lie."""

LEAST_CANDIDATES = 4
"""Number of random latents that are looked at of each class, however many classes share them."""

WARM_UP, COOL_DOWN = 0.05, 0.3
"""Shares of the steps over which the learning rate rises, and falls again by a cosine."""

NEUTRAL = 0.5
"""Background under photographs whose coverage is known, when nothing asks for another."""


@dataclass(frozen=True)
class LatentSettings:
    """How style vectors are searched.

    Attributes:
        space: ``w``, one vector for all style slots, or ``w+``, one for each.
        steps: of the optimiser.
        rate: learning rate, in standard deviations of w.
        pull: weight of the mean square distance from the average latent, in standard deviations: towards what the
            model knows.
        spread: weight of the mean square distance of the slots' vectors from their own mean, likewise (w+ only).
        shared: share of the steps, the first ones, in which all slots have their mean as one vector (w+ only): a shape
            is found among those the model knows before details are.
        candidates: random latents that are looked at before the search; the best is where it starts.
        refine_camera: whether the cameras are corrected as well.
        camera_rate: learning rate of the corrections, radians.
        seed: of the candidates and backgrounds.
        class_name: for a model with classes the subject's; None takes that of the best candidate.
    """

    space: LatentSpace = "w+"
    steps: int = 300
    rate: float = 0.16
    pull: float = 2e-4
    spread: float = 1e-3
    shared: float = 0.3
    candidates: int = 64
    refine_camera: bool = False
    camera_rate: float = 0.004
    seed: int = 0
    class_name: str | None = None

    def __post_init__(self) -> None:
        if self.space not in ("w", "w+"):
            raise ConfigError(f"space '{self.space}'; expected w or w+")
        if self.steps < 1 or self.candidates < 0:
            raise ConfigError(f"{self.steps} steps and {self.candidates} candidates; expected at least 1 and 0")


@dataclass(frozen=True, eq=False)
class Fit:
    """What was found.

    Attributes:
        ws: (1, num_ws, W) style vectors.
        cameras: (V,) of the photographs, corrected where that was asked for.
        background: (3,) colour behind a subject whose coverage is not known; grey otherwise.
        losses: the objective after each step, without the pulls.
        class_name: the class whose scenes the search began among; empty for a model without classes.
    """

    ws: Tensor
    cameras: Cameras
    background: Tensor
    losses: list[float]
    class_name: str = ""


def fit_latent(
    model: Generator, target: Target, objective: Objective, settings: LatentSettings, report: Step | None = None
) -> Fit:
    """Search the style vectors of ``target``; the model stays as it is.

    Args:
        report: called with the number of each step, from 1, and its loss.
    """
    class_name, statistics, start = choose_class(model, target, objective, settings)
    slots = model.num_ws if settings.space == "w+" else 1
    offsets = nn.Parameter(((start - statistics.mean) / statistics.deviation).repeat(slots, 1))  # (S, W)
    cameras = AdjustableCameras(target.cameras, refined=settings.refine_camera)
    behind = BackgroundColor(target, settings.seed)
    optimizer = torch.optim.Adam(
        [{"params": [offsets], "base": settings.rate}, {"params": list(behind.parameters()), "base": 0.02}]
        + [{"params": list(cameras.parameters()), "base": settings.camera_rate}] * settings.refine_camera,
        lr=settings.rate, betas=(0.9, 0.999),
    )  # fmt: skip

    def styles(step: int) -> Tensor:  # (1, num_ws, W)
        together = step < settings.shared * settings.steps
        found = statistics.at(offsets.mean(0, keepdim=True) if together else offsets)
        return model.expand_ws(found if len(found) == 1 else found[None])

    drawing = for_inference(model)  # gradients reach the styles; what follows from the weights is computed once
    losses = []
    for step in range(settings.steps):
        set_rates(optimizer, learning_rate(step, settings.steps))
        corrected, color = cameras(), behind(step)
        scene = drawing.synthesize(styles(step), corrected.forward[:1])
        loss = objective(draw(scene, corrected, target.resolution, color), target.over(color))
        pull = settings.pull * offsets.square().mean() + settings.spread * offsets.var(0, unbiased=False).mean()
        optimizer.zero_grad()
        (loss + pull).backward()
        optimizer.step()
        losses.append(loss.item())
        if report is not None:
            report(step + 1, losses[-1])
    with torch.no_grad():
        return Fit(
            styles(settings.steps).clone(),
            Cameras(cameras().cam_to_world.clone(), target.cameras.intrinsics), behind.color.clone(), losses,
            class_name,
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class StyleStatistics:
    """Mean and deviation (W,) of w over random latents: the unit in which the search moves."""

    mean: Tensor
    deviation: Tensor
    samples: Tensor

    @classmethod
    @torch.no_grad()
    def of(cls, model: Generator, seed: int, class_name: str = "") -> StyleStatistics:
        """Statistics of ``model``, or of one of its classes; ``samples`` (N, W) are the vectors they come from."""
        generator = torch.Generator().manual_seed(seed)
        z = torch.randn(SPREAD_SAMPLES, model.config.z_dim, generator=generator)
        told = class_vectors(model.config, range(len(z)), class_name or None)
        w = model.map(z.to(device_of(model)), classes=None if told is None else told.to(device_of(model)))
        return cls(w.mean(0), w.std(0).clamp_min(1e-6), w)

    def at(self, offsets: Tensor) -> Tensor:
        """Style vectors of ``offsets`` (..., W) in standard deviations from the mean."""
        return self.mean + self.deviation * offsets


def choose_class(
    model: Generator, target: Target, objective: Objective, settings: LatentSettings
) -> tuple[str, StyleStatistics, Tensor]:
    """The class to search in, its statistics and the best candidate (W,); the candidates are shared by the classes.

    The class is that of ``settings``, else the one whose best candidate is closest to the photographs; empty for a
    model without classes.

    Raises:
        ConfigError: if the model has no such class.
    """
    prior = model.config.classes
    if settings.class_name is not None:
        prior.parse(settings.class_name)
    names = [settings.class_name] if settings.class_name is not None else list(prior.texts) or [""]
    count = max(settings.candidates // len(names), min(settings.candidates, LEAST_CANDIDATES))
    found = []
    for name in names:
        statistics = StyleStatistics.of(model, settings.seed, name)
        start, distance = best_candidate(model, target, objective, statistics, count)
        found.append((distance, name, statistics, start))
    _, name, statistics, start = min(found, key=lambda entry: entry[0])
    return name, statistics, start


@torch.no_grad()
def best_candidate(
    model: Generator, target: Target, objective: Objective, statistics: StyleStatistics, count: int
) -> tuple[Tensor, float]:
    """The style vector (W,) among the average and ``count`` random ones whose image is closest, and its distance."""
    tried = torch.cat([statistics.mean[None], statistics.samples[:count]])
    color = neutral(target)
    photographs = target.over(color)
    drawing = for_inference(model)

    def distance(w: Tensor) -> Tensor:
        scene = drawing.synthesize(w[None], target.cameras.forward[:1])
        return objective(draw(scene, target.cameras, target.resolution, color), photographs)

    distances = torch.stack([distance(w) for w in tried]).tolist()  # read together: each reading waits for a GPU
    best = min(range(len(tried)), key=distances.__getitem__)
    return tried[best], distances[best]


class BackgroundColor(nn.Module):
    """The colour (3,) behind the scene: a new random one at every step where the coverage is known, so that the
    scene's own must match; one learned colour where it is not, beginning with that of the photographs' borders."""

    def __init__(self, target: Target, seed: int) -> None:
        super().__init__()
        self.known = target.coverage is not None
        self.seed = seed
        rows, columns = target.colors[:, [0, -1]], target.colors[:, :, [0, -1]].transpose(1, 2)
        edge = torch.cat([rows, columns], dim=1)  # (V, 4, H, 3)
        color = neutral(target) if self.known else edge.flatten(0, 2).median(dim=0).values
        self.color = nn.Parameter(color, requires_grad=not self.known)

    def forward(self, step: int) -> Tensor:
        """The colour at a step."""
        if not self.known:
            return self.color
        drawn = torch.rand(3, generator=torch.Generator().manual_seed(self.seed * 1_000_003 + step))
        return drawn.to(self.color.device)


def neutral(target: Target) -> Tensor:
    """The grey (3,) behind photographs whose coverage is known."""
    return torch.full((3,), NEUTRAL, device=target.colors.device)


def draw(scene: GaussianHierarchy, cameras: Cameras, resolution: int, background: Tensor) -> Tensor:
    """Images (V, H, W, 3) of one scene, not clamped above: what exceeds white must learn not to."""
    images, _ = render(scene, cameras.reshape(1, -1), resolution, resolution, background=background)
    return images[0]


def learning_rate(step: int, steps: int) -> float:
    """Factor of the rate at ``step``: a short rise, a plateau, a cosine to zero."""
    place = (step + 1) / steps
    rise = min(place / WARM_UP, 1.0)
    fall = min((1 - place) / COOL_DOWN, 1.0)
    return rise * (0.5 - 0.5 * math.cos(fall * math.pi))


def set_rates(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Give every group ``factor`` times its base rate."""
    for group in optimizer.param_groups:
        group["lr"] = group["base"] * factor
