"""Options with a fixed set of values: help texts list them, a wrong one is refused before anything is computed."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
from typer.testing import Result

from hgs_toolkit.cli import dataset_convert, evaluate, invert, synth
from hgs_toolkit.cli.main import COMMANDS, GROUPS
from hgs_toolkit.cli.settings_table import list_settings, settings_page
from hgs_toolkit.cli.usage import LateCommands
from hgs_toolkit.conventions import DEFAULT_PSI
from hgs_toolkit.datasets.framing import CROPS
from hgs_toolkit.datasets.sources import KINDS as SOURCE_KINDS
from hgs_toolkit.datasets.sources.bare import POSE_KINDS
from hgs_toolkit.datasets.world import FRONTS, UPS
from hgs_toolkit.evaluation.settings import METRICS, NEED_DATA
from hgs_toolkit.imaging import animation, camera_paths, choices, scene_images
from hgs_toolkit.inversion.networks import CHOICES as PERCEPTUAL
from hgs_toolkit.metrics.extractors import EXTRACTORS
from hgs_toolkit.synthesis.annotations import ANNOTATIONS
from hgs_toolkit.synthesis.settings import CameraPath, CameraSettings, FormatName, SynthSettings

Hgs = Callable[..., Result]

SAME = [
    (get_args(choices.Mode), scene_images.MODES),
    (get_args(choices.Trajectory), camera_paths.TRAJECTORIES),
    (get_args(choices.AnimationKind), animation.KINDS),
    (get_args(choices.SceneAnimation), animation.ANIMATIONS),
    (get_args(synth.FormatName), get_args(FormatName)),
    (get_args(synth.CameraPath), get_args(CameraPath)),
    (synth.annotation_names(), ANNOTATIONS),
    (evaluate.METRICS, METRICS),
    (evaluate.ALONE, [name for name in METRICS if name not in NEED_DATA]),
    (evaluate.EXTRACTORS, EXTRACTORS),
    (get_args(invert.Perceptual), PERCEPTUAL),
    (get_args(dataset_convert.SourceKind), ("auto", *SOURCE_KINDS)),
    (get_args(dataset_convert.Crop), CROPS),
    (get_args(dataset_convert.Up), UPS),
    (get_args(dataset_convert.Front), FRONTS),
    (get_args(dataset_convert.PoseKind), POSE_KINDS),
]
"""Names that options offer, and those that the library knows."""


@pytest.mark.parametrize(("offered", "known"), SAME, ids=lambda names: next(iter(names)))
def test_options_offer_what_the_library_knows(offered: tuple[str, ...], known: Any) -> None:
    assert set(offered) == set(known)
    assert len(offered) == len(set(offered))


WRONG = [
    ("render a.hgs b.png --mode heat", get_args(choices.Mode)),
    ("render a.hgs b.png --trajectory spiral", get_args(choices.Trajectory)),
    ("render a.hgs b.mp4 --animate spin", get_args(choices.SceneAnimation)),
    ("render a.hgs b.png --device tpu", ("auto", "cpu", "cuda")),
    ("video run b.mp4 --kind zoom", get_args(choices.AnimationKind)),
    ("video run b.mp4 --mode heat", get_args(choices.Mode)),
    ("video run b.mp4 --trajectory spiral", get_args(choices.Trajectory)),
    ("sample run --out s --device tpu", ("auto", "cpu", "cuda")),
    ("demo --out demo --device tpu", ("auto", "cpu", "cuda")),
    ("synth run --out s --format tar", get_args(FormatName)),
    ("synth run --out s --engine slurm", get_args(synth.Engine)),
    ("synth run --out s --cameras spiral", get_args(CameraPath)),
    ("synth run --out s --law cauchy", ("normal", "uniform")),
    ("synth run --out s --annotations rgb,heat", ANNOTATIONS),
    ("eval run --metrics kid,isc", METRICS),
    ("eval run --extractor vgg", EXTRACTORS),
    ("eval run --truth cats", ("critters",)),
    ("invert a.png --out o --space z", get_args(invert.Space)),
    ("invert a.png --out o --perceptual vgg", PERCEPTUAL),
    ("mesh a.hgs b.glb --method marching", ("surface", "shell")),
    ("mesh a.hgs b.glb --color vertices", ("vertex", "texture", "none")),
    ("mesh a.hgs b.glb --up x", ("y", "z")),
    ("mesh a.hgs b.glb --keep biggest", ("largest", "all")),
    ("export a.hgs b.ply --source-frame up", ("rdf", "y_up")),
    ("dataset demo --out d.zip --kind cats", ("critters",)),
    ("dataset render --models m --out d.zip --up x", ("y", "z")),
    ("dataset convert m --out d.zip --from nerf", SOURCE_KINDS),
    ("dataset convert m --out d.zip --crop middle", CROPS),
    ("dataset convert m --out d.zip --up w", UPS),
    ("dataset convert m --out d.zip --law sideways", POSE_KINDS),
    ("synth run --out s --device tpu", ("auto", "cpu", "cuda")),
]
"""Wrong choices, with the right ones."""


@pytest.mark.parametrize(("line", "right"), WRONG, ids=[line for line, _ in WRONG])
def test_a_wrong_choice_is_exit_code_2_and_lists_the_right_ones(
    line: str, right: Any, hgs: Hgs, asset_file: Path, model_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = asset_file.parent
    monkeypatch.chdir(folder)
    before = sorted(folder.rglob("*"))
    result = hgs(*line.split())
    assert result.exit_code == 2
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    assert f"'{line.split()[-1].split(',')[-1]}' is not" in result.stderr
    assert all(f"'{name}'" in result.stderr for name in right)
    assert sorted(folder.rglob("*")) == before


def callbacks() -> dict[str, Callable[..., None]]:
    found: dict[str, Callable[..., None]] = {}
    for name, command in LateCommands(COMMANDS | GROUPS).items():
        for child in getattr(command, "commands", {"": command}).values():
            found[f"{name} {child.name}"] = inspect.unwrap(child.callback)
    return found


def test_every_command_truncates_alike() -> None:
    defaults = {
        name: inspect.signature(callback).parameters["psi"].default
        for name, callback in callbacks().items()
        if "psi" in inspect.signature(callback).parameters
    }
    assert len(defaults) >= 8
    assert defaults.pop("eval eval") == 1.0  # distances are measured at full variety
    assert set(defaults.values()) == {DEFAULT_PSI}


def test_synth_has_the_defaults_of_its_settings() -> None:
    parameters = inspect.signature(synth.make).parameters
    settings, cameras = SynthSettings(), CameraSettings()
    for name in ("count", "views", "seed", "psi", "background", "exposure"):
        assert parameters[name].default == getattr(settings, name), name
    assert parameters["format_"].default == settings.format
    assert (parameters["cameras"].default, parameters["focal_jitter"].default) == (cameras.path, cameras.focal_jitter)


def test_no_default_in_a_help_text_is_typed_by_hand() -> None:
    folder = Path(inspect.getfile(synth)).parent
    typed = [path.name for path in folder.glob("*.py") if re.search(r'show_default="[-\d]', path.read_text())]
    assert typed == []


def test_train_lists_the_presets_without_data_or_a_run(hgs: Hgs) -> None:
    result = hgs("train", "--list")
    assert result.exit_code == 0
    row = next(line for line in result.stdout.splitlines() if line.startswith("critters64 "))
    assert "5,440 Gaussians, 64 px" in row
    assert " yes " in row
    assert "Procedural animal heads" in row
    other = next(line for line in result.stdout.splitlines() if line.startswith("ffhq512 "))
    assert re.search(r"px +no +FFHQ", other)


def test_every_setting_is_explained_by_the_command_and_on_its_page(hgs: Hgs) -> None:
    settings = list_settings()
    assert [one.key for one in settings if not one.meaning] == []
    assert {"training.batch", "generator.poses.focal", "training.augment.mirror"} <= {one.key for one in settings}
    printed = hgs("train", "--settings")
    assert printed.exit_code == 0
    assert all(one.key in printed.stdout for one in settings)
    page = Path(__file__).parents[2] / "docs" / "settings.md"
    assert page.read_text() == settings_page(), "make the page anew: python -m hgs_toolkit.cli.settings_table"


@pytest.mark.parametrize("line", ["sample --out s --psi nan", "sample --out s --psi 5", "render @1 a.png --psi=-9"])
def test_a_truncation_out_of_sense_is_wrong_usage(line: str, hgs: Hgs, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    result = hgs(*line.split())
    assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1)
    assert "psi" in result.stderr


def test_more_style_slots_than_a_model_has_are_refused(hgs: Hgs, model_file: Path, tmp_path: Path) -> None:
    result = hgs("sample", model_file, "--out", tmp_path / "s", "--seeds", 0, "--cutoff", 999, "--save", "hgs")
    assert result.exit_code == 1
    assert re.search(r"--cutoff 999; this model has \d+ style slots", result.stderr)
