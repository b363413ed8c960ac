import json
import math
import zipfile
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner, Result

from hgs_toolkit.cameras import Cameras, from_yaw_pitch
from hgs_toolkit.cli.main import app
from hgs_toolkit.datasets.check_images import pose_values
from hgs_toolkit.datasets.eg3d import open_dataset
from hgs_toolkit.datasets.scene_prior import camera_prior
from hgs_toolkit.imaging.images import load_image
from hgs_toolkit.pose_prior import PosePrior

QUAD = "v -1 -1 0\nv 1 -1 0\nv 1 1 0\nv -1 1 0\nf 1 2 3\nf 1 3 4\n"


def hgs(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["dataset", *map(str, arguments)])


def test_demo_then_check(tmp_path: Path) -> None:
    out = tmp_path / "critters.zip"
    made = hgs("demo", "--kind", "critters", "--out", out, "--count", 12, "--resolution", 16, "--seed", 3)
    assert made.exit_code == 0, made.output
    assert made.stdout == f"{out}\n"
    assert (len(open_dataset(out)), open_dataset(out).resolution) == (12, 16)
    checked = hgs("check", out)
    assert checked.exit_code == 0
    assert "16 x 16 RGBA" in checked.stdout
    assert "warning: 12 images are few" in checked.stdout
    assert "█" in checked.stdout


def test_demo_goes_all_around_when_it_is_asked_to(tmp_path: Path) -> None:
    out = tmp_path / "circle.zip"
    size = ("--count", 60, "--resolution", 8)
    made = hgs("demo", "--out", out, *size, "--yaw", 180, "--pitch-min", -15, "--pitch-max", 45, "--views", 3)
    assert made.exit_code == 0, made.output
    values = pose_values(open_dataset(out).labels)
    assert max(values["yaw"]) > 150
    assert min(values["yaw"]) < -150
    assert -15.01 < min(values["pitch"]) < max(values["pitch"]) < 45.01
    refused = hgs("demo", "--out", tmp_path / "x.zip", *size, "--pitch-min", 50, "--pitch-max", 10)
    assert refused.exit_code == 1
    assert "--pitch-min 50 is above --pitch-max 10" in refused.stderr


def test_demo_makes_whole_groups_of_views(tmp_path: Path) -> None:
    made = hgs("demo", "--out", tmp_path / "set.zip", "--count", 10, "--resolution", 8, "--views", 3)
    assert made.exit_code == 0, made.output
    assert "10 images are no whole groups of 3 views: 12 are made" in made.stderr
    images = open_dataset(tmp_path / "set.zip")
    assert (len(images), images.views_per_subject) == (12, 3)


def test_merge_brings_sets_together(tmp_path: Path) -> None:
    for name, seed in (("a.zip", 1), ("b.zip", 2)):
        hgs("demo", "--out", tmp_path / name, "--count", 3, "--resolution", 8, "--seed", seed)
    both = tmp_path / "both.zip"
    made = hgs("merge", tmp_path / "a.zip", tmp_path / "b.zip", "--out", both)
    assert made.exit_code == 0, made.output
    assert made.stdout == f"{both}\n"
    assert len(open_dataset(both)) == 6
    refused = hgs("merge", tmp_path / "a.zip", "--out", tmp_path / "one.zip")
    assert refused.exit_code == 1
    assert "1 set; expected at least two to bring together" in refused.stderr


def test_check_draws_poses_and_a_contact_sheet(tmp_path: Path) -> None:
    hgs("demo", "--out", tmp_path / "set.zip", "--count", 5, "--resolution", 16)
    options = ("check", tmp_path / "set.zip", "--pictures", tmp_path / "look")
    assert hgs(*options).exit_code == 0
    assert load_image(tmp_path / "look/poses.png").min() < 100
    assert load_image(tmp_path / "look/contact.png").shape == (2 * 98 - 2, 3 * 98 - 2, 3)
    refused = hgs(*options)
    assert refused.exit_code == 1
    assert "--force" in refused.stderr
    assert hgs(*options, "--force").exit_code == 0


def test_the_roll_is_that_of_the_camera() -> None:
    cameras = from_yaw_pitch(torch.tensor([0.4, -1.0]), torch.tensor([0.3, 0.1]))
    turn = torch.eye(4)
    turn[:2, :2] = torch.tensor([[math.cos(0.2), -math.sin(0.2)], [math.sin(0.2), math.cos(0.2)]])
    rolled = Cameras(cameras.cam_to_world @ turn, cameras.intrinsics)
    assert pose_values(cameras.labels.numpy())["roll"] == pytest.approx(0, abs=1e-4)
    assert abs(pose_values(rolled.labels.numpy())["roll"]) == pytest.approx(math.degrees(0.2), abs=1e-3)


def test_nothing_is_overwritten_without_force(tmp_path: Path) -> None:
    out = tmp_path / "set.zip"
    out.write_text("mine")
    refused = hgs("demo", "--out", out, "--count", 1, "--resolution", 8)
    assert refused.exit_code == 1
    assert "--force" in refused.stderr
    assert out.read_text() == "mine"
    assert hgs("demo", "--out", out, "--count", 1, "--resolution", 8, "--force").exit_code == 0
    assert len(open_dataset(out)) == 1


def test_json_progress_is_one_object_a_line_and_ends_with_done(tmp_path: Path) -> None:
    made = hgs("demo", "--out", tmp_path / "set", "--count", 3, "--resolution", 8, "--json-progress")
    events = [json.loads(line) for line in made.stdout.splitlines()]
    assert [event["event"] for event in events if event["event"] != "progress"] == ["file", "done"]
    assert any(event.get("done") == 3 and event.get("total") == 3 for event in events)


def test_check_as_json_is_one_document(tmp_path: Path) -> None:
    hgs("demo", "--out", tmp_path / "set", "--count", 4, "--resolution", 8)
    report = json.loads(hgs("check", tmp_path / "set", "--json").stdout)
    assert report["images"] == 4
    assert report["cameras"]["axes"] == "opencv"
    assert report["trainable"] is True


def test_check_fails_with_a_sentence_on_what_cannot_be_trained_on(tmp_path: Path) -> None:
    (tmp_path / "dataset.json").write_text("{}")
    checked = hgs("check", tmp_path)
    assert checked.exit_code == 1
    assert "cannot be trained on" in checked.stderr
    assert "(and 1 more)" in checked.stderr


def test_models_are_listed_rendered_and_broken_ones_named(tmp_path: Path) -> None:
    pytest.importorskip("embreex", reason="rendering meshes needs the extra [meshes]")
    models, out = tmp_path / "models", tmp_path / "set.zip"
    models.mkdir()
    for name, text in (("chair", QUAD), ("sofa", QUAD), ("torn chair", "v 0 0 0\n")):
        (models / f"{name}.obj").write_text(text)
    listed = hgs("render", "--models", models, "--out", out, "--match", "chair", "--list")
    assert listed.exit_code == 0
    assert "chair.obj" in listed.stdout
    assert "sofa" not in listed.stdout
    size = ("--count", 4, "--resolution", 8)
    failed = hgs("render", "--models", models, "--out", out, *size)
    assert failed.exit_code == 1
    assert "torn chair.obj has no triangles" in failed.stderr
    assert "--skip-broken" in failed.stderr
    assert not out.exists()
    made = hgs("render", "--models", models, "--out", out, *size, "--skip-broken")
    assert made.exit_code == 0, made.output
    assert "torn chair.obj has no triangles" in made.stderr
    assert "1 of 3 models are left out" in made.stderr
    assert "2 of 2 models come without a licence" in made.stderr
    assert len(open_dataset(out)) == 4
    only_torn = hgs("render", "--models", models, "--out", tmp_path / "x.zip", "--match", "torn", "--skip-broken")
    assert only_torn.exit_code == 1


def test_the_first_folder_of_a_model_is_its_class_where_that_is_asked_for(tmp_path: Path) -> None:
    pytest.importorskip("embreex", reason="rendering meshes needs the extra [meshes]")
    for name in ("chairs/oak/a", "chairs/b", "tables/c"):
        (tmp_path / "models" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "models" / f"{name}.obj").write_text(QUAD)
    command = ("render", "--models", tmp_path / "models", "--count", 24, "--resolution", 8)
    assert hgs(*command, "--out", tmp_path / "set.zip", "--classes").exit_code == 0
    classes = open_dataset(tmp_path / "set.zip").classes
    assert classes is not None
    assert classes.counts() == {"chairs": 16, "tables": 8}
    assert hgs(*command, "--out", tmp_path / "plain.zip").exit_code == 0
    assert open_dataset(tmp_path / "plain.zip").classes is None
    one = hgs("render", "--models", tmp_path / "models" / "chairs" / "oak", "--out", tmp_path / "x.zip", "--classes")
    assert one.exit_code == 1
    assert "a.obj lies in no folder; expected a folder for each class" in one.stderr
    assert not (tmp_path / "x.zip").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ("demo",),
        ("demo", "--out", "x.zip", "--count", "0"),
        ("demo", "--out", "x.zip", "--kind", "dragons"),
        ("render", "--out", "x.zip"),
        ("check",),
    ],
)
def test_wrong_usage_is_exit_code_2(arguments: tuple[str, ...]) -> None:
    assert hgs(*arguments).exit_code == 2


def test_a_pitch_range_the_wrong_way_round_is_refused(tmp_path: Path) -> None:
    result = hgs("render", "--models", tmp_path, "--out", tmp_path / "x.zip", "--pitch-min", 30, "--pitch-max", 10)
    assert result.exit_code == 1
    assert "--pitch-min 30 is above --pitch-max 10" in result.stderr


def test_normal_yaws_do_not_pile_up_at_their_limit(tmp_path: Path) -> None:
    narrow = ("--yaw", 5, "--yaw-prior", "normal")
    made = hgs("demo", "--out", tmp_path / "set.zip", "--count", 60, "--resolution", 8, *narrow)
    assert made.exit_code == 0, made.output
    yaw = pose_values(open_dataset(tmp_path / "set.zip").labels)["yaw"]
    assert sum(abs(value) > 4.99 for value in yaw) <= 8
    assert camera_prior(math.radians(5), yaw_prior="normal").yaw_spread == pytest.approx(math.radians(2.5))
    assert camera_prior(math.pi, yaw_prior="normal").yaw_spread == PosePrior().yaw_spread


def test_a_pitch_beyond_the_usual_ones_names_what_is_missing(tmp_path: Path) -> None:
    high = hgs("demo", "--out", tmp_path / "x.zip", "--pitch-min", 40)
    assert "--pitch-min 40 is above the usual highest pitch, 31.5; give --pitch-max, too" in high.stderr
    low = hgs("demo", "--out", tmp_path / "x.zip", "--pitch-max", -60)
    assert "--pitch-max -60 is below the usual lowest pitch, -25.8; give --pitch-min, too" in low.stderr
    assert (high.exit_code, low.exit_code) == (1, 1)


def test_models_in_an_unsafe_archive_are_left_out_where_that_is_asked_for(tmp_path: Path) -> None:
    pytest.importorskip("embreex", reason="rendering meshes needs the extra [meshes]")
    models = tmp_path / "models"
    models.mkdir()
    (models / "a.obj").write_text(QUAD)
    with zipfile.ZipFile(models / "b.zip", "w") as archive:
        archive.writestr("../b.obj", QUAD)
    command = ("render", "--models", models, "--count", 4, "--resolution", 8)
    failed = hgs(*command, "--out", tmp_path / "set.zip")
    assert failed.exit_code == 1
    assert "unsafe file name" in failed.stderr
    made = hgs(*command, "--out", tmp_path / "set.zip", "--skip-broken")
    assert made.exit_code == 0, made.output
    assert "unsafe file name '../b.obj'" in made.stderr
    (models / "a.obj").rename(tmp_path / "a.obj")
    nothing = hgs(*command, "--out", tmp_path / "x.zip", "--skip-broken")
    assert nothing.exit_code == 1
    assert "unsafe file name '../b.obj'" in nothing.stderr
    inside = hgs(*command, "--out", models / "set")
    assert inside.exit_code == 1
    assert "whose images it would join" in inside.stderr
