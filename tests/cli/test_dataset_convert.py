from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from hgs_toolkit.checkpoint import save_model
from hgs_toolkit.cli.main import app
from hgs_toolkit.config import Config
from hgs_toolkit.datasets.eg3d import open_dataset
from hgs_toolkit.model.generator import Generator
from tests.datasets.photographs import Photographs, colmap, gaussian_splatting


def hgs(*arguments: object) -> Result:
    return CliRunner().invoke(app, [*map(str, arguments)])


@pytest.mark.parametrize("views", [1, 4])
@pytest.mark.parametrize("masked", [False, True])
def test_what_synth_writes_as_transforms_and_as_eg3d_is_the_same_after_converting(
    tmp_path: Path, tiny_config: Config, tiny_model: Generator, views: int, masked: bool
) -> None:
    save_model(tmp_path / "model.safetensors", tiny_model, tiny_config)
    size = ("--count", 12 // views, "--views", views, "--size", 16, "--workers", 0, "--background", "transparent")
    cameras = ("--set", "cameras.poses.pitch_mean=1.3", "--set", "cameras.poses.radius_spread=0.5")
    for kind, extra in (("transforms", ("--annotations", "rgb,mask,camera") if masked else ()), ("eg3d", ())):
        out = ("--out", tmp_path / kind, "--format", kind)
        made = hgs("synth", tmp_path / "model.safetensors", *out, *size, *cameras, *extra)
        assert made.exit_code == 0, made.output
    converted = hgs("dataset", "convert", tmp_path / "transforms", "--out", tmp_path / "set.zip")
    assert converted.exit_code == 0, converted.output
    assert converted.stdout == f"{tmp_path / 'set.zip'}\n"
    ours, theirs = open_dataset(tmp_path / "set.zip"), open_dataset(tmp_path / "eg3d/dataset.zip")
    assert len(ours) == len(theirs) == 12
    assert np.abs(ours.labels - theirs.labels).max() < 1e-6
    assert all(np.array_equal(ours.image(i), theirs.image(i)) for i in range(12))
    assert "world: left as it is" in converted.stderr


def test_options_reach_the_set(tmp_path: Path) -> None:
    (tmp_path / "scene").mkdir()
    colmap("SIMPLE_RADIAL")(Photographs.take(k=0.2), tmp_path / "scene")
    options = ("--resolution", 24, "--crop", "center", "--up", "z", "--center", "4,-2,1", "--radius", 1.5)
    made = hgs("dataset", "convert", tmp_path / "scene", "--out", tmp_path / "a.zip", *options)
    assert made.exit_code == 0, made.output
    assert "sparse/0: 8 images, world: (4, -2, 1) became the origin, (0, 0, 1) up, scaled by 0.3" in made.stderr
    dataset = open_dataset(tmp_path / "a.zip")
    assert dataset.resolution == 24
    assert np.linalg.norm(dataset.labels[:, [3, 7, 11]], axis=1) == pytest.approx(1.5, abs=1e-5)
    checked = hgs("dataset", "check", tmp_path / "a.zip")
    assert checked.exit_code == 0, checked.output
    again = hgs("dataset", "convert", tmp_path / "scene", "--out", tmp_path / "a.zip")
    assert again.exit_code == 1
    assert "--force" in again.stderr


def test_bare_pictures_are_announced_as_such(tmp_path: Path) -> None:
    Photographs.take().save_images(tmp_path / "photos")
    refused = hgs("dataset", "convert", tmp_path / "photos", "--out", tmp_path / "a.zip")
    assert refused.exit_code == 1
    assert "--law frontal, normal, uniform, turntable" in refused.stderr
    made = hgs("dataset", "convert", tmp_path / "photos", "--out", tmp_path / "a.zip", "--law", "normal", "--yaw", 15)
    assert made.exit_code == 0, made.output
    assert "warning: the poses are no measurement: no image was looked at" in made.stderr
    assert "yaw sigma 15°" in made.stderr
    assert "the poses are no measurement" in hgs("dataset", "check", tmp_path / "a.zip").stdout


def test_what_is_left_out_is_named_and_counted(tmp_path: Path) -> None:
    (tmp_path / "scene").mkdir()
    gaussian_splatting(Photographs.take(), tmp_path / "scene")
    (tmp_path / "scene/images/r_2.png").unlink()
    failed = hgs("dataset", "convert", tmp_path / "scene", "--out", tmp_path / "a.zip")
    assert failed.exit_code == 1
    assert "r_2" in failed.stderr
    made = hgs(
        "dataset", "convert", tmp_path / "scene", "--out", tmp_path / "a.zip", "--skip-broken", "--json-progress"
    )
    assert made.exit_code == 0, made.output
    events = [json.loads(line) for line in made.stdout.splitlines()]
    assert next(event for event in events if event["event"] == "file")["images"] == 7
    notes = [event["text"] for event in events if event["event"] == "note"]
    assert "1 images are left out" in notes


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--center", "nan,0,0"), "the centre is (nan, 0.0, 0.0); expected look-at, keep or three finite numbers"),
        (("--center", "left"), "--center left; expected look-at, keep or three numbers"),
        (("--background", "loud"), "background 'loud' is no colour"),
        (("--resolution", 4), "expected 8 ... 4096"),
        (("--radius", -1), "expected a distance above 0"),
        (("--images", "nowhere"), "nowhere does not exist"),
    ],
)
def test_options_that_make_no_sense_end_with_a_sentence(
    tmp_path: Path, options: tuple[object, ...], message: str
) -> None:
    (tmp_path / "scene").mkdir()
    gaussian_splatting(Photographs.take(), tmp_path / "scene")
    result = hgs("dataset", "convert", tmp_path / "scene", "--out", tmp_path / "a.zip", *options)
    assert result.exit_code == 1
    assert message in result.stderr
    assert not (tmp_path / "a.zip").exists()


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("--yaw", 77, "--focal", 9), "--yaw, --focal"),
        (("--keep-world", "--radius", 9, "--up", "z"), "--up, --radius"),
        (("--law", "frontal", "--center", "1,2,3", "--up", "z"), "--up, --center"),
        (("--law", "turntable", "--pitch", 3), "--pitch"),
    ],
)
def test_options_that_would_change_nothing_are_refused(tmp_path: Path, options: tuple[object, ...], named: str) -> None:
    (tmp_path / "scene").mkdir()
    result = hgs("dataset", "convert", tmp_path / "scene", "--out", tmp_path / "a.zip", *options)
    assert result.exit_code == 2
    assert f"Invalid value for {named}" in result.stderr


def test_a_set_is_not_converted_into_its_source(tmp_path: Path) -> None:
    gaussian_splatting(Photographs.take(), tmp_path / "scene")
    (tmp_path / "scene/images").rename(tmp_path / "photos")
    command = ("dataset", "convert", tmp_path / "scene/cameras.json", "--images", tmp_path / "photos", "--out")
    for out in ("scene/set", "photos/set", "photos", "scene"):
        result = hgs(*command, tmp_path / out, "--force")
        assert result.exit_code == 1
        assert "choose another name" in result.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photos", "scene"]
    assert [path.name for path in (tmp_path / "scene").iterdir()] == ["cameras.json"]


def test_classes_of_some_images_are_no_hindrance_where_classes_are_not_kept(tmp_path: Path) -> None:
    Photographs.take().save_images(tmp_path / "faces")
    (tmp_path / "faces/dataset.json").write_text(json.dumps({"labels": [["r_0.png", 1]]}))
    command = ("dataset", "convert", tmp_path / "faces", "--law", "frontal", "--out", tmp_path / "a.zip")
    made = hgs(*command)
    assert made.exit_code == 0, made.output
    assert "the labels of dataset.json are classes, which are left out; --classes keeps them" in made.stderr
    refused = hgs(*command, "--classes", "--force")
    assert refused.exit_code == 1
    assert "leaves out 7 of 8 images" in refused.stderr


def test_a_scene_that_cannot_be_placed_is_counted_apart_from_images(tmp_path: Path) -> None:
    for name in ("many", "single"):
        (tmp_path / "scenes" / name).mkdir(parents=True)
        gaussian_splatting(Photographs.take(), tmp_path / "scenes" / name)
    file = tmp_path / "scenes/single/cameras.json"
    file.write_text(json.dumps(json.loads(file.read_text())[:1]))
    command = ("dataset", "convert", tmp_path / "scenes", "--out", tmp_path / "a.zip")
    assert hgs(*command).exit_code == 1
    made = hgs(*command, "--skip-broken")
    assert made.exit_code == 0, made.output
    assert "1 scenes are left out with all their images" in made.stderr
    assert "images are left out" not in made.stderr
