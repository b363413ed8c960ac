from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from hgs_toolkit.cameras import from_yaw_pitch, world_rotation
from hgs_toolkit.datasets.world import PlacementOptions, place_scene, upright
from hgs_toolkit.errors import DataError
from hgs_toolkit.pose_prior import PosePrior

AROUND = from_yaw_pitch(torch.linspace(0, 6, 12).double(), torch.linspace(-0.4, 0.8, 12).double()).cam_to_world.numpy()
"""Twelve cameras 2.7 from the origin of our own world."""


def moved(cameras: np.ndarray, rotation: np.ndarray, shift: object, scale: float) -> np.ndarray:
    """The same cameras in a world that is turned, scaled and moved."""
    result = cameras.copy()
    result[:, :3, :3] = rotation @ cameras[:, :3, :3]
    result[:, :3, 3] = scale * cameras[:, :3, 3] @ rotation.T + np.asarray(shift)
    return result


def test_any_up_becomes_y_by_a_rotation() -> None:
    directions = np.random.default_rng(0).normal(size=(50, 3))
    for up in [*directions / np.linalg.norm(directions, axis=1, keepdims=True), *np.eye(3), *-np.eye(3)]:
        rotation = upright(up)
        assert rotation @ up == pytest.approx([0, 1, 0], abs=1e-12)
        assert rotation @ rotation.T == pytest.approx(np.eye(3), abs=1e-12)
        assert np.linalg.det(rotation) == pytest.approx(1)


@pytest.mark.parametrize(("frame", "up"), [("z_up", (0, 0, 1)), ("rdf", (0, -1, 0)), ("y_up", (0, 1, 0))])
def test_the_frames_of_other_programs_turn_as_named(frame: str, up: tuple[float, float, float]) -> None:
    assert upright(np.array(up, float)) == pytest.approx(world_rotation(frame, "y_up").numpy(), abs=0)
    cameras = moved(AROUND, world_rotation("y_up", frame).numpy(), (0.0, 0.0, 0.0), 1.0)
    assert place_scene(cameras, PlacementOptions(), "x").apply(cameras) == pytest.approx(AROUND, abs=1e-6)


def test_our_own_world_is_left_alone_bit_for_bit() -> None:
    cameras = PosePrior().sample(30, torch.Generator().manual_seed(0)).cam_to_world.double().numpy()
    placement = place_scene(cameras, PlacementOptions(), "x")
    assert str(placement) == "left as it is"
    assert np.array_equal(placement.apply(cameras), cameras)


def test_any_similarity_is_undone_up_to_the_turn_about_the_vertical() -> None:
    tilt = Rotation.from_rotvec([0.9, 0.3, -0.6]).as_matrix()
    half = AROUND[:6]
    cameras = moved(half, tilt, (10.0, -4.0, 2.0), 0.05)
    placed = place_scene(cameras, PlacementOptions(up="cameras", front="mean"), "x").apply(cameras)
    wanted = place_scene(half, PlacementOptions(up="cameras", front="mean"), "x").apply(half)
    assert placed == pytest.approx(wanted, abs=1e-6)
    mean = placed[:, :3, 3].mean(axis=0)
    assert mean[0] == pytest.approx(0, abs=1e-6)
    assert mean[2] > 0
    assert np.median(np.linalg.norm(placed[:, :3, 3], axis=1)) == pytest.approx(2.7)


def test_a_tilted_up_direction_is_taken_as_it_is_and_a_nearly_straight_one_as_the_axis() -> None:
    for degrees, snaps in ((10, True), (35, False)):
        tilt = Rotation.from_euler("x", degrees, degrees=True).as_matrix()
        up = place_scene(moved(AROUND, tilt, 0.0, 1.0), PlacementOptions(), "x").rotation[1]
        assert (np.array_equal(up, [0, 1, 0])) == snaps


def test_center_and_radius_are_those_given() -> None:
    placement = place_scene(AROUND, PlacementOptions("keep", "keep", (1.0, 2.0, 3.0), 5.0), "x")
    point = np.eye(4)
    point[:3, 3] = [1.0, 2.0, 3.0]
    assert placement.apply(point)[:3, 3] == pytest.approx([0, 0, 0])
    assert np.median(np.linalg.norm(placement.apply(AROUND)[:, :3, 3], axis=1)) == pytest.approx(5)
    assert place_scene(AROUND, PlacementOptions("keep", "keep", (1.0, 2.0, 3.0), None), "x").scale == 1


def test_cameras_that_do_not_say_where_the_subject_is_are_refused_with_advice() -> None:
    parallel = np.stack([np.eye(4)] * 4)
    parallel[:, 0, 3] = range(4)
    with pytest.raises(DataError, match=r"look in parallel.*--center"):
        place_scene(parallel, PlacementOptions(), "hall")
    away = AROUND.copy()
    away[:, :3, 1:3] *= -1
    with pytest.raises(DataError, match="most cameras of hall look away"):
        place_scene(away, PlacementOptions(), "hall")
    with pytest.raises(DataError, match="stand where the subject should be"):
        place_scene(np.stack([np.eye(4)] * 2), PlacementOptions(center=(0.0, 0.0, 0.0)), "hall")
    rolled = np.stack([AROUND[0], AROUND[0]])
    rolled[1, :3, :2] *= -1
    with pytest.raises(DataError, match=r"no common up direction.*--up"):
        place_scene(rolled, PlacementOptions(center="keep"), "hall")
    circle = from_yaw_pitch(torch.arange(4) * np.pi / 2, torch.zeros(4)).cam_to_world.double().numpy()
    with pytest.raises(DataError, match="no side is the front"):
        place_scene(circle, PlacementOptions(front="mean"), "hall")
    with pytest.raises(DataError, match="the centre is 'middle'"):
        PlacementOptions(center="middle")
    with pytest.raises(DataError, match="up 'w'"):
        PlacementOptions(up="w")


def test_a_single_camera_that_looks_past_the_origin_is_centred_there() -> None:
    single = from_yaw_pitch(torch.tensor([0.7]), torch.tensor([0.2]), radius=4.0).cam_to_world.double().numpy()
    placed = place_scene(single, PlacementOptions(), "photo").apply(single)
    assert placed[0, :3, 3] == pytest.approx(single[0, :3, 3] * 2.7 / 4.0, abs=1e-5)
    aside = single + 0.0
    aside[0, :3, 3] += 2 * single[0, :3, 0]
    for elsewhere in (aside, single * [1, -1, -1, 1]):
        with pytest.raises(DataError, match=r"look in parallel.*--center"):
            place_scene(elsewhere, PlacementOptions(), "photo")


def test_a_centre_is_finite() -> None:
    with pytest.raises(DataError, match="expected look-at, keep or three finite numbers"):
        PlacementOptions(center=(float("nan"), 0.0, 0.0))
