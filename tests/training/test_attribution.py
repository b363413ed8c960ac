"""The credits of what a set shows are carried into every model that learns from it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from hgs_toolkit.cli.info import describe
from hgs_toolkit.config import Config
from hgs_toolkit.datasets.attribution import ATTRIBUTION, Credit, credits_to_json, read_credits, summarise
from hgs_toolkit.datasets.eg3d import PosedImages, open_dataset
from hgs_toolkit.datasets.eg3d_writer import open_writer
from hgs_toolkit.model_files import read_header
from hgs_toolkit.training.loop import train
from hgs_toolkit.training.stages.growing import grow
from hgs_toolkit.training.stages.packing import pack_run
from hgs_toolkit.training.stages.warm_start import read_networks, starting_config

CREDITS = [Credit("Chair", "Ann", "CC-BY 3.0", "Seats"), Credit("Sofa", "Ben", "CC0", "Seats")]


@pytest.fixture
def credited(images: PosedImages, tmp_path: Path) -> Path:
    path = tmp_path / "credited.zip"
    with open_writer(path) as writer:
        for index in range(8):
            writer.add(np.asarray(images.image(index)), images.labels[index])
        writer.facts |= {ATTRIBUTION: credits_to_json(CREDITS)}
    return path


def test_a_model_names_the_works_it_learned_from(tiny: Config, credited: Path, tmp_path: Path) -> None:
    data = open_dataset(credited)
    run = train(tiny, data, tmp_path / "run")
    assert read_credits(read_header(run.model_file).facts[ATTRIBUTION]) == CREDITS
    for path in (run.path, run.model_file, credited):
        assert {fact.name: fact.text for fact in describe(path)}[
            ATTRIBUTION
        ] == "2 works (1 CC-BY 3.0; 1 CC0) by Ann, Ben"


def test_whatever_is_trained_on_from_a_model_names_its_works_too(
    tiny: Config, credited: Path, images: PosedImages, tmp_path: Path
) -> None:
    """Also where the set of the later run has no credits of its own, after a stop, grown, and packed."""
    first = train(tiny, open_dataset(credited), tmp_path / "first", minutes=1e-9)
    for number, beginning in enumerate((first.path, first.model_file)):
        start = read_networks(beginning)
        config = starting_config(start, None)
        run = train(config, images, tmp_path / f"on{number}", start=start, minutes=1e-9)
        assert list(run.credits) == CREDITS
        run = train(config, images, run.path, resume=True, minutes=1e-9)
        assert list(run.credits) == CREDITS
    pack_run(run.path, tmp_path / "packed.safetensors")
    packed = read_networks(tmp_path / "packed.safetensors")
    assert list(packed.credits) == CREDITS
    assert list(grow(packed, packed.config).credits) == CREDITS


def test_a_generator_packed_into_a_run_brings_its_works(
    tiny: Config, credited: Path, images: PosedImages, tmp_path: Path
) -> None:
    other = train(tiny, open_dataset(credited), tmp_path / "other", minutes=1e-9)
    run = train(tiny, images, tmp_path / "run", minutes=1e-9)
    pack_run(run.path, tmp_path / "packed.safetensors", generator=other.model_file)
    assert list(read_networks(tmp_path / "packed.safetensors").credits) == CREDITS


def test_a_set_without_credits_leaves_none(tiny: Config, images: PosedImages, tmp_path: Path) -> None:
    run = train(tiny, images, tmp_path / "run")
    assert ATTRIBUTION not in read_header(run.model_file).facts
    assert ATTRIBUTION not in {fact.name: fact.text for fact in describe(run.path)}


@pytest.mark.parametrize("broken", ["no json", 3, None, [1, {"author": "x"}], json.dumps({"work": "x"})])
def test_broken_credits_are_no_credits(broken: object) -> None:
    assert read_credits(broken) == []
    assert summarise([]) == "none"
