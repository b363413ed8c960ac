"""Spark (npm) draws our .rad in headless Chromium: any budget of Gaussians, and all of them as it draws the .ply."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from hgs_toolkit.checkpoint import load_model
from hgs_toolkit.exporters.table import export, load
from hgs_toolkit.gaussians import GaussianHierarchy
from hgs_toolkit.sampling import sample
from tests.oracles.spark import CHROMIUM, Drawn, Node, Stage, View, draw, framed, portrait, psnr
from tests.samples import sample_file

pytestmark = [
    pytest.mark.oracle,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (Debian: apt-get install chromium)"),
]

SceneFactory = Callable[..., GaussianHierarchy]

TOLERANCE = 0.01
LEAST_PSNR = 40

FAR = Stage(size=384, fov=30, eye=(0.4, 0.3, 4), settle=10)
PORTRAIT = portrait(320, "#808080")


def check_counts(scene: GaussianHierarchy, budgets: Sequence[int | None], drawn: Sequence[Drawn]) -> None:
    for budget, result in zip(budgets, drawn, strict=True):
        asked = min(budget or scene.num_gaussians, scene.num_gaussians)
        assert abs(result.count - asked) <= TOLERANCE * asked, f"{result.count} drawn for a budget of {budget}"


def draw_budgets(
    node: Node, folder: Path, stage: Stage, scene: GaussianHierarchy, budgets: Sequence[int | None]
) -> tuple[Drawn, list[Drawn]]:
    """The .ply of ``scene``, and its .rad at all ``budgets``, whose counts are checked."""
    ply, rad = folder / "a.ply", folder / "a.rad"
    export(scene, ply, frame="y_up")
    export(scene, rad)
    reference, *drawn = draw(node, folder, stage, [View(ply), *(View(rad, budget) for budget in budgets)])
    assert reference.picture.std() > 5, "nothing was drawn"
    check_counts(scene, budgets, drawn)
    return reference, drawn


@pytest.mark.parametrize(
    ("counts", "degree"), [((16, 64, 256, 1024), 3), ((3000,), 0)], ids=["tree with harmonics", "flat"]
)
def test_any_budget_is_met_and_the_whole_is_the_ply(
    counts: tuple[int, ...], degree: int, node: Node, scene_factory: SceneFactory, tmp_path: Path
) -> None:
    scene = scene_factory(counts, degree=degree)
    scene = scene.replace(sh=0.5 * scene.sh)  # within what Spark keeps of harmonics
    reference, drawn = draw_budgets(node, tmp_path, FAR, scene, (1, 37, 300, 2000, None))
    assert psnr(drawn[-1], reference) >= LEAST_PSNR > psnr(drawn[0], reference)


def test_any_budget_of_a_sample_of_the_shipped_model_is_met(node: Node, tmp_path: Path) -> None:
    scene = sample(load_model(None, "cpu"), [0])
    budgets = (64, 128, 256, 512, 1000, 2000, 4000, 8000, 16000, None)
    reference, drawn = draw_budgets(node, tmp_path, PORTRAIT, scene, budgets)
    likeness = [psnr(result, reference) for result in drawn]
    assert likeness[-1] >= LEAST_PSNR
    assert all(fewer < more for fewer, more in pairwise(likeness[:6]))  # further on rounding decides


def test_any_budget_of_a_dense_foreign_scene_is_met(node: Node, tmp_path: Path) -> None:
    # 90,854 Gaussians; a quarter is in pairs that are smaller than a pixel.
    scene = framed(load(sample_file("guitar.compressed.ply")))
    export(scene, tmp_path / "a.rad")
    budgets, hasty = (60_000, None), replace(PORTRAIT, settle=2)  # counts are final before pictures
    check_counts(scene, budgets, draw(node, tmp_path, hasty, [View(tmp_path / "a.rad", n) for n in budgets]))


def test_in_a_tiny_picture_an_option_of_spark_has_every_gaussian_drawn(
    node: Node, scene_factory: SceneFactory, tmp_path: Path
) -> None:
    scene = scene_factory((3000,))
    export(scene.replace(log_scales=scene.log_scales - 2), tmp_path / "a.rad")
    tiny = Stage(size=48, fov=30, eye=(0.4, 0.3, 4))
    usual, whole = draw(node, tmp_path, tiny, [View(tmp_path / "a.rad", pixels=pixels) for pixels in (1, 0)])
    assert usual.count < 0.9 * scene.num_gaussians
    assert whole.count == scene.num_gaussians
