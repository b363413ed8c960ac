"""Scenes packed for the page: exact where it matters, within a step elsewhere, equal bytes for equal scenes."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest
import torch

from hgs_toolkit.encoding import normalize_quats
from hgs_toolkit.errors import ShapeError
from hgs_toolkit.gaussians import GaussianHierarchy
from hgs_toolkit.viewer.packing import STEPS, pack_scene, unpack_scene


@pytest.mark.parametrize("degree", [0, 3])
def test_there_and_back_loses_at_most_half_a_step(degree: int, scene_factory: Callable[..., GaussianHierarchy]) -> None:
    scene = scene_factory(background=5, degree=degree)
    arrays = unpack_scene(pack_scene(scene))
    assert np.array_equal(arrays["means"], scene.means[0].numpy())
    assert np.array_equal(arrays["level"][:, 0], scene.level.numpy())
    expected = {"log_scales": scene.log_scales, "quats": normalize_quats(scene.quats), "sh": scene.sh,
                "opacity_logits": scene.opacity_logits}  # fmt: skip
    for name, value in expected.items():
        flat = value[0].reshape(scene.num_gaussians, -1).numpy()
        assert abs(arrays[name] - flat).max() <= 0.51 * np.ptp(flat) / STEPS + 1e-6


def test_equal_scenes_give_equal_bytes_and_a_header_that_json_can_hold(scene: GaussianHierarchy) -> None:
    first, second = pack_scene(scene), pack_scene(scene)
    assert first.block == second.block
    assert json.loads(json.dumps(first.header)) == second.header


def test_an_array_of_one_value_keeps_it(scene: GaussianHierarchy) -> None:
    flat = scene.replace(log_scales=torch.full_like(scene.log_scales, -2.5))
    assert (unpack_scene(pack_scene(flat))["log_scales"] == -2.5).all()


def test_batches_and_empty_scenes_are_refused(scene_factory: Callable[..., GaussianHierarchy]) -> None:
    with pytest.raises(ShapeError, match="2 scenes of 84"):
        pack_scene(scene_factory(batch=2))
    with pytest.raises(ShapeError, match="of 0 Gaussians"):
        pack_scene(scene_factory().select(torch.zeros(84, dtype=torch.bool)))
