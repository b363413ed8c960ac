"""Cameras of the extension are the toolkit's, number by number."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from blender_addon.core.camera_views import CameraFileError, CameraView, label_of, turntable, view_of_label
from blender_addon.core.files.camera_files import LABELS, TRANSFORMS, read_cameras, write_cameras
from blender_addon.core.saving import FileExists
from hgs_toolkit.cameras import Cameras, convert_camera_axes, orbit
from hgs_toolkit.datasets.eg3d import read_labels
from hgs_toolkit.datasets.storage import open_store
from hgs_toolkit.inversion.target import read_camera

LENS = {"fl_x": 500.0, "fl_y": 450.0, "cx": 260.0, "cy": 170.0}


def _views(count: int = 3) -> list[CameraView]:
    matrices = convert_camera_axes(orbit(count, pitch=0.4).cam_to_world.double(), "opencv", "opengl").numpy()
    return [
        CameraView(matrix, 512, 384, (500.0 + place, 450.0), (260.0, 170.0)) for place, matrix in enumerate(matrices)
    ]


def _assert_same(views: list[CameraView], others: list[CameraView]) -> None:
    assert len(views) == len(others)
    for view, other in zip(views, others, strict=True):
        np.testing.assert_allclose(view.matrix, other.matrix, atol=1e-9)
        np.testing.assert_allclose(view.focal, other.focal, atol=1e-9)
        np.testing.assert_allclose(view.center, other.center, atol=1e-9)


def test_the_turntable_is_the_toolkits_orbit() -> None:
    ours = torch.tensor([label_of(view) for view in turntable(5, (64, 64), 2.0, 2.7, 0.1)])
    torch.testing.assert_close(ours, orbit(5).labels, rtol=0, atol=1e-6)


def test_a_label_is_read_as_the_toolkit_reads_it() -> None:
    label = torch.tensor(label_of(_views()[1]), dtype=torch.float64)
    cameras = Cameras.from_labels(label)
    view = view_of_label("it", label.tolist(), 512, 384)
    wanted = convert_camera_axes(cameras.cam_to_world, "opencv", "opengl").numpy()
    np.testing.assert_allclose(view.matrix, wanted, atol=1e-12)
    pixels = cameras.pixel_intrinsics(512, 384)
    assert (*view.focal, *view.center) == pytest.approx([float(pixels[i, j]) for i, j in
                                                         ((0, 0), (1, 1), (0, 2), (1, 2))])  # fmt: skip


def test_labels_are_what_the_toolkit_trains_on(tmp_path: Path) -> None:
    views = turntable(4, (512, 512), 2.0, 2.7, 0.1)
    write_cameras(tmp_path / "dataset.json", views, range(3, 7), LABELS)
    pairs = read_labels(open_store(tmp_path))
    assert [name for name, _ in pairs] == ["0003.png", "0004.png", "0005.png", "0006.png"]
    labels = torch.tensor([label for _, label in pairs])
    torch.testing.assert_close(labels, orbit(4).labels, rtol=0, atol=1e-6)
    _assert_same(read_cameras(tmp_path / "dataset.json"), views)


def test_transforms_come_back(tmp_path: Path) -> None:
    write_cameras(tmp_path / "a.json", _views(), [1, 3, 5], TRANSFORMS)
    frames = json.loads((tmp_path / "a.json").read_text())["frames"]
    assert [frame["file_path"] for frame in frames] == ["0001.png", "0003.png", "0005.png"]
    _assert_same(read_cameras(tmp_path / "a.json"), _views())


def test_one_camera_of_an_inversion_or_of_a_view_of_a_dataset(tmp_path: Path) -> None:
    label = label_of(turntable(1, (512, 512), 2.0, 2.7, 0.2)[0])
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"label": label}))
    np.testing.assert_allclose(read_camera(path).labels[0], label, atol=1e-6)  # the toolkit reads the same file
    single = read_cameras(path)
    path.write_text(json.dumps({"camera": {"eg3d_label": label, "width": 512, "height": 512}}))
    _assert_same(read_cameras(path), single)


@pytest.mark.parametrize("kind", [TRANSFORMS, LABELS])
def test_nothing_is_overwritten_unasked(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("mine")
    with pytest.raises(FileExists, match="exists already"):
        write_cameras(path, _views(), range(3), kind)
    assert path.read_text() == "mine"
    write_cameras(path, _views(), range(3), kind, replace=True)
    assert len(read_cameras(path)) == 3
    assert [each.name for each in tmp_path.iterdir()] == ["a.json"]


BROKEN = [
    {"labels": []}, {"labels": 3}, {"labels": [["a", [1.0] * 24]]}, {"labels": [["a", [1.0] * 25]]}, {"label": None},
    {"labels": [["a", [float("nan")] * 25]]}, {"label": ["x"] * 25}, {"camera": {}}, {"camera": {"eg3d_label": 3}},
    {"frames": [LENS]}, {"frames": {}}, [], 3,
    {"camera": {"eg3d_label": label_of(turntable(1, (8, 8), 2.0, 2.7, 0.2)[0]), "width": -1, "height": 8}},
]  # fmt: skip


@pytest.mark.parametrize("content", BROKEN, ids=range(len(BROKEN)))
def test_broken_files_are_refused(content: object, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(content))
    with pytest.raises(CameraFileError, match=r"a\.json"):
        read_cameras(tmp_path / "a.json")
