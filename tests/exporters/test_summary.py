"""What a file is said to hold: a file that reading refuses is refused in the same words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from hgs_toolkit.errors import FormatError
from hgs_toolkit.exporters.summary import summarize_splats
from hgs_toolkit.exporters.table import export, load, read_asset
from hgs_toolkit.gaussians import GaussianHierarchy
from tests.exporters.splats.test_foreign_values import Columns, rewritten
from tests.exporters.splats.test_sog import rewrite


def assert_refused_alike(path: Path, message: str) -> None:
    with pytest.raises(FormatError, match=message) as loading:
        load(path)
    with pytest.raises(FormatError) as summary:
        summarize_splats(path)
    assert str(summary.value) == str(loading.value)


def native(path: Path, scene: GaussianHierarchy, change: Callable[[dict[str, torch.Tensor]], Any]) -> None:
    """A .hgs of ``scene`` whose tensors were changed."""
    export(scene, path)
    with safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
        metadata = file.metadata()
    change(tensors)
    save_file(tensors, path, metadata=metadata)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t["opacity_logits"][3:5].fill_(torch.nan), r"2 in opacity_logits\), in 2 of 89"),
        (lambda t: t["sh"][3].fill_(torch.inf), "3 in sh"),
        (lambda t: t["level"][3].fill_(1000), "levels -1 to 1000 found; expected -1"),
        (lambda t: t["parent"][80].fill_(1000), "a parent index lies outside 0..88"),
        (lambda t: t["parent"][80].fill_(81), "a Gaussian's parent is not of a lower level"),
        (lambda t: t.update(quats=t["quats"][:5]), "quats is float32 of shape"),
        (lambda t: t.update(means=t["means"].double()), "means is torch.float64"),
        (lambda t: t.update(sh=t["sh"].to(torch.float8_e5m2)), "sh is float8_e5m2"),
        (lambda t: t.update(level=t["level"].short()), "level is int16"),
        (lambda t: t.pop("log_scales"), "the tensor 'log_scales' is missing"),
    ],
)
def test_a_native_file_that_cannot_be_read_has_no_summary(
    change: Callable[[dict[str, torch.Tensor]], Any], message: str, tmp_path: Path, scene: GaussianHierarchy
) -> None:
    native(tmp_path / "a.hgs", scene, change)
    assert_refused_alike(tmp_path / "a.hgs", message)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("opacity", np.nan, "1 in opacity_logits"), ("scale_1", np.nan, "1 in log_scales"),
        ("f_dc_2", np.inf, "1 in sh"), ("rot_0", np.nan, "1 in quats"), ("level", 1000.0, "levels -1 to 1000 found"),
    ],
)  # fmt: skip
def test_a_ply_that_cannot_be_read_has_no_summary(
    name: str, value: float, message: str, tmp_path: Path, scene: GaussianHierarchy
) -> None:
    export(scene, tmp_path / "a.ply", extras=True)

    def damage(columns: Columns) -> None:
        columns[name][5] = value

    rewritten(tmp_path / "a.ply", damage)
    assert_refused_alike(tmp_path / "a.ply", message)


@pytest.mark.parametrize(("name", "value"), [("parent", 0.5), ("level", 0.5)])
def test_a_ply_whose_tree_is_no_numbers_has_no_summary(
    name: str, value: float, tmp_path: Path, scene: GaussianHierarchy
) -> None:
    export(scene, tmp_path / "a.ply", extras=True)
    rewritten(tmp_path / "a.ply", lambda columns: columns[name].__setitem__(5, value))
    assert_refused_alike(tmp_path / "a.ply", "level or parent is no whole number")


@pytest.mark.parametrize("suffix", [".ply", ".spz", ".sog", ".splat"])
@pytest.mark.parametrize("extras", [False, True])
def test_small_gaussians_a_little_away_are_recentred_in_both(
    suffix: str, extras: bool, tmp_path: Path, scene_factory: Callable[..., GaussianHierarchy]
) -> None:
    scene = scene_factory((30, 60))
    far = torch.tensor([90.0, 20.0, -30.0]) + 0.02 * scene.means / scene.means.abs().max()
    path = tmp_path / f"a{suffix}"
    export(scene.replace(means=far, log_scales=scene.log_scales * 0 - 12.0), path, extras=extras and suffix == ".ply")
    summary, asset = summarize_splats(path), read_asset(path)
    assert summary.metadata.offset == asset.metadata.offset
    np.testing.assert_allclose(summary.low, asset.scene.means[0].amin(0), atol=1e-6)


@pytest.mark.parametrize("lost", ["scales.webp", "quats.webp", "sh0.webp"])
def test_a_sog_that_lacks_an_image_has_no_summary(lost: str, tmp_path: Path, scene: GaussianHierarchy) -> None:
    export(scene, tmp_path / "a.sog")
    rewrite(tmp_path / "a.sog", lambda files: files.__delitem__(lost))
    assert_refused_alike(tmp_path / "a.sog", f"the archive lacks {lost}")


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", r"a\.splat holds no Gaussians"), (np.array([1, 2, 3, 1, np.nan, 1, 0, 0], "<f4").tobytes(), "non-finite")],
)
def test_a_splat_that_cannot_be_read_has_no_summary(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.splat").write_bytes(content)
    assert_refused_alike(tmp_path / "a.splat", message)


def test_what_would_be_dropped_is_not_counted(tmp_path: Path, scene: GaussianHierarchy) -> None:
    native(tmp_path / "a.hgs", scene, lambda tensors: tensors["sh"][3].fill_(torch.nan))
    assert summarize_splats(tmp_path / "a.hgs", drop_invalid=True).gaussians == scene.num_gaussians - 1
