"""Scenes whose images are known: opaque balls at known positions, and their annotated views."""

from __future__ import annotations

import math

import numpy as np
import torch

from hgs_toolkit.cameras import Cameras
from hgs_toolkit.config import Config
from hgs_toolkit.gaussians import GaussianHierarchy
from hgs_toolkit.synthesis.annotations import AnnotatedView, DrawnView, annotate
from hgs_toolkit.synthesis.drawing import Layers, draw_layers
from hgs_toolkit.synthesis.plan import SynthPlan
from hgs_toolkit.synthesis.planning import make_plan
from hgs_toolkit.synthesis.settings import settings_for
from hgs_toolkit.synthesis.views import PlannedView, views_of_scene


def balls(*places: tuple[float, float, float], levels: list[int] | None = None) -> GaussianHierarchy:
    """White opaque balls."""
    count = len(places)
    return GaussianHierarchy(
        means=torch.tensor([places]),
        log_scales=torch.full((1, count, 3), math.log(0.05)),
        quats=torch.tensor([1.0, 0, 0, 0]).expand(1, count, 4),
        sh=torch.full((1, count, 1, 3), 0.5 / 0.28209479177387814),
        opacity_logits=torch.full((1, count), 16.0),
        level=torch.tensor(levels or [0] * count),
    )


def plan_of(config: Config, **values: object) -> SynthPlan:
    """The plan of settings for a model's configuration."""
    return make_plan(settings_for(config, values), config, "0" * 64)


def layers_of(plan: SynthPlan, scene: GaussianHierarchy, views: list[PlannedView]) -> list[Layers]:
    """Every layer of a scene's views."""
    cameras = Cameras.from_labels(torch.from_numpy(np.stack([view.label for view in views])))
    return list(draw_layers(scene, cameras, plan.settings.size, ("depth", "normal", "level")))


def annotated_views(plan: SynthPlan, scene: GaussianHierarchy, number: int = 0) -> list[AnnotatedView]:
    """The views of ``scene`` in the place of a dataset's scene ``number``."""
    views = views_of_scene(plan.settings, number)
    latent = np.arange(4, dtype=np.float32)
    return [
        annotate(DrawnView(plan, view, layers, latent, None))
        for view, layers in zip(views, layers_of(plan, scene, views), strict=True)
    ]
