"""The whole evaluation: what it contains, that it repeats, how it refuses."""

from __future__ import annotations

import dataclasses
import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch

from hgs_toolkit.checkpoint import load_model
from hgs_toolkit.datasets.critters.drawing import make_critters
from hgs_toolkit.datasets.eg3d import open_dataset
from hgs_toolkit.errors import ConfigError, DataError, HgsError, MissingExtraError
from hgs_toolkit.evaluation import EvalSettings, Report, evaluate
from hgs_toolkit.footprint import footprint, widen
from hgs_toolkit.model_files import model_config
from hgs_toolkit.rendering import render
from hgs_toolkit.training.grids import GRID_BACKGROUND, drawn_chunks

NAMES = ["kid_randconv", "fid_randconv", "spread_randconv", "coverage_randconv", "pose_error_randconv",
         "kid_3d_randconv", "fid_3d_randconv"]  # fmt: skip
WITH_DATA = ("kid", "fid", "kid_3d", "fid_3d", "diversity", "pose")


def run(model: Path, data: Path | None, metrics: tuple[str, ...] = WITH_DATA, seed: int = 0, count: int = 30) -> Report:
    return evaluate(model, data, EvalSettings(metrics, count, 2, seed, extractors=("randconv",)), device="cpu")


def test_every_number_carries_its_conditions(model_path: Path, critters16: Path) -> None:
    report = run(model_path, critters16)
    assert sorted(figure.name for figure in report.figures) == sorted(NAMES)
    for figure in report.figures:
        assert figure.floor is not None
        assert figure.conditions["extractor"] == "randconv"
        assert figure.conditions["count"] == figure.conditions["real_count"] == 30
        assert figure.conditions["seed"] == 0
        assert figure.conditions["size"] == 16
        assert figure.conditions["resize"].startswith("bilinear")
        assert len(figure.conditions["extractor_sha256"]) == len(figure.conditions["model_sha256"]) == 64
        assert figure.conditions["data_sha256"] == open_dataset(critters16).digest
        assert figure.conditions["background"] == "black"  # as in the training of this model
    values = {figure.name: figure for figure in report.figures}
    kid, floor = values["kid_randconv"], values["kid_randconv"].floor
    assert floor is not None
    assert kid.value > 10 * abs(floor)  # an untrained model
    assert values["coverage_randconv"].value < (values["coverage_randconv"].floor or 0)
    told = values["kid_3d_randconv"].conditions["camera_told_to_model"]
    assert told != kid.conditions["camera_told_to_model"]


def test_the_same_seed_gives_the_same_numbers_and_another_does_not(model_path: Path, critters16: Path) -> None:
    assert run(model_path, critters16) == run(model_path, critters16)
    assert run(model_path, critters16).figures[0].value != run(model_path, critters16, seed=1).figures[0].value


def test_a_model_alone_has_views_and_times(model_path: Path) -> None:
    report = evaluate(model_path, None, EvalSettings(scenes=2), device="cpu")
    names = {figure.name for figure in report.figures}
    assert {"consistency_depth", "consistency_seen_through", "consistency_psnr"} <= names
    assert {"ms_pipeline_256", "ms_raster_256", "ms_pipeline_512", "ms_raster_512"} <= names
    assert all(figure.value > 0 for figure in report.figures if figure.name.startswith("ms_"))
    assert report.data is None


def test_gaussians_of_larger_images_are_as_wide_as_training_saw_them(model_path: Path) -> None:
    model, config = load_model(model_path, "cpu"), model_config(model_path)
    cameras = config.generator.poses.sample(1, torch.Generator().manual_seed(0))
    z = torch.randn(1, config.generator.z_dim, generator=torch.Generator().manual_seed(0))
    drawn = [next(drawn_chunks(model, config, z, cameras, cameras, resolution=size)) for size in (None, 64)]
    scene = model.synthesize(model.map(z))
    as_files_are = widen(scene, footprint(config.generator, 64))
    background = (GRID_BACKGROUND if config.training.background == "random" else 0.0,) * 3
    for shown, seen in ((scene, drawn[0]), (as_files_are, drawn[1])):
        size = seen.shape[1]
        wanted, _ = render(shown, cameras.reshape(1, 1), size, size, background=background)
        torch.testing.assert_close(seen, wanted[:, 0].clamp(0, 1), atol=1e-5, rtol=0)
    bare, _ = render(scene, cameras.reshape(1, 1), 64, 64, background=background)
    assert (drawn[1] - bare[:, 0].clamp(0, 1)).abs().max() > 0.05


def test_images_are_compared_at_any_size_that_the_set_has(model_path: Path, critters16: Path, tmp_path: Path) -> None:
    large = tmp_path / "large.zip"
    make_critters(large, 30, 32, seed=3)
    found = {}
    for resolution in (None, 32):
        settings = EvalSettings(("kid",), 30, extractors=("randconv",), resolution=resolution)
        (figure,) = evaluate(model_path, large, settings, device="cpu").figures
        found[resolution] = figure
    assert [figure.conditions["size"] for figure in found.values()] == [16, 32]
    assert found[None].value != found[32].value
    with pytest.raises(DataError, match="holds images of 16 x 16 pixels, asked for 32"):
        evaluate(model_path, critters16, dataclasses.replace(settings, resolution=32), device="cpu")
    with pytest.raises(ConfigError, match=r"pixels, and the model was trained at .* or --resolution 16"):
        evaluate(None, critters16, dataclasses.replace(settings, resolution=None), device="cpu")


@pytest.mark.parametrize("values", [{"resolution": 32}, {"count": 30}, {"inception": Path("weights.pth")}])
def test_settings_of_a_comparison_are_refused_where_none_is_made(model_path: Path, values: dict[str, Any]) -> None:
    (name,) = values
    with pytest.raises(ConfigError, match=f"{name} is .*, and nothing is compared with real images"):
        evaluate(model_path, None, EvalSettings(**values), device="cpu")


def test_a_comparison_needs_an_extractor(model_path: Path, critters16: Path) -> None:
    with pytest.raises(ConfigError, match="no feature extractor is named"):
        evaluate(model_path, critters16, EvalSettings(("kid",), extractors=()), device="cpu")


def test_half_of_a_small_set_is_not_measured_against_itself(model_path: Path, critters16: Path) -> None:
    (figure,) = run(model_path, critters16, ("kid",), count=50).figures
    assert figure.floor is None


def test_without_a_count_all_images_of_a_small_set_are_compared(model_path: Path, critters16: Path) -> None:
    settings = EvalSettings(("kid",), extractors=("randconv",))
    report = evaluate(model_path, critters16, settings, device="cpu")
    assert [figure.conditions["count"] for figure in report.figures] == [60]
    assert report.settings["count"] == 60
    with pytest.raises(DataError, match="holds 5 images; expected at least 20"):
        settings.of_dataset("a.zip", 5)


def test_too_few_pictures_are_named(model_path: Path, critters16: Path) -> None:
    with pytest.raises(DataError, match=r"holds 60 images, fewer than the 100"):
        run(model_path, critters16, count=100)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"metrics": ("beauty",)}, "'beauty' is unknown; expected some of kid"),
        ({"count": 3}, "at least 20 images"),
        ({"resolution": 8}, "8 pixels; expected 16 at least"),
        ({"truth": "dogs"}, "truth 'dogs'"),
        ({"metrics": ("geometry",)}, "--truth critters"),
    ],
)
def test_settings_that_mean_nothing_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        EvalSettings(**values)  # type: ignore[arg-type]


def test_real_pictures_must_be_named(model_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"real images are needed for kid; name them with --data"):
        run(model_path, None, ("kid", "timing"))


def test_a_missing_extra_is_named_with_its_command(
    model_path: Path, critters16: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'hgs_toolkit\[metrics\]'"):
        evaluate(model_path, critters16, EvalSettings(("kid",), 30), device="cpu")


def test_a_broken_dataset_is_refused(model_path: Path, tmp_path: Path) -> None:
    (tmp_path / "data.zip").write_bytes(b"no archive")
    with pytest.raises(HgsError, match=r"data\.zip"):
        run(model_path, tmp_path / "data.zip")
