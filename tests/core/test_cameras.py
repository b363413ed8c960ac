"""Cameras: labels, axis conventions, trajectories and pose laws."""

import math

import pytest
import torch

from hgs_toolkit import cameras as cam
from hgs_toolkit.errors import ShapeError
from hgs_toolkit.pose_prior import PosePrior

ANGLES = torch.tensor([[0.0, 0.0], [0.4, -0.3], [-1.2, 0.9], [3.0, 0.2]])


def _some() -> cam.Cameras:
    return cam.from_yaw_pitch(ANGLES[:, 0], ANGLES[:, 1], radius=2.7, focal=1.8)


def test_labels_and_cameras_are_two_views_of_the_same_numbers() -> None:
    cameras = _some()
    assert cameras.labels.shape == (4, 25)
    assert torch.equal(cam.Cameras.from_labels(cameras.labels).labels, cameras.labels)


def test_the_frontal_camera_stands_at_plus_z_and_sees_the_world_upright() -> None:
    view = cam.frontal().viewmats[0]
    in_camera = view @ torch.tensor([0.3, 0.2, 0.1, 1.0])
    torch.testing.assert_close(in_camera[:3], torch.tensor([0.3, -0.2, 2.7 - 0.1]))


def test_yaw_moves_the_camera_to_plus_x_and_pitch_moves_it_up() -> None:
    position = cam.from_yaw_pitch(torch.tensor([0.3]), torch.tensor([0.2])).positions[0]
    assert position[0] > 0
    assert position[1] > 0


def test_yaw_pitch_and_radius_come_back_from_the_matrix() -> None:
    yaw, pitch, radius = cam.yaw_pitch_radius(_some().cam_to_world)
    torch.testing.assert_close(yaw, ANGLES[:, 0])
    torch.testing.assert_close(pitch, ANGLES[:, 1])
    torch.testing.assert_close(radius, torch.full((4,), 2.7))


def test_camera_matrices_are_rigid_and_look_at_the_origin() -> None:
    cameras = _some()
    rotation = cameras.cam_to_world[:, :3, :3]
    torch.testing.assert_close(rotation @ rotation.mT, torch.eye(3).expand(4, 3, 3), atol=1e-6, rtol=0)
    torch.testing.assert_close(torch.linalg.det(rotation), torch.ones(4))
    torch.testing.assert_close(cameras.forward, -cameras.positions / 2.7)


@pytest.mark.parametrize("pitch", [math.pi / 2, -math.pi / 2])
def test_a_camera_straight_above_or_below_is_still_rigid(pitch: float) -> None:
    rotation = cam.from_yaw_pitch(torch.tensor([0.0]), torch.tensor([pitch])).cam_to_world[0, :3, :3]
    torch.testing.assert_close(rotation @ rotation.mT, torch.eye(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(torch.linalg.det(rotation), torch.tensor(1.0))


def test_viewmats_undo_camera_to_world() -> None:
    cameras = _some()
    torch.testing.assert_close(cameras.viewmats @ cameras.cam_to_world, torch.eye(4).expand(4, 4, 4), atol=1e-6, rtol=0)


def test_axis_conversion_to_opengl_turns_y_and_z_and_back_is_exact() -> None:
    c2w = _some().cam_to_world
    gl = cam.convert_camera_axes(c2w, "opencv", "opengl")
    assert torch.equal(gl[..., :3, 1:3], -c2w[..., :3, 1:3])
    assert torch.equal(gl[..., 0], c2w[..., 0])
    assert torch.equal(gl[..., 3], c2w[..., 3])
    assert torch.equal(cam.convert_camera_axes(gl, "opengl", "opencv"), c2w)


@pytest.mark.parametrize("frame", sorted(cam.WORLD_FRAMES))
def test_world_frames_are_proper_rotations_and_conversions_compose(frame: str) -> None:
    rotation = cam.world_rotation("y_up", frame)
    torch.testing.assert_close(torch.linalg.det(rotation), torch.tensor(1.0))
    for other in cam.WORLD_FRAMES:
        through = cam.world_rotation(frame, other) @ rotation
        torch.testing.assert_close(through, cam.world_rotation("y_up", other))


def test_up_is_z_in_blenders_frame_and_minus_y_in_colmaps() -> None:
    up, front = torch.tensor([0.0, 1.0, 0.0]), torch.tensor([0.0, 0.0, 1.0])
    assert (cam.world_rotation("y_up", "z_up") @ up).tolist() == [0, 0, 1]
    assert (cam.world_rotation("y_up", "z_up") @ front).tolist() == [0, -1, 0]
    assert (cam.world_rotation("y_up", "rdf") @ up).tolist() == [0, -1, 0]


def test_pixel_intrinsics_scale_with_the_image() -> None:
    matrix = cam.frontal(focal=2.0).pixel_intrinsics(200, 100)[0]
    assert matrix.tolist() == [[400, 0, 100], [0, 200, 50], [0, 0, 1]]


def test_an_orbit_closes_and_an_ellipse_stays_in_its_ranges() -> None:
    orbit = cam.orbit(8)
    step = orbit.positions.roll(-1, 0) - orbit.positions
    torch.testing.assert_close(step.norm(dim=-1), step.norm(dim=-1)[:1].expand(8))
    yaw, pitch, _ = cam.yaw_pitch_radius(cam.ellipse(64, yaw_range=0.4, pitch_range=0.2, pitch=0.05).cam_to_world)
    assert yaw.abs().max() <= 0.4 + 1e-5
    assert (pitch - 0.05).abs().max() <= 0.2 + 1e-5


def test_mirrored_labels_are_an_involution_and_mirror_the_projection() -> None:
    cameras = _some()
    mirrored = cam.mirror_labels(cameras.labels)
    torch.testing.assert_close(cam.mirror_labels(mirrored), cameras.labels)
    points = torch.randn(4, 4, 1, generator=torch.Generator().manual_seed(0))
    points[:, 3] = 1
    flipped = points.clone()
    flipped[:, 0] *= -1
    before = cameras.viewmats @ points
    after = cam.Cameras.from_labels(mirrored).viewmats @ flipped
    torch.testing.assert_close(after[:, 0], -before[:, 0])
    torch.testing.assert_close(after[:, 1:], before[:, 1:])


def test_a_pose_prior_is_repeatable_and_keeps_its_limits() -> None:
    prior = PosePrior(yaw_spread=2.0, yaw_limit=0.7, pitch_law="uniform", pitch_spread=0.2, focal=3.0)
    first = prior.sample(500, torch.Generator().manual_seed(1))
    again = prior.sample(500, torch.Generator().manual_seed(1))
    assert torch.equal(first.labels, again.labels)
    yaw, pitch, _ = cam.yaw_pitch_radius(first.cam_to_world)
    assert yaw.abs().max() <= 0.7 + 1e-5
    assert (pitch - 0.05).abs().max() <= 0.2 + 1e-5
    assert (first.intrinsics[:, 0, 0] == 3).all()


def test_wrong_shapes_and_laws_are_refused_with_what_was_expected() -> None:
    with pytest.raises(ShapeError, match="expected 25"):
        cam.Cameras.from_labels(torch.zeros(2, 24))
    with pytest.raises(ShapeError, match="expected"):
        cam.Cameras(torch.eye(4), torch.zeros(1, 3, 3))
    with pytest.raises(ShapeError, match="normal"):
        PosePrior(yaw_law="gauss")


def test_another_focal_length_keeps_the_pose_and_none_changes_nothing() -> None:
    cameras = _some()
    assert cameras.with_focal(None) is cameras
    other = cameras.with_focal(2.5)
    assert torch.equal(other.cam_to_world, cameras.cam_to_world)
    assert torch.equal(other.intrinsics, cam.make_intrinsics(2.5, (4,)))


def test_whole_numbers_of_radians_give_the_same_cameras() -> None:
    whole = cam.from_yaw_pitch(torch.tensor([0, 1]), torch.tensor([0, 0]))
    torch.testing.assert_close(whole.labels, cam.from_yaw_pitch(torch.tensor([0.0, 1.0]), torch.zeros(2)).labels)
