"""The estimators of pose and shape: exact where they can be, worse for what is wrong."""

from __future__ import annotations

import numpy as np
import torch

from hgs_toolkit.datasets.critters.drawing import POSES
from hgs_toolkit.evaluation.geometry import Estimator, ShapeImages, critter_shapes
from hgs_toolkit.evaluation.pose import angles, pose_error
from hgs_toolkit.metrics.kid import Array

LEARNED, SEEN = 60, 12


def features_of(poses: Array, noise: float = 0.0) -> Array:
    """Features (N, 8) that are linear in the pose."""
    rng = np.random.default_rng(0)
    return np.asarray(poses @ rng.normal(size=(2, 8)) + noise * rng.normal(size=(len(poses), 8)))


def test_poses_are_read_from_features_and_wrong_ones_are_found_out() -> None:
    cameras = POSES.sample(120, torch.Generator().manual_seed(0))
    known, seen = cameras[:80], cameras[80:]
    errors = [pose_error(features_of(angles(known), noise), known, features_of(angles(seen), noise), seen)
              for noise in (0.0, 5.0, 50.0)]  # fmt: skip
    assert errors[0] < 0.2
    assert errors == sorted(errors)
    turned = seen[torch.randperm(len(seen), generator=torch.Generator().manual_seed(1))]
    assert pose_error(features_of(angles(known)), known, features_of(angles(seen)), turned) > 5


def test_a_wrong_shape_behind_a_right_picture_is_found_out() -> None:
    cameras = POSES.sample(LEARNED + SEEN, torch.Generator().manual_seed(0))
    known, seen = cameras[:LEARNED], cameras[LEARNED:]
    estimator = Estimator.learn(critter_shapes(0, known, lambda _: None), known)
    shapes = critter_shapes(LEARNED, seen, lambda _: None)
    right = estimator.compare(shapes, seen)
    flat = estimator.compare([shape._replace(depth=torch.full_like(shape.depth, 2.3)) for shape in shapes], seen)
    turned = estimator.compare([shape._replace(normal=-shape.normal) for shape in shapes], seen)
    assert right is not None
    assert flat is not None
    assert turned is not None
    assert right.depth < 0.1
    assert flat.depth > 1.3 * right.depth
    assert turned.normal > 90 > right.normal


def test_nothing_solid_has_no_geometry() -> None:
    cameras = POSES.sample(LEARNED, torch.Generator().manual_seed(0))
    shapes = critter_shapes(0, cameras[:12], lambda _: None)
    estimator = Estimator.learn(shapes, cameras[:12])
    nothing = ShapeImages(*(torch.zeros_like(layer) for layer in shapes[0]))
    assert estimator.compare([nothing], cameras[:1]) is None
