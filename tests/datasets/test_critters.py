import dataclasses
from collections import Counter

import numpy as np
import pytest
import torch
import trimesh

from hgs_toolkit.cameras import Cameras, from_yaw_pitch, mirror_labels, yaw_pitch_radius
from hgs_toolkit.datasets.critters.anatomy import BACK_PARTS, PART_NAMES
from hgs_toolkit.datasets.critters.drawing import Critter, critter, critter_image
from hgs_toolkit.datasets.critters.patterns import PATTERNS
from hgs_toolkit.datasets.critters.raycast import Ellipsoids, Values
from hgs_toolkit.errors import ShapeError
from hgs_toolkit.pose_prior import PosePrior

CROWD = [critter(7, index) for index in range(120)]


def label_at(yaw: float, pitch: float) -> Values:
    label: Values = from_yaw_pitch(torch.tensor([float(yaw)]), torch.tensor([float(pitch)])).labels[0].numpy()
    return label


def test_an_image_depends_on_its_seed_and_index_alone() -> None:
    first = critter_image(3, 5, 32)
    critter_image(3, 4, 32)
    again = critter_image(3, 5, 32)
    assert np.array_equal(first[0], again[0])
    assert np.array_equal(first[1], again[1])
    assert not np.array_equal(first[0], critter_image(3, 6, 32)[0])
    assert not np.array_equal(first[0], critter_image(4, 5, 32)[0])


def test_cameras_follow_the_pose_law() -> None:
    labels = torch.from_numpy(np.stack([critter(11, index).label for index in range(400)]))
    yaw, pitch, radius = yaw_pitch_radius(Cameras.from_labels(labels).cam_to_world)
    law = PosePrior()
    assert torch.allclose(radius, torch.full_like(radius, law.radius), atol=1e-5)
    assert abs(yaw.mean()) < 4 * 0.35 / 20
    assert abs(pitch.mean() - 0.05) < 4 * 0.18 / 20
    assert 0.30 < yaw.std() < 0.40
    assert 0.15 < pitch.std() < 0.21
    assert yaw.abs().max() <= 1 + 1e-5
    assert torch.equal(labels[:, 16], torch.full((400,), 2.0))


def test_the_picture_of_its_own_camera_is_the_training_image() -> None:
    subject = CROWD[0]
    image, label = critter_image(7, 0, 48)
    assert np.array_equal(subject.label, label)
    assert np.array_equal(subject.render(label, 48).rgba, image)


@pytest.mark.parametrize("subject", CROWD[:24])
def test_no_critter_is_cut_off_and_each_fills_its_frame(subject: Critter) -> None:
    alphas = [subject.render(label_at(yaw, pitch), 64).alpha for yaw in (-1, 0, 1) for pitch in (-0.45, 0.05, 0.55)]
    for alpha in alphas:
        assert max(alpha[0].max(), alpha[-1].max(), alpha[:, 0].max(), alpha[:, -1].max()) == 0
    extents = [np.ptp(np.flatnonzero(alpha.any(axis=axis))) for alpha in alphas for axis in (0, 1)]
    assert max(extents) >= 56
    vertices = np.asarray(subject.mesh(1).vertices)
    assert np.abs(vertices).max() < 0.8


@pytest.mark.parametrize("subject", CROWD[:24])
def test_a_face_is_seen_from_the_front(subject: Critter) -> None:
    part = subject.render(label_at(0, 0.05), 64).part
    pixels = Counter(PART_NAMES[number] for number in part.ravel())
    assert pixels["eye"] >= 16
    assert pixels["nose"] >= 4
    assert pixels["muzzle"] >= 30
    assert pixels["ear"] + pixels["inner ear"] >= 8


def test_a_third_wears_hats_and_every_kind_of_part_and_pattern_occurs() -> None:
    hats = sum(PART_NAMES.index("hat") in subject.parts for subject in CROWD)
    assert 0.2 < hats / len(CROWD) < 0.5
    assert {subject.coat.pattern for subject in CROWD} == set(PATTERNS)
    parts = {number for subject in CROWD for number in subject.parts.tolist()}
    assert parts == set(range(1, len(PART_NAMES) - BACK_PARTS))
    assert {len(subject.parts) for subject in CROWD} <= set(range(10, 31))


def test_depth_and_normals_are_those_of_the_shape() -> None:
    subject, label = CROWD[1], label_at(0.3, 0.1)
    rendering = subject.render(label, 96, samples=1)
    seen = rendering.alpha > 0
    rows, columns = np.nonzero(seen)
    matrix = label[:16].reshape(4, 4)
    rays = np.stack([(columns + 0.5) / 96 - 0.5, (rows + 0.5) / 96 - 0.5, np.full(len(rows), 2.0)], axis=1) / 2
    points = (rays * rendering.depth[seen][:, None]) @ matrix[:3, :3].T + matrix[:3, 3]
    solids = subject.solids
    local = np.einsum("kij,nkj->nki", solids.to_unit, points[:, None] - solids.centers)
    level = np.linalg.norm(local, axis=-1)
    assert np.abs(level.min(axis=1) - 1).max() < 1e-3  # on the union's surface: outside all others
    nearest = level.argmin(axis=1)
    gradient = np.einsum("nij,ni->nj", solids.to_unit[nearest], local[np.arange(len(nearest)), nearest])
    gradient /= np.linalg.norm(gradient, axis=1, keepdims=True)
    assert np.quantile((gradient * rendering.normal[seen]).sum(axis=1), 0.02) > 0.99
    assert (subject.parts[nearest] == rendering.part[seen]).mean() > 0.97


def test_outside_the_critter_everything_is_zero() -> None:
    rendering = CROWD[2].render(CROWD[2].label, 32)
    empty = rendering.alpha == 0
    assert empty.any()
    for image in (rendering.rgb, rendering.depth, rendering.normal, rendering.part):
        assert not image[empty].any()
    assert np.allclose(np.linalg.norm(rendering.normal[~empty], axis=-1), 1, atol=1e-4)


def test_more_samples_converge_to_the_same_picture() -> None:
    subject = CROWD[3]
    coarse, fine, finest = (subject.render(subject.label, 32, samples) for samples in (1, 4, 8))

    def distance(rendering: object) -> float:
        premultiplied = [r.rgb * r.alpha[..., None] for r in (rendering, finest)]  # type: ignore[attr-defined]
        return float(np.abs(premultiplied[0] - premultiplied[1]).mean())

    assert distance(fine) < 0.4 * distance(coarse)


def test_a_mirrored_camera_sees_the_mirrored_image_of_the_mirrored_critter() -> None:
    flip = np.diag([-1.0, 1.0, 1.0])
    subject, label = CROWD[5], label_at(0.4, 0.2)
    solids = Ellipsoids(subject.solids.centers @ flip, flip @ subject.solids.rotations @ flip, subject.solids.radii)
    mirrored_label = mirror_labels(torch.from_numpy(label)[None])[0].numpy()
    image = subject.render(label, 48)
    mirrored = dataclasses.replace(subject, solids=solids).render(mirrored_label, 48)
    assert np.array_equal(image.alpha, mirrored.alpha[:, ::-1])
    assert np.array_equal(image.part, mirrored.part[:, ::-1])
    assert np.allclose(image.depth, mirrored.depth[:, ::-1], atol=1e-5)
    assert np.allclose(image.normal, mirrored.normal[:, ::-1] * [-1, 1, 1], atol=1e-3)


def test_its_mesh_has_the_colours_and_the_outline_of_its_pictures() -> None:
    pytest.importorskip("embreex")
    subject, label = CROWD[4], label_at(0.2, 0.1)
    rendering, mesh = subject.render(label, 48, samples=1), subject.mesh(4)
    matrix = label[:16].reshape(4, 4).astype(np.float64)
    x, y = np.meshgrid(*[((np.arange(48) + 0.5) / 48 - 0.5) / 2] * 2)
    directions = np.stack([x, y, np.ones_like(x)], axis=-1).reshape(-1, 3) @ matrix[:3, :3].T
    triangle = mesh.ray.intersects_first(np.broadcast_to(matrix[:3, 3], directions.shape), directions)
    assert ((triangle >= 0) != (rendering.alpha.ravel() > 0)).mean() < 0.01
    both = (triangle >= 0) & (rendering.alpha.ravel() > 0)
    assert isinstance(mesh.visual, trimesh.visual.ColorVisuals)
    color = np.asarray(mesh.visual.vertex_colors)[mesh.faces[triangle[both]]].mean(axis=1)[:, :3] / 255
    lit = rendering.rgb.reshape(-1, 3)[both]
    assert np.corrcoef(color.ravel(), lit.ravel())[0, 1] > 0.85


@pytest.mark.parametrize(
    ("label", "resolution", "samples"), [(np.zeros(16), 8, 2), (np.zeros(25), 0, 2), (np.zeros(25), 8, 0)]
)
def test_a_picture_that_makes_no_sense_is_refused(label: Values, resolution: int, samples: int) -> None:
    with pytest.raises(ShapeError, match="expected"):
        CROWD[0].render(label, resolution, samples)
