"""PlayCanvas' splat-transform (npm) reads what we write, and we read what it writes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hgs_toolkit.exporters import export, load
from hgs_toolkit.exporters.splats import splats_of
from hgs_toolkit.gaussians import GaussianHierarchy

pytestmark = pytest.mark.oracle

SceneFactory = Callable[..., GaussianHierarchy]


@pytest.mark.parametrize("suffix", [".ply", ".sog"])
@pytest.mark.parametrize("degree", [0, 3])
def test_it_reads_ours_as_we_do(
    suffix: str, degree: int, splat_transform: Callable[..., str], scene_factory: SceneFactory, tmp_path: Path
) -> None:
    ours = tmp_path / f"ours{suffix}"
    export(scene_factory((500,), degree=degree), ours)
    splat_transform(ours, tmp_path / "theirs.ply")
    theirs, expected = (splats_of(load(path), "rdf") for path in (tmp_path / "theirs.ply", ours))
    np.testing.assert_allclose(theirs.means, expected.means, atol=1e-6)
    np.testing.assert_allclose(theirs.sh, expected.sh, atol=1e-6)
