"""Figures of an inversion."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
import trimesh

from hgs_toolkit.cameras import yaw_pitch_radius
from hgs_toolkit.datasets.critters.drawing import Critter, critter
from hgs_toolkit.datasets.critters.prior import CritterPrior
from hgs_toolkit.gaussians import GaussianHierarchy
from hgs_toolkit.inversion.quality import FAR_YAWS, NOVEL_YAWS, compare, novel_cameras, novel_views, psnr, ssim
from hgs_toolkit.pose_prior import PosePrior


def test_psnr_counts_decibels() -> None:
    a = torch.full((4, 4, 3), 0.5)
    assert psnr(a, a) == math.inf
    assert psnr(a, a + 0.1) == pytest.approx(20, abs=1e-3)


def test_ssim_is_one_for_equal_pictures_and_falls_with_noise() -> None:
    torch.manual_seed(0)
    a = torch.rand(16, 16, 3)
    little, much = (ssim(a, (a + strength * torch.randn_like(a)).clamp(0, 1)) for strength in (0.05, 0.3))
    assert ssim(a, a) == pytest.approx(1)
    assert 1 > little > much
    assert 0 < ssim(a[:4, :4], a[:4, :4] * 0.9) < 1


def test_every_view_and_network_gets_its_figures() -> None:
    a = torch.rand(2, 8, 8, 3, generator=torch.Generator().manual_seed(0))
    rows = compare(a, a.roll(1, 0), {"mean": lambda pictures: [pictures]})
    assert [set(row) for row in rows] == [{"psnr", "ssim", "features_mean"}] * 2
    assert rows[0]["psnr"] == pytest.approx(rows[1]["psnr"])


def _solid(subject: Critter) -> GaussianHierarchy:
    """Small opaque Gaussians on the surface of a critter, in its colours."""
    mesh = subject.mesh(3)
    surface, faces = trimesh.sample.sample_surface(mesh, 40_000, seed=0)
    visual: Any = mesh.visual
    colors = np.asarray(visual.vertex_colors, np.float32)[np.asarray(mesh.faces)[faces]].mean(axis=1)[:, :3]
    points, rgb = torch.from_numpy(np.asarray(surface, np.float32)), torch.from_numpy(colors) / 255
    count = len(points)
    return GaussianHierarchy(
        means=points[None], log_scales=torch.full((1, count, 3), math.log(0.006)),
        quats=torch.tensor([1.0, 0, 0, 0]).expand(1, count, 4), sh=((rgb - 0.5) / 0.28209479)[None, :, None],
        opacity_logits=torch.full((1, count), 3.0),
    )  # fmt: skip


def test_the_truth_as_a_splat_matches_itself_from_views_nobody_saw_and_another_critter_does_not() -> None:
    subject, other = critter(1, 0), critter(1, 1)
    cameras = novel_cameras(PosePrior(radius=2.7), 2.0)
    own = novel_views(_solid(subject), subject, cameras, 96)
    foreign = novel_views(_solid(other), subject, cameras, 96)
    assert [view.yaw for view in own] == pytest.approx(NOVEL_YAWS, abs=1e-5)
    for mine, theirs in zip(own, foreign, strict=True):
        assert mine.overlap > 0.75
        assert mine.depth_error < 0.05
        assert mine.overlap > theirs.overlap
        assert mine.psnr > theirs.psnr


def test_a_subject_that_was_seen_from_all_around_is_compared_from_behind_too() -> None:
    around = PosePrior(yaw_law="uniform", yaw_spread=math.pi, yaw_limit=math.pi)
    yaw = yaw_pitch_radius(novel_cameras(around, 2.0).cam_to_world)[0]
    assert yaw.tolist() == pytest.approx(NOVEL_YAWS + FAR_YAWS, abs=1e-5)
    subject = critter(1, 0, CritterPrior(poses=around))
    views = novel_views(_solid(subject), subject, novel_cameras(around, 2.0), 64)
    assert len(views) == len(yaw)
    assert min(view.overlap for view in views) > 0.7
