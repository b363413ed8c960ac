"""Datasets made by a model that learned from others' works name those works, in whatever format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hgs_toolkit.checkpoint import load_model, save_model
from hgs_toolkit.config import Config
from hgs_toolkit.datasets.attribution import Credit, attribution_facts, credits_to_json, read_credits
from hgs_toolkit.datasets.eg3d import open_dataset
from hgs_toolkit.synthesis.plan import read_plan
from tests.synthesis.conftest import Make

WORKS = [Credit("chair", "A. Maker", "CC-BY-3.0", "a library"), Credit("sofa", "B. Maker", "CC0-1.0", "a library")]
TERMS = {"licence": "CC-BY-4.0", "attribution": credits_to_json(WORKS)}


@pytest.fixture
def credited_file(plain_file: Path, plain_config: Config) -> Path:
    """The plain model, with a licence and credits."""
    facts = {"licence": "CC-BY-4.0", **attribution_facts(WORKS)}
    path = plain_file.with_name("credited.safetensors")
    save_model(path, load_model(plain_file, "cpu"), plain_config, facts)
    return path


@pytest.mark.parametrize("form", ["eg3d", "coco", "wds", "transforms", "folder"])
def test_the_plan_names_licence_and_works_in_every_format(
    form: str, make: Make, credited_file: Path, tmp_path: Path
) -> None:
    make(tmp_path / "set", model=credited_file, count=1, views=2, size=16, format=form)
    assert read_plan(tmp_path / "set" / "plan.json").terms == TERMS
    written: dict[str, Any] = json.loads((tmp_path / "set" / "plan.json").read_text())
    assert TERMS.items() <= written.items()
    make(tmp_path / "set", model=credited_file, count=1, views=2, size=16, format=form, resume=True)


def test_what_learns_from_an_eg3d_set_is_told_of_the_works(make: Make, credited_file: Path, tmp_path: Path) -> None:
    made = make(tmp_path / "set", model=credited_file, count=3, views=2, size=16, format="eg3d", shard_images=2)
    assert made.dataset is not None
    assert read_credits(open_dataset(made.dataset).facts["attribution"]) == WORKS


def test_coco_names_the_licence_where_its_readers_look(make: Make, credited_file: Path, tmp_path: Path) -> None:
    make(tmp_path / "set", model=credited_file, count=2, views=1, size=16, format="coco")
    content = json.loads((tmp_path / "set" / "annotations.json").read_text())
    assert [licence["name"] for licence in content["licenses"]] == ["CC-BY-4.0"]
    assert {image["license"] for image in content["images"]} == {content["licenses"][0]["id"]}
    assert read_credits(content["info"]["attribution"]) == WORKS


def test_a_model_without_credits_leaves_plans_as_they_were(make: Make, tmp_path: Path) -> None:
    make(tmp_path / "set", count=1, views=1, size=16, format="coco")
    assert not {"licence", "attribution", "terms"} & json.loads((tmp_path / "set" / "plan.json").read_text()).keys()
    content = json.loads((tmp_path / "set" / "annotations.json").read_text())
    assert content["licenses"] == []
    assert "license" not in content["images"][0]
