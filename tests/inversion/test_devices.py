"""Everything an inversion makes is on its model's device.

The model and its photographs are on torch's ``meta`` device, where tensors have shapes but no values, and an operation
on tensors of two devices is refused as it would be between a GPU and the CPU. What needs values is replaced: the
rasteriser by a function of the scene and the cameras, and single numbers by ones.
"""

from __future__ import annotations

import contextlib
import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from hgs_toolkit.cameras import Cameras
from hgs_toolkit.config import DiscriminatorConfig
from hgs_toolkit.devices import device_of
from hgs_toolkit.gaussians import GaussianHierarchy
from hgs_toolkit.inversion.inversion import InversionSettings, draw_photographs, invert
from hgs_toolkit.inversion.latent import LatentSettings
from hgs_toolkit.inversion.objective import Objective, discriminator_features
from hgs_toolkit.inversion.target import Target
from hgs_toolkit.inversion.tuning import TuningSettings
from hgs_toolkit.model.discriminator import make_discriminator
from hgs_toolkit.model.generator import Generator

META = torch.device("meta")
QUICK = InversionSettings(LatentSettings(steps=2, candidates=2, refine_camera=True), TuningSettings(steps=2))


def _render(
    scene: GaussianHierarchy, cameras: Cameras, width: int, height: int, background: Tensor
) -> tuple[Tensor, Tensor]:
    """Pictures (1, V, H, W, 3) and alphas that depend on what real ones depend on, by real operations."""
    seen = scene.means.mean() + scene.sh.mean() + cameras.cam_to_world.mean((-2, -1))  # (1, V)
    pixels = torch.zeros(height, width, 3, device=scene.device)
    return seen[..., None, None, None] + pixels + background, seen[..., None, None, None] + pixels[..., :1]


@pytest.fixture
def elsewhere(model: Generator, monkeypatch: pytest.MonkeyPatch) -> Generator:
    """The model where no value is."""
    monkeypatch.setattr("hgs_toolkit.inversion.latent.render", _render)
    for size, small in {"SHORT_SEARCH": 2, "IDENTITIES": 1, "YAWS": 3, "PITCHES": 2}.items():
        monkeypatch.setattr(f"hgs_toolkit.inversion.poses.{size}", small)
    monkeypatch.setattr(Tensor, "item", lambda _: 1.0)
    monkeypatch.setattr(Tensor, "tolist", lambda tensor: np.ones(tensor.shape).tolist())
    monkeypatch.setattr(Tensor, "__float__", lambda _: 1.0)
    monkeypatch.setattr(Tensor, "__bool__", lambda _: True)
    monkeypatch.setattr(GaussianHierarchy, "_check_forest", lambda _: None)
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())
    return copy.deepcopy(model).to(META)


@pytest.mark.parametrize("covered", [True, False])
@pytest.mark.parametrize("estimated", [True, False])
def test_photographs_on_the_cpu_are_searched_for_on_the_models_device(
    elsewhere: Generator, target: Target, covered: bool, estimated: bool
) -> None:
    photographs = target if covered else Target(target.colors, None, target.cameras)
    found = invert(elsewhere, photographs, Objective(), replace(QUICK, estimate_camera=estimated))
    shown = draw_photographs(found.scene, photographs, found.fit)
    tensors = (found.fit.ws, found.fit.background, found.fit.cameras.cam_to_world, found.scene.means, shown)
    assert {tensor.device for tensor in tensors} == {META}
    assert device_of(found.model) == META


def test_a_discriminator_there_compares_them(elsewhere: Generator, target: Target) -> None:
    there = target.to(META)
    config = DiscriminatorConfig(kind="residual", resolution=16, channels=(4, 8, 8), pose="projection", mbstd_group=0)
    networks = {"discriminator": discriminator_features(make_discriminator(config).to(META), there.cameras.labels)}
    found = invert(elsewhere, there, Objective(networks=networks), QUICK)
    assert found.scene.device == META


def test_the_stand_in_refuses_two_devices(elsewhere: Generator, target: Target) -> None:
    scene = elsewhere.synthesize(elsewhere.map(torch.zeros(1, 8, device=META)))
    with pytest.raises(RuntimeError, match="device"):
        _render(scene, target.cameras.reshape(1, -1), 8, 8, torch.zeros(3, device=META))
