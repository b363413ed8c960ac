"""A configuration fitted to its dataset."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from hgs_toolkit.config import Config
from hgs_toolkit.datasets.eg3d import PosedImages, open_dataset
from hgs_toolkit.datasets.eg3d_writer import open_writer
from hgs_toolkit.errors import ConfigError
from hgs_toolkit.pose_prior import PosePrior
from hgs_toolkit.training.fitting import as_begun, check_data, fitted, with_measured_poses
from hgs_toolkit.training.loop import train

TELE = PosePrior(focal=3.0, radius=4.0, yaw_law="uniform", yaw_spread=0.8)


@pytest.fixture
def telephoto(images: PosedImages, tmp_path: Path) -> PosedImages:
    """The discs, seen by other cameras than the presets expect."""
    labels = TELE.sample(24, torch.Generator().manual_seed(0)).labels.numpy()
    with open_writer(tmp_path / "tele.zip") as writer:
        for index in range(24):
            writer.add(images.image(index), labels[index])
    return open_dataset(tmp_path / "tele.zip")


def test_poses_come_from_the_labels_and_are_said(
    tiny: Config, telephoto: PosedImages, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        poses = with_measured_poses(tiny, telephoto).generator.poses
    assert (poses.focal, poses.radius, poses.yaw_law) == (3.0, 4.0, "uniform")
    assert "poses measured from tele.zip: focal 3, radius 4, yaw uniform" in caplog.text
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_setting_by_hand_wins_and_a_large_difference_is_said(
    tiny: Config, telephoto: PosedImages, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        poses = with_measured_poses(tiny, telephoto, {"generator.poses.focal"}).generator.poses
    assert (poses.focal, poses.radius) == (2.0, 4.0)
    assert caplog.messages == ["the poses of tele.zip differ from the configuration's: focal is 2, the labels have 3"]
    assert with_measured_poses(tiny, telephoto, {"generator.poses"}).generator.poses == tiny.generator.poses


def test_a_resumed_run_keeps_the_poses_it_was_begun_with(tiny: Config, telephoto: PosedImages, tmp_path: Path) -> None:
    begun = with_measured_poses(tiny, telephoto)
    run = train(begun, telephoto, tmp_path / "run", minutes=1e-9)
    assert as_begun(run, tiny) == begun
    assert as_begun(run, tiny, {"generator.poses.radius"}).generator.poses.radius == tiny.generator.poses.radius


def test_pairs_are_left_out_where_the_set_shows_each_subject_once(
    tiny: Config, telephoto: PosedImages, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pairs = replace(
        tiny, discriminator=replace(tiny.discriminator, views=2), training=replace(tiny.training, views=2)
    )  # fmt: skip
    with caplog.at_level(logging.INFO):
        begun = fitted(pairs, telephoto)
    assert (begun.discriminator.views, begun.training.views) == (1, 1)
    assert "tele.zip does not show its subjects in groups of 2 views" in caplog.text
    assert fitted(pairs, telephoto, {"discriminator.views"}).discriminator.views == 2
    assert as_begun(train(begun, telephoto, tmp_path / "run", minutes=1e-9), pairs) == begun


def test_the_advice_for_images_without_alpha_lets_the_background_learn_early(
    tiny: Config, images: PosedImages, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with open_writer(tmp_path / "rgb.zip") as writer:
        for index in range(8):
            writer.add(images.image(index)[..., :3], images.labels[index])
    data = open_dataset(tmp_path / "rgb.zip")
    advice = (
        r"--set training\.background=black --set generator\.background=generator --set training\.background_kimg=0\.002"
    )
    with pytest.raises(ConfigError, match=advice):
        check_data(tiny, data)
    late = replace(
        tiny, generator=replace(tiny.generator, background="generator"),
        training=replace(tiny.training, background="black", background_kimg=50.0),
    )  # fmt: skip
    with caplog.at_level(logging.WARNING):
        check_data(late, data)
    assert "off for 0.04 of 0.04 kimg" in caplog.text
    caplog.clear()
    check_data(replace(late, training=replace(late.training, background_kimg=0.002)), data)
    assert not caplog.messages
