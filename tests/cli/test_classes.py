"""Classes on the command line: chosen by name, told by ``info`` and manifests, refused in one sentence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import Result

from hgs_toolkit.asset import load_asset
from hgs_toolkit.checkpoint import save_model
from hgs_toolkit.config import Config
from hgs_toolkit.datasets.eg3d import open_dataset
from hgs_toolkit.model.generator import Generator
from tests.cli.conftest import Hgs


@pytest.fixture
def classes_file(tmp_path: Path, class_model: Generator, class_config: Config) -> Path:
    path = tmp_path / "classes.safetensors"
    save_model(path, class_model, class_config)
    return path


def test_sample_makes_the_class_and_says_so(hgs: Hgs, classes_file: Path, tmp_path: Path) -> None:
    result = hgs("sample", classes_file, "--seeds", "0-1", "--class", "table", "--save", "hgs", "--out", tmp_path / "a")
    assert result.exit_code == 0, result.stderr
    manifest = json.loads((tmp_path / "a" / "manifest.json").read_text())
    assert manifest["classes"] == ["chair", "table"]
    assert [scene["class"] for scene in manifest["scenes"]] == ["table", "table"]
    assert load_asset(tmp_path / "a" / "seed0001.hgs").metadata.class_name == "table"
    hgs("export", f"{classes_file}@1:table", tmp_path / "one.hgs")
    assert load_asset(tmp_path / "one.hgs").metadata.class_name == "table"


@pytest.mark.parametrize(
    "command",
    [
        ("sample", "MODEL", "--class", "chiar", "--out", "OUT"),
        ("mix", "MODEL", "OUT.png", "--col-class", "chiar"),
        ("video", "MODEL", "OUT.gif", "--class", "table,chiar", "--seeds", "0-1"),
        ("synth", "MODEL", "--classes", "table,chiar", "--out", "OUT"),
        ("invert", "critter:1", "MODEL", "--class", "chiar", "--out", "OUT"),
    ],
)
def test_a_wrong_class_is_wrong_usage_and_lists_the_right_ones(
    command: tuple[str, ...], hgs: Hgs, classes_file: Path, model_file: Path, tmp_path: Path
) -> None:
    words = [word.replace("OUT", str(tmp_path / "out")) for word in command]
    wrong = hgs(*(word.replace("MODEL", str(classes_file)) for word in words))
    assert wrong.exit_code == 2
    assert "class 'chiar' is unknown (did you mean 'chair'?); this model has: chair, table" in wrong.stderr
    without = hgs(*(word.replace("MODEL", str(model_file)) for word in words))
    assert without.exit_code == 2
    assert "for a model without classes" in without.stderr
    assert not (tmp_path / "out").exists()


def test_a_video_takes_one_class_or_one_for_each_seed(hgs: Hgs, classes_file: Path, tmp_path: Path) -> None:
    def video(classes: str) -> Result:
        return hgs("video", classes_file, tmp_path / f"{classes}.gif", "--class", classes, "--seeds", "0-2",
                   "--kind", "shrink", "--frames", 3, "--size", 32)  # fmt: skip

    wrong = video("chair,table")
    assert wrong.exit_code == 2
    assert "2 classes for 3 seeds; expected one, or one for each" in wrong.stderr
    for classes in ("table", "chair,table,chair"):
        assert video(classes).exit_code == 0
    assert (tmp_path / "table.gif").read_bytes() != (tmp_path / "chair,table,chair.gif").read_bytes()


def test_info_names_the_classes_of_a_model_and_of_a_set(hgs: Hgs, classes_file: Path, tmp_path: Path) -> None:
    assert "chair, table" in hgs("info", classes_file).stdout
    hgs("dataset", "demo", "--count", 3, "--resolution", 8, "--classes", "--out", tmp_path / "set.zip")
    events = map(json.loads, hgs("info", tmp_path / "set.zip", "--json-progress").stdout.splitlines())
    counts = next(event["images_per_class"] for event in events if "images_per_class" in event)
    assert sum(counts.values()) == 3


@pytest.mark.parametrize("layout", ["folder", "coco", "eg3d", "transforms"])
def test_synth_tells_the_class_of_every_image(layout: str, hgs: Hgs, classes_file: Path, tmp_path: Path) -> None:
    out = tmp_path / layout
    result = hgs("synth", classes_file, "--count", 4, "--format", layout, "--workers", 0, "--out", out,
                 "--classes", "table,chair")  # fmt: skip
    assert result.exit_code == 0, result.stderr
    if layout == "eg3d":
        found = open_dataset(out / "dataset.zip").classes
        assert found is not None
        assert sum(found.counts().values()) == 4
    elif layout == "coco":
        instances = json.loads((out / "annotations.json").read_text())
        assert [(entry["id"], entry["name"]) for entry in instances["categories"]] == [(1, "table"), (2, "chair")]
        named = {entry["id"]: entry["facts"]["class"] for entry in _with_facts(instances["images"])}
        names = {entry["id"]: entry["name"] for entry in instances["categories"]}
        assert all(names[entry["category_id"]] == named[entry["image_id"]] for entry in instances["annotations"])
    else:
        files = sorted(out.rglob("transforms.json" if layout == "transforms" else "0*.json"))
        kinds = [json.loads(file.read_text())["class"] for file in files if "shards" not in file.parts[-2]]
        assert set(kinds) <= {"chair", "table"}
        assert kinds


def _with_facts(images: list[dict[str, object]]) -> list[dict[str, dict[str, str]]]:
    """COCO's images, whose facts are under the key that the format gives them."""
    from hgs_toolkit.synthesis.formats.samples import FACTS

    return [image | {"facts": image[FACTS]} for image in images]  # type: ignore[misc]
