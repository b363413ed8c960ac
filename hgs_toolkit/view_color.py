"""View-dependent colour as spherical harmonics, fitted per Gaussian to a model's colour head over many cameras.

The head of a view-dependent model sees the camera's viewing direction, one for the whole image; a splat file holds
harmonics of the direction from the camera to each Gaussian. Both are known for a camera, so each Gaussian's
coefficients are found by least squares over cameras at the model's own distance: parallax is part of the fit.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from hgs_toolkit.cameras import Cameras, from_yaw_pitch
from hgs_toolkit.devices import device_of
from hgs_toolkit.encoding import SH_C0, bound_dc, sh_bases, unbound_dc
from hgs_toolkit.errors import ConfigError
from hgs_toolkit.gaussians import GaussianHierarchy
from hgs_toolkit.model.generator import FRONTAL_VIEW
from hgs_toolkit.rendering.harmonics import sh_basis

if TYPE_CHECKING:
    from hgs_toolkit.model.generator import Generator

logger = logging.getLogger(__name__)

PRIOR_CAMERAS, SPHERE_CAMERAS = 192, 64
"""Numbers of cameras of the fit: drawn from the model's pose prior, and spread over the whole sphere."""

SPHERE_SHARE = 0.1
"""Share of the weight that cameras over the sphere get: the model was not trained there, but harmonics without any
constraint there would grow without bound."""

RIDGE = 1e-6
"""Share of the mean diagonal added to the normal equations, so that they can be solved for any cameras."""

CHUNK = 4096
"""Number of Gaussians fitted at once (some 70 MB)."""


@dataclass(frozen=True, eq=False)
class FitCameras:
    """Cameras of a fit and their weights.

    Attributes:
        cameras: (K,).
        weights: (K,) not negative; the errors are averaged with the same weights.
    """

    cameras: Cameras
    weights: Tensor


@dataclass(frozen=True)
class ColorFit:
    """How well harmonics of a degree reproduce the colour head, in display colours 0..1 before clamping.

    Attributes:
        degree: of the harmonics.
        rms: root mean squared difference over cameras (by weight), Gaussians and channels.
        worst: largest difference under a camera of the pose prior.
        frozen_rms: the same with the frontal camera's colour kept for all cameras.
    """

    degree: int
    rms: float
    worst: float
    frozen_rms: float


def fitting_cameras(model: Generator, seed: int = 0) -> FitCameras:
    """The default cameras: of the model's pose prior, and a tenth of their weight for the sphere of its radius."""
    prior = model.config.poses
    drawn = prior.sample(PRIOR_CAMERAS, torch.Generator().manual_seed(seed))
    around = sphere_cameras(SPHERE_CAMERAS, prior.radius)
    matrices = torch.cat([drawn.cam_to_world, around.cam_to_world])
    weights = [(1 - SPHERE_SHARE) / PRIOR_CAMERAS] * PRIOR_CAMERAS + [SPHERE_SHARE / SPHERE_CAMERAS] * SPHERE_CAMERAS
    return FitCameras(Cameras(matrices, torch.cat([drawn.intrinsics, around.intrinsics])), torch.tensor(weights))


def sphere_cameras(count: int, radius: float) -> Cameras:
    """``count`` cameras (K,) spread evenly over a sphere by the golden angle, looking at the origin."""
    index = torch.arange(count)
    yaw = index * (math.pi * (3.0 - math.sqrt(5.0)))
    pitch = torch.asin((2 * index + 1) / count - 1)
    return from_yaw_pitch(yaw, pitch, radius)


@torch.no_grad()
def fit_view_color(
    model: Generator, scene: GaussianHierarchy, degree: int, fit_cameras: FitCameras | None = None
) -> tuple[GaussianHierarchy, ColorFit]:
    """``scene`` with harmonics of ``degree`` in place of the frontal camera's colours.

    Args:
        model: a generator with view-dependent colour.
        scene: a batch of one that it synthesized for the frontal view; the background stays as it is, since it does
            not depend on the view.
        degree: 0 (keeps the frontal colours) to 3.
        fit_cameras: default :func:`fitting_cameras`.

    Returns:
        The scene on its device, and the error, which is also logged.

    Raises:
        ConfigError: if the model's colour does not depend on the view.
    """
    if model.view_embedding is None:
        raise ConfigError("this model's colour does not depend on the view; there is nothing to fit")
    chosen = fit_cameras or fitting_cameras(model)
    cameras, weights = chosen.cameras.to(scene.device), chosen.weights.to(scene.device)
    device = device_of(model)
    directions = torch.cat([torch.tensor([FRONTAL_VIEW]), chosen.cameras.forward.cpu()]).to(device)
    embedded = model.view_embedding(directions)  # (1 + K, 32)
    fitted = functional.pad(scene.sh[0], (0, 0, 0, sh_bases(degree) - scene.sh.shape[2]))  # (N, J, 3)
    color = _unbound(model, scene.sh[0, :, 0])  # (N, 3)
    raw = _raw_colors(model, scene, color)
    errors = _Errors(weights)
    for level in range(model.config.levels):
        shifts = model.heads[level].view_shift(embedded).to(scene.device)  # type: ignore[operator]
        for index in (scene.level == level).nonzero().squeeze(1).split(CHUNK):
            changes = _color_changes(raw[index], shifts, model.config.soft_clamp)  # (n, K, 3)
            wanted = color[index].unsqueeze(1) + changes  # (n, K, 3)
            wanted = SH_C0 * (bound_dc(wanted) if model.config.bounded_color else wanted)
            basis = _basis(scene.means[0, index], cameras, degree)  # (n, K, J)
            if degree:
                fitted[index] = weighted_least_squares(basis, wanted, weights)
            errors.add(basis @ fitted[index] - wanted, wanted - SH_C0 * scene.sh[0, index, :1])
    fit = errors.summary(degree)
    logger.info(
        "colour harmonics of degree %d differ from the model's view-dependent colour by %.4f (root mean square, of "
        "0..1; at most %.3f); the frontal colour kept for all views would by %.4f",
        degree, fit.rms, fit.worst, fit.frozen_rms,
    )  # fmt: skip
    return scene.replace(sh=fitted.unsqueeze(0)), fit


def weighted_least_squares(basis: Tensor, wanted: Tensor, weights: Tensor) -> Tensor:
    """Coefficients (n, J, D) that minimise Σ_k weights_k |basis_k coefficients − wanted_k|².

    Args:
        basis: (n, K, J).
        wanted: (n, K, D).
        weights: (K,).
    """
    weighted = (basis * weights[:, None]).mT  # (n, J, K)
    normal = (weighted @ basis).double()  # (n, J, J)
    ridge = RIDGE * normal.diagonal(dim1=1, dim2=2).mean(-1)  # (n,)
    normal.diagonal(dim1=1, dim2=2).add_(ridge[:, None])
    coefficients: Tensor = torch.linalg.solve(normal, (weighted @ wanted).double())
    return coefficients.to(basis.dtype)


def _basis(means: Tensor, cameras: Cameras, degree: int) -> Tensor:
    """Harmonics (n, K, J) as the renderer evaluates them: of the directions from the cameras to the Gaussians."""
    return sh_basis(functional.normalize(means[:, None] - cameras.positions, dim=-1), degree)


def _unbound(model: Generator, dc: Tensor) -> Tensor:
    """Degree-0 coefficients as the tree adds them up, before a model with bounded colours squashes them."""
    return unbound_dc(dc) if model.config.bounded_color else dc


def _raw_colors(model: Generator, scene: GaussianHierarchy, color: Tensor) -> Tensor:
    """The head's own part (N, 3) of ``color``, the unbounded coefficients: without what the parent's anchor gives."""
    if not model.densify.inherits or scene.anchors is None:
        return color
    inherited = _unbound(model, scene.anchors.sh[0, :, 0])[scene.parent.clamp_min(0)]
    return torch.where((scene.parent >= 0)[:, None], color - inherited, color)


def _color_changes(raw: Tensor, shifts: Tensor, soft_clamp: float | None) -> Tensor:
    """Change (n, K, 3) of the colour coefficient from the first view to each of the others.

    Args:
        raw: (n, 3) the head's output for the first view.
        shifts: (1 + K, 3) what the views add to it before the soft clamp.
    """
    change = shifts[1:] - shifts[:1]  # (K, 3)
    if soft_clamp is None:
        return change.expand(len(raw), -1, -1)
    # tanh(a + b) = (tanh a + tanh b) / (1 + tanh a tanh b), where raw = c tanh a
    before, moved = (raw / soft_clamp).unsqueeze(1), (change / soft_clamp).tanh()
    return soft_clamp * ((before + moved) / (1.0 + before * moved) - before)


class _Errors:
    """Weighted squared differences over all Gaussians."""

    def __init__(self, weights: Tensor) -> None:
        self.weights = weights / weights.sum()
        self.count, self.squares, self.frozen, self.worst = 0, 0.0, 0.0, 0.0

    def add(self, differences: Tensor, frozen: Tensor) -> None:
        """Differences (n, K, 3) of the fit, and of the frontal colour."""
        self.count += len(differences)
        self.squares += self._sum(differences)
        self.frozen += self._sum(frozen)
        is_typical = self.weights >= self.weights.mean()
        self.worst = max(self.worst, differences[:, is_typical].abs().max().item())

    def _sum(self, differences: Tensor) -> float:
        return (differences.square().mean(-1) * self.weights).sum().item()

    def summary(self, degree: int) -> ColorFit:
        count = max(self.count, 1)
        return ColorFit(degree, math.sqrt(self.squares / count), self.worst, math.sqrt(self.frozen / count))
