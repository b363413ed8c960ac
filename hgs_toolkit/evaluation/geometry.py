"""Depth and normals against those of the demo set's shapes, which are known.

A generated animal has no true twin, so what its image implies is predicted: a Gaussian process learns from critters
what depth and normals belong to an image and its camera, and the model's own depth and normals are compared with the
prediction. Its error on critters it has not seen is the floor; a generator at the floor has the depth that its
images suggest.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from hgs_toolkit.cameras import Cameras
from hgs_toolkit.datasets.critters.drawing import POSES, critter
from hgs_toolkit.datasets.critters.prior import DEMO, CritterPrior
from hgs_toolkit.evaluation.distances import squared_distances
from hgs_toolkit.evaluation.pose import angles
from hgs_toolkit.evaluation.samples import OnDone
from hgs_toolkit.evaluation.shapes import TRUTH_SEED, over_grey, shoot_scene
from hgs_toolkit.gaussians import GaussianHierarchy
from hgs_toolkit.metrics.kid import Array
from hgs_toolkit.rendering import render_normals

SIZE = 32
"""Pixels of the maps that are predicted and compared."""

TAUGHT = 600
"""Critters that the estimator learns from."""

LENGTH, NOISE = 1.5, 1e-3
"""Kernel width, in mean distances between inputs, and the variance of its noise: least error of 4 x 4 values tried."""

ANGLE_WEIGHT = 0.05
"""Weight of a degree of the camera's pose beside an image's values."""

SOLID_ALPHA = 0.9


class ShapeImages(NamedTuple):
    """One image with its shape: rgb (S, S, 3) over grey, alpha (S, S), camera z (S, S), world normals (S, S, 3)."""

    rgb: Tensor
    alpha: Tensor
    depth: Tensor
    normal: Tensor


class GeometryError(NamedTuple):
    """Mean absolute difference of depth in world units, and mean angle between normals in degrees, on solid pixels."""

    depth: float
    normal: float


@dataclass(frozen=True, eq=False)
class Estimator:
    """A Gaussian process from (image, pose) to maps.

    Attributes:
        inputs: (N, d) of the critters learned from.
        width: of the kernel.
        weights: (N, m) of their kernels.
        mean: (m,) map that no image is needed for.
    """

    inputs: Array
    width: float
    weights: Array
    mean: Array

    @classmethod
    def learn(cls, shapes: list[ShapeImages], cameras: Cameras) -> Estimator:
        """The estimator of ``shapes`` under their ``cameras`` (N,)."""
        x, y = _inputs(shapes, cameras), _maps(shapes)
        squares = squared_distances(x, x)
        width, mean = LENGTH * float(np.sqrt(squares.mean())), y.mean(axis=0)
        gram = np.exp(-squares / (2 * width**2)) + NOISE * np.eye(len(x))
        return cls(x, width, np.linalg.solve(gram, y - mean), mean)

    def compare(self, shapes: list[ShapeImages], cameras: Cameras) -> GeometryError | None:
        """How far shapes are from what their images imply; None if no image is solid anywhere."""
        squares = squared_distances(_inputs(shapes, cameras), self.inputs)
        maps = np.exp(-squares / (2 * self.width**2)) @ self.weights + self.mean
        predicted = torch.from_numpy(maps).view(-1, SIZE, SIZE, 4)
        solid = torch.stack([shape.alpha for shape in shapes]) > SOLID_ALPHA
        if not solid.any():
            return None
        depth = torch.stack([shape.depth for shape in shapes]).double() - POSES.radius
        normal = torch.stack([shape.normal for shape in shapes]).double()
        cosine = functional.cosine_similarity(predicted[..., 1:], normal, dim=-1)[solid]
        angle = cosine.clamp(-1, 1).arccos().rad2deg().mean()
        return GeometryError(float((predicted[..., 0] - depth)[solid].abs().mean()), float(angle))


def critter_shapes(start: int, cameras: Cameras, advance: OnDone, prior: CritterPrior = DEMO) -> list[ShapeImages]:
    """Critters of ``prior``, number ``start`` and following, each from its own one of ``cameras`` (N,)."""
    shapes = []
    for index, label in enumerate(cameras.labels.numpy()):
        truth = critter(TRUTH_SEED, start + index, prior).render(label, SIZE)
        rgb, alpha = torch.from_numpy(truth.rgb), torch.from_numpy(truth.alpha)
        shapes.append(
            ShapeImages(over_grey(rgb, alpha), alpha, torch.from_numpy(truth.depth), torch.from_numpy(truth.normal))
        )
        if (index + 1) % 10 == 0:
            advance(1)
    return shapes


@torch.inference_mode()
def scene_shapes(scenes: Iterable[GaussianHierarchy], cameras: Cameras) -> list[ShapeImages]:
    """Generated scenes, each from its own one of ``cameras`` (N,)."""
    shapes = []
    for scene, camera in zip(scenes, cameras, strict=True):
        view = shoot_scene(scene, camera.reshape(1), SIZE)
        normal, _ = render_normals(scene, camera.reshape(1), SIZE, SIZE)
        shapes.append(ShapeImages(view.rgb, view.alpha, view.depth, normal[0, 0]))
    return shapes


def _inputs(shapes: list[ShapeImages], cameras: Cameras) -> Array:
    """Image and coverage at half the size, and the pose: (N, d)."""
    layers = torch.stack([torch.cat([shape.rgb, shape.alpha[..., None]], dim=-1) for shape in shapes]).movedim(-1, 1)
    pooled = functional.avg_pool2d(layers, 2).flatten(1).double().numpy()
    return np.concatenate([pooled, ANGLE_WEIGHT * angles(cameras)], axis=1)


def _maps(shapes: list[ShapeImages]) -> Array:
    """Depth beyond the subject's centre, and normals, one row a shape (N, S * S * 4); 0 where nothing is solid."""
    rows = []
    for shape in shapes:
        values = torch.cat([(shape.depth - POSES.radius)[..., None], shape.normal], dim=-1).double()
        rows.append((values * (shape.alpha > 0)[..., None]).flatten().numpy())
    return np.stack(rows)
