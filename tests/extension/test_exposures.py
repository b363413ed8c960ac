"""Points of a lens, moments of a shutter, and the names under which Cryptomatte knows objects."""

from __future__ import annotations

import numpy as np
import pytest

from blender_addon.core.cryptomatte import metadata, name_hash, ranked
from blender_addon.core.exposures import Aperture, lens_points, moments, through_lens
from blender_addon.core.projection import Lens, Solids, project


@pytest.mark.parametrize("blades", [0, 3, 6])
def test_points_fill_the_opening_evenly(blades: int) -> None:
    points = lens_points(Aperture(2.0, 1.0, blades), 600)
    radius = np.linalg.norm(points, axis=1)
    assert radius.max() <= 2.0
    np.testing.assert_allclose(points.mean(0), 0, atol=0.03)
    # The second moment of a disc, and of a regular polygon with its corners on the circle.
    inner = np.cos(np.pi / blades) if blades else 1.0
    expected = 2.0 if not blades else 4.0 * inner**2 / 2 * (1 + np.tan(np.pi / blades) ** 2 / 3)
    np.testing.assert_allclose(np.square(radius).mean(), expected, rtol=0.02)
    if blades:
        middles = np.arange(blades) * 2 * np.pi / blades
        reach = points @ np.stack([np.cos(middles), np.sin(middles)])
        assert reach.max() <= 2.0 * inner + 1e-9


def test_corners_turn_and_anamorphic_lenses_are_narrow() -> None:
    plain, turned = (lens_points(Aperture(1.0, 1.0, 4, turn), 50) for turn in (0.0, np.pi / 2))
    np.testing.assert_allclose(turned, np.stack([-plain[:, 1], plain[:, 0]], 1), atol=1e-12)
    narrow = lens_points(Aperture(1.0, 1.0, ratio=2.0), 50)
    np.testing.assert_allclose(narrow * (2, 1), lens_points(Aperture(1.0, 1.0), 50))


@pytest.mark.parametrize("orthographic", [False, True])
def test_what_is_at_the_focus_stays_and_the_rest_moves_by_the_circle_of_confusion(orthographic: bool) -> None:
    lens, focus, point = Lens(100, 100, 80, 80, 50, 50, orthographic=orthographic), 2.0, np.array([0.1, 0.05])
    to_camera = through_lens(np.eye(4), point, focus)
    for depth in (1.0, 2.0, 5.0):
        place = to_camera @ [0.2, -0.1, depth, 1]
        solids = Solids(place[None, :3], 0.01 * np.eye(3)[None], np.ones((1, 3)), np.ones(1))
        centre = project(solids, lens).centres[0]
        divisor = 1.0 if orthographic else depth
        still = 80 * np.array([0.2, -0.1]) / divisor + 50
        moved = 80 * (depth / focus - 1) / divisor * point * (1, -1)  # y of images is down
        np.testing.assert_allclose(centre, still + moved, atol=1e-9)
        assert place[2] == depth


@pytest.mark.parametrize("count", [2, 7, 32])
def test_moments_share_the_shutters_time(count: int) -> None:
    for position, start in (("START", 10.0), ("CENTER", 9.75), ("END", 9.5)):
        found = np.sort(moments(10.0, 0.5, position, count))
        np.testing.assert_allclose(found, start + 0.5 * (np.arange(count) + 0.5) / count)
    assert count < 7 or (np.diff(moments(10.0, 0.5, "START", count)) < 0).any(), "mixed"


def test_names_are_hashed_as_murmur_says() -> None:
    assert name_hash("hello") == 0x248BFA47
    assert name_hash("hello, world") == 0x149BBB7F
    assert name_hash("The quick brown fox jumps over the lazy dog.") == 0xD5C48BFC
    for name in (f"object {number}" for number in range(3000)):  # no infinity, no denormal
        assert np.isfinite(np.array(name_hash(name), np.uint32).view(np.float32))


def test_ranks_are_the_objects_by_their_shares() -> None:
    names = ["a", "b", "c"]
    shares = np.array([[[0.2, 0.5, 0.3], [0.0, 0.0, 1.0]]], np.float32)
    first, second = ranked(shares, names, 2)
    a, b, c = (float(np.array(name_hash(name), np.uint32).view(np.float32)) for name in names)
    np.testing.assert_array_equal(first[0, 0], np.array([b, 0.5, c, 0.3], np.float32))
    np.testing.assert_array_equal(second[0, 0], np.array([a, 0.2, 0, 0], np.float32))
    np.testing.assert_array_equal(first[0, 1], np.array([c, 1, 0, 0], np.float32))
    assert not second[0, 1].any()
    entries = metadata("Layer.CryptoObject", names)
    assert sorted(key.rpartition("/")[2] for key in entries) == ["conversion", "hash", "manifest", "name"]
    assert f'"a": "{name_hash("a"):08x}"' in next(value for key, value in entries.items() if key.endswith("manifest"))
