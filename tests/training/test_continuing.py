"""Resuming a run: with other data, with changed settings, and what is kept of it along the way."""

from __future__ import annotations

import logging
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest

from hgs_toolkit.checkpoint import load_model
from hgs_toolkit.config import Config
from hgs_toolkit.datasets.eg3d import PosedImages, open_dataset
from hgs_toolkit.datasets.eg3d_writer import open_writer
from hgs_toolkit.errors import CheckpointError
from hgs_toolkit.model_files import read_header
from hgs_toolkit.settings_io import config_from_dict, config_to_dict
from hgs_toolkit.training.continuing import DatasetIdentity
from hgs_toolkit.training.loop import train
from hgs_toolkit.training.state import RunFolder, read_state
from hgs_toolkit.training.trainer import Trainer


def _changed(config: Config, **training: Any) -> Config:
    values = config_to_dict(config)
    values["training"] |= training
    return config_from_dict(values)


@pytest.fixture
def begun(tiny: Config, images: PosedImages, tmp_path: Path) -> RunFolder:
    """A run of one step."""
    return train(tiny, images, tmp_path / "run", minutes=1e-9)


def test_another_dataset_is_refused_by_name_and_nothing_changes(
    begun: RunFolder, tiny: Config, images: PosedImages, tmp_path: Path
) -> None:
    with open_writer(tmp_path / "others.zip") as writer:
        for index in range(24):
            writer.add(255 - images.image(index), images.labels[index])
    before = begun.state_file.read_bytes()
    with pytest.raises(CheckpointError, match=r"trained on discs\.zip \(24 images\); others\.zip .* --init"):
        train(tiny, open_dataset(tmp_path / "others.zip"), begun.path, resume=True)
    assert begun.state_file.read_bytes() == before


def test_the_same_dataset_as_a_folder_under_another_name_is_the_same(
    begun: RunFolder, tiny: Config, images: PosedImages, tmp_path: Path
) -> None:
    with zipfile.ZipFile(images.path) as archive:
        archive.extractall(tmp_path / "unpacked")
    unpacked = open_dataset(tmp_path / "unpacked")
    assert unpacked.digest == images.digest
    assert train(tiny, unpacked, begun.path, resume=True).read_log()[-1]["step"] == 10


def test_the_digest_sees_images_labels_and_names(images: PosedImages, tmp_path: Path) -> None:
    def digest(change: int | None = None, turn: int | None = None, count: int = 24) -> str:
        path = tmp_path / "set.zip"
        with open_writer(path, force=True) as writer:
            for index in range(count):
                pixels, label = images.image(index).copy(), images.labels[index].copy()
                pixels[0, 0, 0] ^= index == change
                label[3] += index == turn
                writer.add(pixels, label)
        return open_dataset(path).digest

    found = [digest(), digest(change=5), digest(turn=5), digest(count=23)]
    assert digest() == found[0]
    assert len(set(found)) == 4


def test_a_state_of_an_earlier_version_does_not_name_its_dataset_and_is_resumed(
    begun: RunFolder, tiny: Config, images: PosedImages
) -> None:
    trainer = Trainer(tiny)
    begun.restore(trainer)
    begun.save(trainer)
    assert "data" not in read_state(begun.state_file)
    begun.restore(trainer, DatasetIdentity.of(images))


def test_changed_rates_gammas_and_intervals_are_taken_logged_and_announced(
    begun: RunFolder, tiny: Config, images: PosedImages, caplog: pytest.LogCaptureFixture
) -> None:
    changed = _changed(tiny, generator_lr=0.004, r1_gamma=0.7, penalty_interval=3, warmup_steps=3)
    trainer = Trainer(changed)
    begun.restore(trainer)
    assert trainer.generator_optimizer.param_groups[0]["base_lr"] == 0.004
    with caplog.at_level(logging.WARNING):
        run = train(changed, images, begun.path, resume=True, minutes=1e-9)
    assert "not the same run any more" in caplog.text
    assert "training.r1_gamma was 0.1, now 0.7" in caplog.text
    line = run.read_log()[-1]
    assert line["changed"]["training.generator_lr"] == [0.0025, 0.004]
    assert line["changed"].keys() == {"training.generator_lr", "training.r1_gamma", "training.penalty_interval"}
    caplog.clear()
    assert "changed" not in train(changed, images, begun.path, resume=True, minutes=1e-9).read_log()[-1]
    assert "not the same run" not in caplog.text


def test_a_length_that_moves_the_rates_is_announced(
    tiny: Config, images: PosedImages, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    falling = _changed(tiny, rate_final=0.5)
    run = train(falling, images, tmp_path / "run", minutes=1e-9)
    with caplog.at_level(logging.WARNING):
        train(_changed(falling, kimg=2 * tiny.training.kimg), images, run.path, resume=True, minutes=1e-9)
    assert "not the same run any more: training.kimg was" in caplog.text


def test_reconstruction_is_not_switched_on_in_the_middle(tiny: Config, images: PosedImages, begun: RunFolder) -> None:
    values = config_to_dict(tiny)
    values["training"]["reconstruction"]["weight"] = 1.0
    with pytest.raises(CheckpointError, match="is a run without reconstruction, which cannot change on the way"):
        train(config_from_dict(values), images, begun.path, resume=True)


@pytest.mark.parametrize(("before", "after", "strength"), [(0.6, None, 1.0), (None, 0.6, 0.0), (0.6, 0.5, 0.25)])
def test_the_strength_of_ada_goes_on_only_where_it_moved(
    before: float | None, after: float | None, strength: float, tiny: Config
) -> None:
    first, second = (Trainer(_changed(tiny, augment={"color": 1.0, "adaptive_target": x})) for x in (before, after))
    if before is not None:
        first.augmentation.strength = 0.25
    second.load_state(first.state())
    assert second.augmentation.strength == strength


def test_the_best_model_is_kept_and_a_worse_one_does_not_replace_it(begun: RunFolder, tiny: Config) -> None:
    trainer = Trainer(tiny)
    assert begun.keep_if_best(trainer, "kid_squeeze", 50.0)
    trainer.step = 3
    assert not begun.keep_if_best(trainer, "kid_squeeze", 60.0)
    assert read_header(begun.best_file).facts == {"kimg": "0.000", "step": "0", "kid_squeeze": "50.0000"}
    assert begun.keep_if_best(trainer, "kid_squeeze", -1.0)
    assert begun.keep_if_best(trainer, "kid_randconv", 900.0)  # measured by something else: not comparable
    assert load_model(begun.best_file).config == tiny.generator


def test_snapshots_are_kept_at_their_interval_and_pruned_by_the_stated_rule(
    tiny: Config, images: PosedImages, tmp_path: Path
) -> None:
    run = train(_changed(tiny, snapshot_kimg=0.016), images, tmp_path / "run")
    assert [file.stem for file in sorted(run.snapshots.iterdir())] == [
        "kimg-00000.016", "kimg-00000.032", "kimg-00000.040",
    ]  # fmt: skip
    assert load_model(run.snapshots / "kimg-00000.016.safetensors").config == tiny.generator
    shutil.rmtree(run.snapshots)
    trainer = Trainer(_changed(tiny, snapshot_kimg=0.004))
    for step in range(1, 32):
        trainer.step = step
        run.save_snapshot(trainer)
    kept = [round(float(file.stem.removeprefix("kimg-")) / 0.004) for file in sorted(run.snapshots.iterdir())]
    assert kept == [10, 20, *range(22, 32)]
