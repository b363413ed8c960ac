"""Spark (npm) draws our .rad in headless Chromium: any budget of Gaussians, and all of them as it draws the .ply."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from hgs_toolkit.exporters import export
from hgs_toolkit.gaussians import GaussianHierarchy

pytestmark = pytest.mark.oracle

SceneFactory = Callable[..., GaussianHierarchy]
Node = Callable[..., str]

CHROMIUM = shutil.which("chromium")

BUDGETS = (1, 37, 300, 2000)
TOLERANCE = 0.01
LEAST_PSNR = 40

VIEW = {"size": 384, "fov": 30, "eye": [0.4, 0.3, 4], "background": "#808080", "settle": 20}


def pixels(path: str) -> NDArray[np.float64]:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"), np.float64)


def psnr(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    return float(10 * np.log10(255**2 / np.square(a - b).mean()))


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (Debian: apt-get install chromium)")
@pytest.mark.parametrize(
    ("counts", "degree"), [((16, 64, 256, 1024), 3), ((3000,), 0)], ids=["tree with harmonics", "flat"]
)
def test_any_budget_is_met_and_the_whole_is_the_ply(
    counts: tuple[int, ...], degree: int, node: Node, scene_factory: SceneFactory, tmp_path: Path
) -> None:
    scene = scene_factory(counts, degree=degree)
    scene = scene.replace(sh=0.5 * scene.sh)  # within what Spark keeps of harmonics
    export(scene, tmp_path / "a.ply", frame="y_up")
    export(scene, tmp_path / "a.rad")
    views: list[dict[str, Any]] = [{"file": str(tmp_path / "a.ply"), "budget": None}]
    views += [{"file": str(tmp_path / "a.rad"), "budget": budget} for budget in (*BUDGETS, None)]
    for index, view in enumerate(views):
        view |= {"out": str(tmp_path / f"{index}.png"), "turn": False}
    (tmp_path / "job.json").write_text(json.dumps(VIEW | {"chromium": CHROMIUM, "views": views}))
    drawn = [result["drawn"] for result in json.loads(node("spark.mjs", tmp_path / "job.json"))]
    for budget, count in zip((*BUDGETS, None), drawn[1:], strict=True):
        asked = min(budget or scene.num_gaussians, scene.num_gaussians)
        assert abs(count - asked) <= TOLERANCE * asked, f"{count} drawn for a budget of {budget}"
    reference, whole, few = (pixels(views[index]["out"]) for index in (0, -1, 1))
    assert reference.std() > 5, "nothing was drawn"
    assert psnr(whole, reference) >= LEAST_PSNR
    assert psnr(few, reference) < LEAST_PSNR
