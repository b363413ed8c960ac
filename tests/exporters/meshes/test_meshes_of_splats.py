"""Meshes of real splats: samples of the model that ships, and a capture of a person by another program."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from hgs_toolkit.checkpoint import load_model
from hgs_toolkit.exporters.meshes.meshing import mesh
from hgs_toolkit.exporters.meshes.placement import MeshPlacement
from hgs_toolkit.exporters.meshes.report import describe_mesh
from hgs_toolkit.exporters.table import load
from hgs_toolkit.model_files import PRETRAINED
from hgs_toolkit.sampling import sample_assets
from tests.samples import sample_file

with_model = pytest.mark.skipif(not PRETRAINED.is_file(), reason="no model ships with this checkout")


def assert_outward(made: trimesh.Trimesh) -> None:
    """Rays from all around meet the surface from its front first."""
    rng = np.random.default_rng(0)
    targets = np.asarray(made.triangles_center)[rng.choice(len(made.faces), 50)]
    away = rng.standard_normal(targets.shape)
    origins = targets + away / np.linalg.norm(away, axis=1, keepdims=True) * 3 * made.extents.max()
    first = made.ray.intersects_first(origins, targets - origins)
    hit = first >= 0
    assert hit.mean() > 0.9
    facing = (made.face_normals[first[hit]] * (targets - origins)[hit]).sum(axis=1)
    assert (facing < 0).mean() > 0.95


@with_model
def test_samples_of_the_shipped_model_are_solids() -> None:
    for asset in sample_assets(load_model(None, "cpu"), range(4)):
        made = mesh(asset.scene, resolution=96, faces=10_000, color="none")
        assert describe_mesh(made, MeshPlacement())["solid"]
        assert_outward(made)


@with_model
@pytest.mark.slow
def test_nine_of_ten_samples_of_the_shipped_model_are_one_solid_piece() -> None:
    solid = [
        describe_mesh(mesh(asset.scene, resolution=128, faces=0, color="none"), MeshPlacement())["solid"]
        for asset in sample_assets(load_model(None, "cpu"), range(100))
    ]
    assert np.mean(solid) >= 0.9


def test_a_capture_of_a_person_is_one_solid() -> None:
    made = mesh(load(sample_file("biker.spz")), resolution=96, faces=10_000)
    assert describe_mesh(made, MeshPlacement())["solid"]
    assert_outward(made)
    height, width = made.extents[1], made.extents[0]
    assert height > 2.5 * width  # a standing person
