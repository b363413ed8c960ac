"""Where a mesh lies when nobody says so: its outlines are those of the splats."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from hgs_toolkit.cameras import Cameras, from_yaw_pitch
from hgs_toolkit.checkpoint import load_model
from hgs_toolkit.encoding import rgb_to_dc
from hgs_toolkit.exporters.meshes.color import vertex_colors
from hgs_toolkit.exporters.meshes.meshing import mesh, mesh_levels
from hgs_toolkit.exporters.meshes.outlines import agreement
from hgs_toolkit.exporters.meshes.settings import MAX_OUTSET, MeshSettings
from hgs_toolkit.gaussians import GaussianHierarchy, concatenate
from hgs_toolkit.rendering import render
from hgs_toolkit.sampling import sample_assets
from tests.exporters.meshes.shapes import Solid, cover

BALL = Solid("ball", lambda points: np.asarray(np.linalg.norm(points, axis=-1) - 0.5), 2)

PIXELS = 256


def seen_radius(scene: GaussianHierarchy, yaw: float, pitch: float) -> float:
    """Radius, world units, of the disc that as many pixels cover as the scene does by more than half."""
    camera = from_yaw_pitch(torch.tensor([yaw]), torch.tensor([pitch]), 100.0, 80.0)  # 0.8 of an image for a unit
    covered = int((render(scene, camera, PIXELS, PIXELS)[1] > 0.5).sum())
    return math.sqrt(covered / math.pi) / PIXELS / 0.8


def radius(scene: GaussianHierarchy, outset: float | None = None) -> float:
    made = mesh(scene, resolution=96, faces=0, color="none", outset=outset)
    return float((3 * made.volume / (4 * math.pi)) ** (1 / 3))


@pytest.mark.parametrize("flat", [1.0, 0.6])
def test_a_ball_of_thick_gaussians_is_as_large_as_it_looks_from_elsewhere(flat: float) -> None:
    scene = cover(BALL, 1_500, flat=flat)
    seen = np.mean([seen_radius(scene, yaw, pitch) for yaw, pitch in ((0.4, 0.3), (2.0, -0.6), (4.0, 0.9))])
    assert radius(scene, 0) < 0.93 * seen
    assert radius(scene) == pytest.approx(seen, rel=0.02)


def test_a_surface_of_discs_stays_at_their_centres() -> None:
    scene = cover(BALL, 20_000, flat=0.1)
    assert radius(scene) == pytest.approx(0.5, rel=0.005)


@pytest.mark.parametrize("outset", [2.0, 3.0])
def test_a_surface_outside_thick_gaussians_does_not_follow_each_of_them(outset: float) -> None:
    made = mesh(cover(BALL, 1_500, flat=0.8, jitter=0.3), resolution=96, faces=0, color="none", outset=outset)
    distance = np.linalg.norm(made.vertices, axis=1)
    slant = (made.vertex_normals * made.vertices).sum(axis=1) / distance
    assert distance.std() < 0.01 * distance.mean()
    assert np.degrees(np.arccos(slant.clip(-1, 1))).mean() < 5  # degrees; 18 for the indicator function as it is


def test_a_scene_that_is_moved_turned_and_enlarged_has_the_same_outset() -> None:
    size = 37.0
    scene = cover(BALL, 1_500, flat=1.0)
    turned = Rotation.from_euler("xyz", [0.5, 1.1, -0.3])
    means = torch.from_numpy(turned.apply(scene.means[0].numpy())).float()[None]
    moved = scene.replace(
        means=size * means + torch.tensor([5.0, -90, 20]),
        log_scales=scene.log_scales + math.log(size),
    )  # spheres need no turning
    first, second = (mesh(s, resolution=64, faces=0, color="none") for s in (scene, moved))
    assert second.volume == pytest.approx(size**3 * first.volume, rel=0.03)
    assert second.metadata["hgs"]["outset"] == pytest.approx(first.metadata["hgs"]["outset"], abs=0.3)


def test_samples_of_the_shipped_model_are_seen_where_their_meshes_are() -> None:
    for asset in sample_assets(load_model(None), range(2)):
        seen = outlines_of_splats(asset.scene)
        shares = [agreement(outlines_of_mesh(asset.scene, outset), seen) for outset in (0.0, None)]
        assert shares[1] > max(0.9, shares[0] + 0.05)


def cameras() -> Cameras:
    return from_yaw_pitch(torch.tensor([0.5, 2.2, 4.0]), torch.tensor([0.2, -0.2, 0.6]), 2.7, 2.0)


def outlines_of_splats(scene: GaussianHierarchy) -> list[NDArray[np.bool_]]:
    alphas = render(scene.levels(range(scene.num_levels), background=False), cameras(), 128, 128)[1]
    return list((alphas[0, ..., 0] > 0.5).numpy())


def outlines_of_mesh(scene: GaussianHierarchy, outset: float | None) -> list[NDArray[np.bool_]]:
    """Masks of what points spread over the mesh cover."""
    made = mesh(scene, resolution=96, faces=0, color="none", outset=outset)
    points = torch.from_numpy(np.asarray(made.sample(300_000, seed=0), np.float32))
    masks = []
    for camera in cameras():
        seen = points @ camera.viewmats[:3, :3].T + camera.viewmats[:3, 3]
        pixels = seen @ camera.pixel_intrinsics(128, 128).T
        column, row = (pixels[:, :2] / pixels[:, 2:]).long().unbind(-1)
        mask = np.zeros((128, 128), bool)
        mask[row.numpy(), column.numpy()] = True
        masks.append(mask)
    return masks


def test_every_level_of_detail_has_an_outset_of_its_own() -> None:
    asset = next(iter(sample_assets(load_model(None), [0])))
    settings = MeshSettings(resolution=48, color="none")
    outsets = {name: made.metadata["hgs"]["outset"] for name, made in mesh_levels(asset.scene, settings).items()}
    assert len(set(outsets.values())) > 1
    assert all(0 <= outset <= MAX_OUTSET for outset in outsets.values())


def test_a_shell_has_no_outset() -> None:
    assert "outset" not in mesh(cover(BALL, 500), "shell", resolution=32, color="none").metadata["hgs"]


def test_colours_are_those_of_small_gaussians_where_large_ones_reach_further() -> None:
    """Halves in black and white, and grey ones four times as large among them, as coarse levels are."""
    fine, coarse = cover(BALL, 3_000, flat=1.0), cover(BALL, 150, flat=1.0)
    shades = ((fine.means[0, :, 0] > 0).float(), torch.full((150,), 0.5))
    scene = concatenate([
        part.replace(sh=rgb_to_dc(shade)[None, :, None, None].expand(-1, -1, 1, 3).contiguous())
        for part, shade in zip((fine, coarse), shades, strict=True)
    ])  # fmt: skip
    made = mesh(scene, resolution=96, faces=0)
    x = made.vertices[:, 0] / np.linalg.norm(made.vertices, axis=1)
    colors = vertex_colors(made)
    assert colors is not None
    shown = colors[:, 0] / 255
    off = np.abs(shown - (x > 0))[np.abs(x) > 0.1].mean()
    assert made.metadata["hgs"]["outset"] > 1
    assert off < 0.1
