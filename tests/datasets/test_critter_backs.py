import math
from pathlib import Path

import numpy as np
import pytest
import torch

from hgs_toolkit.cameras import Cameras, from_yaw_pitch, yaw_pitch_radius
from hgs_toolkit.datasets.critters.anatomy import PART_NAMES
from hgs_toolkit.datasets.critters.drawing import Critter, critter, critter_image, make_critters
from hgs_toolkit.datasets.critters.prior import DEMO, CritterPrior, pose_prior
from hgs_toolkit.datasets.critters.raycast import Values
from hgs_toolkit.datasets.eg3d import open_dataset, read_label_file
from hgs_toolkit.datasets.storage import open_store
from hgs_toolkit.errors import DataError

AROUND = CritterPrior(pose_prior(yaw=math.pi, pitch_min=math.radians(-15), pitch_max=math.radians(45)), views=2)
DEMO_MEANS = (
    (42.0, 51.79, 59.67, 91.9),
    (37.03, 29.88, 23.19, 79.01),
    (55.34, 36.99, 28.35, 95.39),
    (28.36, 25.75, 25.75, 81.76),
    (53.27, 53.0, 53.16, 108.53),
    (67.56, 57.38, 41.49, 104.79),
)  # fmt: skip
"""Mean red, green, blue and alpha of the first images of the demo set with seed 3 at 32 pixels, 0 to 255."""

CROWD = [critter(7, index, AROUND) for index in range(60)]


def label_at(yaw: float, pitch: float = 0.2) -> Values:
    label: Values = from_yaw_pitch(torch.tensor([float(yaw)]), torch.tensor([float(pitch)])).labels[0].numpy()
    return label


def share_of(subject: Critter, yaw: float, *names: str) -> float:
    """Share of the subject's pixels that show the parts ``names``."""
    part = subject.render(label_at(yaw), 48).part
    return float(np.isin(part, [PART_NAMES.index(name) for name in names]).sum() / (part > 0).sum())


def test_the_demo_set_has_the_pixels_it_always_had() -> None:
    means = [critter_image(3, index, 32)[0].mean(axis=(0, 1)) for index in range(len(DEMO_MEANS))]
    assert np.abs(np.array(means) - DEMO_MEANS).max() < 0.02


def test_a_critter_has_the_same_front_with_and_without_its_back() -> None:
    for index in range(8):
        front, around = critter(7, index), CROWD[index]
        count = len(front.parts)
        assert np.array_equal(around.parts[:count], front.parts)
        assert np.array_equal(around.coat.base[:count], front.coat.base)
        assert around.coat.pattern == front.coat.pattern
        assert np.allclose(around.solids.radii[:count] / around.scale, front.solids.radii / front.scale)
        assert len(around.parts) > count


@pytest.mark.parametrize("subject", CROWD[:12])
def test_no_critter_is_cut_off_from_any_side(subject: Critter) -> None:
    alphas = [subject.render(label_at(yaw, pitch), 48).alpha for yaw in np.arange(12) * 0.55 for pitch in (-0.25, 0.78)]
    for alpha in alphas:
        assert max(alpha[0].max(), alpha[-1].max(), alpha[:, 0].max(), alpha[:, -1].max()) == 0
    assert max(np.ptp(np.flatnonzero(alpha.any(axis=axis))) for alpha in alphas for axis in (0, 1)) >= 38


def test_backs_show_a_tail_and_no_face() -> None:
    tails = np.mean([share_of(subject, math.pi, "tail", "tail tip") > 0.01 for subject in CROWD])
    assert tails > 0.9
    assert max(share_of(subject, math.pi, "eye", "nose", "muzzle", "inner ear") for subject in CROWD) < 0.01
    parts = {PART_NAMES[number] for subject in CROWD for number in subject.parts.tolist()}
    assert parts >= {"tail", "tail tip", "mane", "bow"}


def test_backs_differ_from_each_other_in_more_than_one_colour() -> None:
    deviations = []
    for subject in CROWD[:30]:
        rendering = subject.render(label_at(math.pi), 32)
        deviations.append(rendering.rgb[rendering.alpha > 0.99].std(axis=0).max())
    assert np.mean(np.array(deviations) > 0.08) > 0.7


def test_a_group_of_views_shows_one_critter_from_its_own_cameras(tmp_path: Path) -> None:
    (first, one), (second, two) = critter_image(7, 6, 32, AROUND), critter_image(7, 7, 32, AROUND)
    assert np.array_equal(first, CROWD[3].render(one, 32).rgba)
    assert np.array_equal(second, CROWD[3].render(two, 32).rgba)
    assert not np.array_equal(one, two)
    make_critters(tmp_path / "set.zip", 8, 32, seed=7, prior=AROUND)
    assert np.array_equal(open_dataset(tmp_path / "set.zip").image(7), second)
    _, facts = read_label_file(open_store(tmp_path / "set.zip"))
    assert facts["views_per_subject"] == 2
    assert facts["pose_prior"]["yaw_law"] == "uniform"


def test_cameras_keep_to_the_wished_angles_and_fill_them() -> None:
    labels = torch.from_numpy(np.stack([critter_image(1, index, 8, AROUND)[1] for index in range(300)]))
    yaw, pitch, _ = yaw_pitch_radius(Cameras.from_labels(labels).cam_to_world)
    for sector in range(-4, 4):
        inside = (yaw >= sector * math.pi / 4) & (yaw < (sector + 1) * math.pi / 4)
        assert 0.07 < inside.float().mean() < 0.19
    assert pitch.min() > math.radians(-15) - 1e-4
    assert pitch.max() < math.radians(45) + 1e-4
    assert pitch.std() > math.radians(14)


def test_without_a_wish_the_prior_is_that_of_the_demo_set() -> None:
    assert pose_prior() == DEMO.poses
    assert not CritterPrior(pose_prior(yaw=math.radians(80))).has_back
    around_the_front = pose_prior("normal", yaw=math.pi)
    assert (around_the_front.yaw_law, around_the_front.yaw_spread) == ("normal", DEMO.poses.yaw_spread)
    with pytest.raises(DataError, match="--pitch-min 30 is above --pitch-max 10"):
        pose_prior(pitch_min=math.radians(30), pitch_max=math.radians(10))
