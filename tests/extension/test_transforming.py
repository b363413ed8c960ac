"""Gaussians written and moved by the extension are what the toolkit reads and draws."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from blender_addon.core.files.read_glb import read_glb
from blender_addon.core.files.read_hgs import read_hgs
from blender_addon.core.files.read_ply import read_ply
from blender_addon.core.files.writing import write_splats
from blender_addon.core.harmonics import turned
from blender_addon.core.rotations import matrices_to_quaternions, quaternions_to_matrices, turned_each
from blender_addon.core.saving import FileExists
from blender_addon.core.splats import ActivatedSplats, SplatError, splats_from_stored
from blender_addon.core.transforming import kept, moved, parents_by_index
from hgs_toolkit.exporters.table import export, load
from hgs_toolkit.rendering.harmonics import sh_basis

Array = np.ndarray[Any, Any]


def _splats(degree: int = 0, tree: bool = True, count: int = 50) -> ActivatedSplats:
    random = np.random.default_rng(degree)

    def normal(*shape: int) -> Array:
        return random.standard_normal((count, *shape)).astype(np.float32)

    level = np.repeat(np.arange(3), [2, 8, 40]).astype(np.int32)
    parent = np.concatenate([[-1, -1], np.arange(8) // 4, 2 + np.arange(40) // 5]).astype(np.int32)
    return splats_from_stored(
        normal(3), normal(3) - 3, normal(4), normal((degree + 1) ** 2, 3), normal(), frame="y_up",
        level=level if tree else None, parent=parent if tree else None,
    )  # fmt: skip


def _covariances(splats: ActivatedSplats) -> Array:
    arms = quaternions_to_matrices(splats.rotation) * splats.scale[:, None, :]
    covariances: Array = arms @ arms.transpose(0, 2, 1)
    return covariances


LOSSLESS = {".ply": read_ply, ".hgs": read_hgs, ".glb": read_glb}


@pytest.mark.parametrize("suffix", LOSSLESS)
@pytest.mark.parametrize("degree", range(4))
@pytest.mark.parametrize("tree", [True, False])
def test_a_written_file_is_read_again(suffix: str, degree: int, tree: bool, tmp_path: Path) -> None:
    splats, path = _splats(degree, tree), tmp_path / f"a{suffix}"
    write_splats(path, splats)
    back, scene = LOSSLESS[suffix](path), load(path)
    for name in ("position", "scale", "rotation", "base", "harmonics"):
        np.testing.assert_allclose(getattr(back, name), getattr(splats, name), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(scene.means[0], splats.position, atol=1e-6)  # the toolkit understands the frame
    np.testing.assert_allclose(scene.opacity_logits[0].sigmoid(), splats.base[:, 3], atol=1e-6)
    np.testing.assert_allclose(scene.sh[0, :, 1:], splats.harmonics, atol=1e-6)
    assert back.frame == "y_up"
    if tree:
        assert splats.level is not None
        assert splats.parent is not None
        np.testing.assert_array_equal(scene.level, splats.level)
        np.testing.assert_array_equal(scene.parent, splats.parent)
    elif suffix == ".hgs":
        assert not scene.level.any()
    else:
        assert back.level is None
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("degree", range(4))
def test_a_written_spz_unpacks_to_the_toolkits_bytes(degree: int, tmp_path: Path) -> None:
    splats = _splats(degree)
    write_splats(tmp_path / "a.hgs", splats)
    write_splats(tmp_path / "a.spz", splats)
    export(load(tmp_path / "a.hgs"), tmp_path / "b.spz")
    # The toolkit packs with ISA-L, which Blender does not have: the packed bytes differ, what they hold does not.
    ours, theirs = (gzip.decompress((tmp_path / name).read_bytes()) for name in ("a.spz", "b.spz"))
    assert ours == theirs


def test_no_other_suffix_is_written(tmp_path: Path) -> None:
    with pytest.raises(SplatError, match=r"a.ksplat has no suffix of a splat file; expected .ply, .hgs, .spz, .glb"):
        write_splats(tmp_path / "a.ksplat", _splats())
    assert not list(tmp_path.iterdir())


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.ply").mkdir()
    with pytest.raises(OSError, match="directory"):
        write_splats(tmp_path / "a.ply", _splats(), replace=True)
    assert [each.name for each in tmp_path.iterdir()] == ["a.ply"]


def _rotation(seed: int) -> Array:
    matrix, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((3, 3)))
    rotation: Array = matrix * np.sign(np.linalg.det(matrix))
    return rotation


LINEAR = {
    "turned": _rotation(1),
    "turned and scaled": 2.5 * _rotation(2),
    "mirrored": _rotation(3) @ np.diag([1, 1, -1]),
    "stretched": _rotation(4) @ np.diag([0.5, 1, 3]) @ _rotation(5),
}


@pytest.mark.parametrize("name", LINEAR)
def test_places_and_shapes_follow_the_map(name: str) -> None:
    splats, linear = _splats(), LINEAR[name]
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = linear, (1, 2, 3)
    after = moved(splats, matrix)
    np.testing.assert_allclose(after.position, splats.position @ linear.T + (1, 2, 3), atol=1e-5)
    wanted = linear @ _covariances(splats) @ linear.T
    np.testing.assert_allclose(_covariances(after), wanted, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(after.rotation, axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("name", ["turned", "mirrored"])
@pytest.mark.parametrize("degree", [1, 2, 3])
def test_colours_turn_along(name: str, degree: int) -> None:
    splats, linear = _splats(degree), LINEAR[name]
    matrix = np.eye(4)
    matrix[:3, :3] = linear
    after = moved(splats, matrix)

    def color(these: ActivatedSplats, direction: Array) -> torch.Tensor:
        sh = np.concatenate([these.base[:, None, :3], these.harmonics], 1)
        directions = torch.tensor(direction, dtype=torch.float32).expand(len(these), 3)
        return torch.einsum("nk,nkc->nc", sh_basis(directions, degree), torch.tensor(sh))

    direction = np.array([0.6, 0.0, 0.8])
    torch.testing.assert_close(color(after, linear @ direction), color(splats, direction), rtol=1e-4, atol=1e-4)


def test_a_map_that_moves_nothing_changes_no_number() -> None:
    splats = _splats(2)
    assert moved(splats, np.eye(4) + 1e-8) is splats


def test_parents_are_found_by_number_after_gaussians_were_deleted_and_shuffled() -> None:
    splats = _splats()
    assert splats.level is not None
    assert splats.parent is not None
    index = np.random.default_rng(0).permutation(50)[:35]
    parent = parents_by_index(splats.level[index], splats.parent[index], index)
    for place, number in enumerate(index):
        old = splats.parent[number]
        assert parent[place] == (np.flatnonzero(index == old)[0] if old in index else -1)
    assert (parent >= 0).sum() > 10


def test_a_parent_that_is_there_twice_or_of_no_lower_level_is_none() -> None:
    level, parent = np.array([0, 0, 1, 1]), np.array([-1, -1, 7, 8])
    assert parents_by_index(level, parent, np.array([7, 8, 9, 10])).tolist() == [-1, -1, 0, 1]
    assert parents_by_index(level, parent, np.array([7, 7, 9, 8])).tolist() == [-1, -1, -1, -1]


def test_a_file_is_replaced_only_where_that_was_said(tmp_path: Path) -> None:
    path = tmp_path / "a.ply"
    path.write_bytes(b"mine")
    with pytest.raises(FileExists, match="exists already"):
        write_splats(path, _splats())
    assert path.read_bytes() == b"mine"
    write_splats(path, _splats(), replace=True)
    assert len(read_ply(path)) == 50


def test_orphans_belong_to_the_nearest_ancestor_that_is_left() -> None:
    splats = _splats()
    assert splats.parent is not None
    keep = np.ones(50, bool)
    keep[[0, 2, 7]] = False  # a root, one of its children, a child of the other root
    left = kept(splats, keep)
    assert left.parent is not None
    old = np.flatnonzero(keep)
    for index, parent in enumerate(left.parent):
        ancestor = splats.parent[old[index]]
        while ancestor >= 0 and not keep[ancestor]:
            ancestor = splats.parent[ancestor]
        assert (old[parent] if parent >= 0 else -1) == ancestor
    np.testing.assert_array_equal(left.position, splats.position[keep])


@pytest.mark.parametrize("angle", [0.0, 1e-4, np.pi / 2, np.pi - 1e-6, np.pi])
def test_quaternions_of_any_angle(angle: float) -> None:
    axis = np.array([0.36, 0.48, 0.8])
    quaternion = np.concatenate([[np.cos(angle / 2)], np.sin(angle / 2) * axis])[None]
    found = matrices_to_quaternions(quaternions_to_matrices(quaternion))
    assert abs(float((found * quaternion).sum())) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("degree", [0, 1, 3])
def test_harmonics_that_turn_each_by_their_own_rotation_are_those_turned_one_by_one(
    degree: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("blender_addon.core.rotations.CHUNK", 3)
    random = np.random.default_rng(0)
    quaternions = random.standard_normal((8, 4))[[0, 1, 2, 1, 3, 4, 5, 6, 7, 7, 0]]
    quaternions /= np.linalg.norm(quaternions, axis=1, keepdims=True)
    coefficients = random.standard_normal((11, (degree + 1) ** 2 - 1, 3))
    found = turned_each(coefficients, quaternions)
    for index, rotation in enumerate(quaternions_to_matrices(quaternions)):
        np.testing.assert_allclose(found[index], turned(coefficients[index][None], rotation)[0], atol=1e-12)
