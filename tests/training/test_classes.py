"""Training with classes: measured from the set, told to both networks, kept by what follows, and off when asked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from hgs_toolkit.config import ClassPrior, Config
from hgs_toolkit.datasets.eg3d import PosedImages, open_dataset
from hgs_toolkit.datasets.eg3d_writer import open_writer
from hgs_toolkit.errors import CheckpointError, ConfigError, ShapeError
from hgs_toolkit.model.discriminator import make_discriminator
from hgs_toolkit.training.fitting import check_data, describe_classes, fitted, with_measured_classes
from hgs_toolkit.training.grids import balanced_rows, real_grid, sample_grid
from hgs_toolkit.training.loop import train
from hgs_toolkit.training.stages.growing import grown_config
from hgs_toolkit.training.state import read_state
from hgs_toolkit.training.trainer import Trainer


@pytest.fixture(scope="module")
def labelled(images: PosedImages, tmp_path_factory: pytest.TempPathFactory) -> PosedImages:
    """The discs, of which every third is a table and the others are chairs."""
    path = tmp_path_factory.mktemp("labelled") / "discs.zip"
    with open_writer(path) as writer:
        writer.class_names = ["chair", "table"]
        for index in range(len(images)):
            writer.add(images.image(index), images.labels[index], int(index % 3 == 0))
    return open_dataset(path)


def test_classes_are_measured_unless_they_are_switched_off(tiny: Config, labelled: PosedImages) -> None:
    measured = with_measured_classes(tiny, labelled)
    assert (measured.generator.classes.names, measured.discriminator.classes) == (("chair", "table"), 2)
    assert describe_classes(measured.generator.classes) == "chair 67%, table 33%"
    off = replace(tiny, training=replace(tiny.training, classes=False))
    assert with_measured_classes(off, labelled) == off


def test_a_set_of_other_classes_is_refused(tiny: Config, images: PosedImages, labelled: PosedImages) -> None:
    measured = with_measured_classes(tiny, labelled)
    check_data(measured, labelled)
    with pytest.raises(ConfigError, match=r"learns the classes chair, table, but discs\.zip has no classes"):
        check_data(measured, images)
    other = replace(measured, generator=replace(measured.generator, classes=ClassPrior(("cup", "pot"))))
    with pytest.raises(ConfigError, match=r"learns the classes cup, pot, but discs\.zip has chair, table"):
        check_data(other, labelled)


def test_weights_keep_their_classes_and_those_of_the_set_are_not_left_out_in_silence(
    tiny: Config, images: PosedImages, labelled: PosedImages, caplog: pytest.LogCaptureFixture
) -> None:
    assert fitted(tiny, labelled, classes=False).generator.classes == tiny.generator.classes
    assert "discs.zip has the classes chair, table, which the weights to start from do not know" in caplog.text
    caplog.clear()
    off = replace(tiny, training=replace(tiny.training, classes=False))
    for config, data in ((tiny, images), (off, labelled), (with_measured_classes(tiny, labelled), labelled)):
        fitted(config, data, classes=False)
    assert "do not know" not in caplog.text


@pytest.mark.parametrize("recipe", ["tiny", "tiny_gsgan"])
def test_a_step_moves_what_knows_the_classes(
    recipe: str, labelled: PosedImages, request: pytest.FixtureRequest
) -> None:
    trainer = Trainer(with_measured_classes(request.getfixturevalue(recipe), labelled))
    before = {name: value.clone() for name, value in trainer.state()["discriminator"].items()}
    mapping = trainer.generator.mapping.embed_class
    assert mapping is not None
    started = mapping.weight.detach().clone()
    trainer.train_step(labelled)
    trainer.train_step(labelled)
    after = trainer.state()["discriminator"]
    moved = [
        name for name, value in after.items() if "class_projection" in name and not torch.equal(value, before[name])
    ]
    assert len(moved) >= 2
    assert not torch.equal(mapping.weight, started)


@pytest.mark.parametrize("recipe", ["tiny", "tiny_gsgan"])
def test_the_discriminator_judges_the_class(recipe: str, labelled: PosedImages, request: pytest.FixtureRequest) -> None:
    config = with_measured_classes(request.getfixturevalue(recipe), labelled).discriminator
    judge = make_discriminator(config)
    pixels = torch.rand(1, config.image_channels, 16, 16, generator=torch.Generator().manual_seed(0)).expand(
        2, -1, -1, -1
    )
    labels = torch.from_numpy(labelled.labels[:1]).expand(2, -1)
    chair, table = judge(pixels, labels, torch.eye(2)).logits
    assert chair != table
    with pytest.raises(ShapeError, match=r"class vectors None; expected \(2, 2\)"):
        judge(pixels, labels)


def test_switched_off_a_labelled_set_is_the_unlabelled_one(
    tiny: Config, images: PosedImages, labelled: PosedImages
) -> None:
    states = [Trainer(tiny) for _ in range(2)]
    for trainer, data in zip(states, (images, labelled), strict=True):
        trainer.train_step(data)
    first, second = (trainer.state()["generator"] for trainer in states)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_run_with_classes_resumes_exactly_and_refuses_the_set_without(
    tiny: Config, images: PosedImages, labelled: PosedImages, tmp_path: Path
) -> None:
    config = with_measured_classes(replace(tiny, training=replace(tiny.training, kimg=0.016)), labelled)
    train(config, labelled, tmp_path / "whole")
    half = replace(config, training=replace(config.training, kimg=0.008))
    train(half, labelled, tmp_path / "halves")
    train(config, labelled, tmp_path / "halves", resume=True)
    whole, halves = (read_state(tmp_path / name / "state.pt")["ema"] for name in ("whole", "halves"))
    assert all(torch.equal(value, halves[name]) for name, value in whole.items())
    assert "chair 67%" in (tmp_path / "whole" / "report.html").read_text(encoding="utf-8")
    with pytest.raises((ConfigError, CheckpointError), match="no classes"):
        train(config, images, tmp_path / "whole", resume=True)


def test_a_grown_run_keeps_the_classes(tiny: Config, labelled: PosedImages) -> None:
    small = with_measured_classes(tiny, labelled)
    grown = grown_config(small, tiny)
    assert grown.generator.classes == small.generator.classes
    assert grown.discriminator.classes == 2


def test_grids_show_every_class_as_often(tiny: Config, labelled: PosedImages) -> None:
    assert balanced_rows(ClassPrior(("a", "b", "c")), 6).tolist() == [0, 0, 1, 1, 2, 2]
    config = with_measured_classes(tiny, labelled)
    assert sample_grid(Trainer(config).ema, config).shape == (32, 32, 3)
    shown = real_grid(labelled, config).numpy()
    tiles = [shown[row : row + 16, column : column + 16] for row in (0, 16) for column in (0, 16)]
    assert labelled.classes is not None
    known = [labelled.image(index)[..., :3][8, 8] / 255 for index in range(len(labelled))]
    kinds = [
        int(labelled.classes.vectors[min(range(len(known)), key=lambda i: np.abs(known[i] - tile[8, 8]).sum()), 1])
        for tile in tiles
    ]
    assert kinds == [0, 0, 1, 1]
