import numpy as np
import pytest
import torch
import trimesh

from hgs_toolkit.cameras import from_yaw_pitch, look_at, make_intrinsics
from hgs_toolkit.datasets.critters.anatomy import turn
from hgs_toolkit.datasets.critters.noise import noise
from hgs_toolkit.datasets.critters.raycast import Array, Ellipsoids, cast, projected_boxes

CAMERA = look_at(torch.tensor([1.0, 0.7, 2.2], dtype=torch.float64)).numpy()
INTRINSICS = make_intrinsics(2.0).double().numpy()


def random_solids(count: int, seed: int = 0) -> Ellipsoids:
    rng = np.random.default_rng(seed)
    rotations = np.stack([turn(*rng.uniform(-3, 3, 3)) for _ in range(count)])
    return Ellipsoids(rng.uniform(-0.3, 0.3, (count, 3)), rotations, rng.uniform(0.05, 0.25, (count, 3)))


def dense_mesh(solids: Ellipsoids) -> trimesh.Trimesh:
    sphere = trimesh.creation.icosphere(subdivisions=5)
    pieces = [
        trimesh.Trimesh(sphere.vertices @ (rotation * radii).T + center, sphere.faces, process=False)
        for center, rotation, radii in zip(solids.centers, solids.rotations, solids.radii, strict=True)
    ]
    mesh = trimesh.util.concatenate(pieces)
    assert isinstance(mesh, trimesh.Trimesh)
    return mesh


def rays(size: int) -> Array:
    ticks = ((np.arange(size) + 0.5) / size - 0.5) / 2.0
    x, y = np.meshgrid(ticks, ticks)
    directions: Array = np.stack([x, y, np.ones_like(x)], axis=-1).reshape(-1, 3) @ CAMERA[:3, :3].T
    return directions


def test_hits_agree_with_embree_on_dense_meshes() -> None:
    pytest.importorskip("embreex")
    solids, size = random_solids(6), 48
    mesh, directions = dense_mesh(solids), rays(size)
    origins = np.broadcast_to(CAMERA[:3, 3], directions.shape)
    triangle = mesh.ray.intersects_first(origins, directions)
    expected_row = np.where(triangle >= 0, triangle // (len(mesh.faces) // 6), -1)
    hits = cast(solids, CAMERA, INTRINSICS, size)
    row = np.full(size * size, -1)
    row[hits.pixel] = hits.row
    assert (row != expected_row).mean() < 0.01
    assert (row >= 0).sum() > 200
    locations, ray, _ = mesh.ray.intersects_location(origins, directions, multiple_hits=False)
    both = np.isin(hits.pixel, ray) & (row == expected_row)[hits.pixel]
    place = np.zeros((size * size, 3))
    place[ray] = locations
    assert np.quantile(np.linalg.norm(place[hits.pixel[both]] - hits.points[both], axis=1), 0.99) < 2e-3


def test_hits_lie_on_their_ellipsoid_on_their_ray_and_face_the_camera() -> None:
    solids, size = random_solids(6), 40
    hits = cast(solids, CAMERA, INTRINSICS, size)
    assert np.allclose(np.linalg.norm(hits.local, axis=1), 1, atol=1e-4)
    along = rays(size)[hits.pixel] * hits.depth[:, None] + CAMERA[:3, 3]
    assert np.allclose(along, hits.points, atol=1e-5)
    assert np.allclose(np.linalg.norm(hits.normals, axis=1), 1, atol=1e-5)
    assert ((hits.normals * rays(size)[hits.pixel]).sum(axis=1) <= 1e-3).all()
    assert (np.diff(hits.pixel) > 0).all()


def test_a_spheres_normals_point_from_its_centre() -> None:
    center = np.array([0.1, -0.2, 0.05])
    hits = cast(Ellipsoids(center[None], turn(1, 2, 3)[None], np.full((1, 3), 0.3)), CAMERA, INTRINSICS, 32)
    assert np.allclose(hits.normals, (hits.points - center) / 0.3, atol=1e-4)


def test_projected_boxes_are_those_of_the_projected_surface() -> None:
    solids = random_solids(5)
    boxes = projected_boxes(solids, np.stack([CAMERA, CAMERA]))
    assert boxes.shape == (2, 5, 4)
    sphere = trimesh.creation.icosphere(subdivisions=5).vertices
    for box, center, rotation, radii in zip(boxes[0], solids.centers, solids.rotations, solids.radii, strict=True):
        camera = (sphere @ (rotation * radii).T + center - CAMERA[:3, 3]) @ CAMERA[:3, :3]
        image = camera[:, :2] / camera[:, 2:]
        expected = [image[:, 0].min(), image[:, 0].max(), image[:, 1].min(), image[:, 1].max()]
        assert np.allclose(box, expected, atol=1e-3)


def test_nothing_is_hit_where_nothing_is_in_view() -> None:
    aside = Ellipsoids(np.array([[5.0, 0, 0]]), np.eye(3)[None], np.full((1, 3), 0.1))
    assert (
        len(cast(aside, from_yaw_pitch(torch.zeros(1), torch.zeros(1)).cam_to_world[0].numpy(), INTRINSICS, 8).row) == 0
    )


def test_noise_is_smooth_periodic_and_of_unit_variance() -> None:
    points = np.random.default_rng(0).uniform(0, 10, (20_000, 3)).astype(np.float32)
    values = noise(points, 3.0)
    assert abs(float(values.mean())) < 0.03
    assert 0.7 < float(values.std()) < 1.0  # interpolating takes a little off
    assert np.abs(noise(points + np.float32(1e-3), 3.0) - values).max() < 0.1
    period = 64 / 6.0 / 3.0
    assert np.abs(noise(points + np.float32(period), 3.0) - values).max() < 1e-2
