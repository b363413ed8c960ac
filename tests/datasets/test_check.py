import json
from pathlib import Path

import numpy as np
import pytest
import torch

from hgs_toolkit.cameras import Cameras, convert_camera_axes, from_yaw_pitch, world_rotation
from hgs_toolkit.datasets.camera_check import measure_cameras
from hgs_toolkit.datasets.check import DatasetReport, check_dataset
from hgs_toolkit.datasets.critters.drawing import make_critters
from hgs_toolkit.datasets.eg3d_writer import open_writer
from hgs_toolkit.datasets.images import Pixels, encode_png
from hgs_toolkit.errors import DataError
from hgs_toolkit.pose_prior import PosePrior

CAMERAS = PosePrior().sample(40, torch.Generator().manual_seed(0))

IMAGE = np.zeros((8, 8, 4), dtype=np.uint8)
IMAGE[2:6, 2:6] = [200, 100, 50, 255]


def check_labels(tmp_path: Path, cameras: Cameras, image: Pixels = IMAGE) -> DatasetReport:
    """The report of a set of these cameras."""
    data = encode_png(image)
    with open_writer(tmp_path / "set.zip") as writer:
        for label in cameras.labels:
            writer.add(data, label.numpy())
    return check_dataset(tmp_path / "set.zip")


def texts(report: DatasetReport, severity: str) -> str:
    return "; ".join(finding.text for finding in report.findings if finding.severity == severity)


def test_a_good_set_has_nothing_to_complain_about_but_its_size(tmp_path: Path) -> None:
    make_critters(tmp_path / "set.zip", 30, 32)
    report = check_dataset(tmp_path / "set.zip")
    assert report.errors == []
    assert [finding.text for finding in report.findings] == ["30 images are few for a GAN; expected 1000 or more"]
    assert report.kinds == {"32 x 32 RGBA": 30}
    assert report.cameras is not None
    assert (report.cameras.axes, report.cameras.up, report.cameras.distinct) == ("opencv", "+y", 30)


def test_pose_statistics_are_those_of_the_cameras() -> None:
    yaw = torch.linspace(-0.5, 0.5, 21)
    statistics = measure_cameras(from_yaw_pitch(yaw, yaw * 0.2 + 0.1, radius=3.0, focal=1.5).labels.numpy())
    assert statistics.yaw.mean == pytest.approx(0, abs=1e-4)
    assert statistics.yaw.maximum == pytest.approx(np.degrees(0.5), abs=1e-4)
    assert statistics.pitch.minimum == pytest.approx(0, abs=1e-4)
    assert statistics.radius.mean == pytest.approx(3)
    assert statistics.focal.maximum == pytest.approx(1.5)
    assert np.allclose(statistics.target, 0, atol=1e-5)
    assert sum(int(line.split()[3]) for line in statistics.yaw_histogram) == 21


def test_opengl_axes_are_recognised_and_refused(tmp_path: Path) -> None:
    opengl = Cameras(convert_camera_axes(CAMERAS.cam_to_world, "opencv", "opengl"), CAMERAS.intrinsics)
    report = check_labels(tmp_path, opengl)
    assert report.cameras is not None
    assert report.cameras.axes == "opengl"
    assert "OpenGL axes; multiply by diag(1, -1, -1, 1)" in texts(report, "error")


def test_another_world_and_a_subject_elsewhere_are_noticed(tmp_path: Path) -> None:
    turned = torch.block_diag(world_rotation("y_up", "z_up"), torch.ones(1, 1)) @ CAMERAS.cam_to_world
    z_up = Cameras(turned, CAMERAS.intrinsics)
    assert "images have +z up" in texts(check_labels(tmp_path, z_up), "warning")
    moved = CAMERAS.cam_to_world.clone()
    moved[:, :3, 3] += torch.tensor([1.0, 2.0, 3.0])
    (tmp_path / "set.zip").unlink()
    report = check_labels(tmp_path, Cameras(moved, CAMERAS.intrinsics))
    assert report.errors == []
    assert "cameras look at (1.00, 2.00, 3.00)" in texts(report, "warning")


@pytest.mark.parametrize(
    ("entry", "value", "message"),
    [
        (0, 1.5, "rotations are not orthonormal"),
        (15, 0.5, "last matrix row is not 0 0 0 1"),
        (16, 512.0, "focal lengths up to 512 are in pixels"),
        (16, -2.0, "focal lengths are not positive"),
        (18, 32.0, "image centres lie outside"),
        (17, 0.3, "intrinsics are not of the form"),
        (24, 0.0, "intrinsics are not of the form"),
    ],
)
def test_labels_that_are_no_cameras_are_refused(tmp_path: Path, entry: int, value: float, message: str) -> None:
    labels = CAMERAS.labels.clone()
    labels[7, entry] = value
    assert message in texts(check_labels(tmp_path, Cameras.from_labels(labels)), "error")


def test_mirroring_matrices_are_refused(tmp_path: Path) -> None:
    mirrored = CAMERAS.cam_to_world * torch.tensor([-1.0, 1.0, 1.0, 1.0])
    assert "mirror" in texts(check_labels(tmp_path, Cameras(mirrored, CAMERAS.intrinsics)), "error")


def test_equal_views_are_noticed(tmp_path: Path) -> None:
    report = check_labels(tmp_path, CAMERAS[:1].expand(5))
    assert "all labels are equal" in texts(report, "warning")


def test_alpha_is_measured(tmp_path: Path) -> None:
    report = check_labels(tmp_path, CAMERAS)
    assert report.alpha is not None
    assert (report.alpha.coverage, report.alpha.touching, report.alpha.empty, report.alpha.opaque) == (0.25, 0, 0, 0)


@pytest.mark.parametrize(
    ("alpha", "message"),
    [(0, "40 images are entirely transparent"), (255, "opaque everywhere"), (200, "touches the border in 100%")],
)
def test_odd_alpha_is_noticed(tmp_path: Path, alpha: int, message: str) -> None:
    image = np.full((8, 8, 4), alpha, dtype=np.uint8)
    assert message in texts(check_labels(tmp_path, CAMERAS, image), "warning")


def test_every_problem_of_the_files_is_listed_at_once(tmp_path: Path) -> None:
    good, label = encode_png(IMAGE), CAMERAS.labels[0].tolist()
    files = {
        "a.png": good, "b.png": good, "c.png": encode_png(IMAGE[..., :3]), "d.png": good[:60], "e.png": good,
        "f.png": encode_png(IMAGE[:6]), "g.png": encode_png(IMAGE[:4, :4]),
    }  # fmt: skip
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    labelled = ["a.png", "c.png", "d.png", "f.png", "g.png", "a.png", "lost.png"]
    pairs = [[name, label] for name in labelled] + [["e.png", [1, 2]], ["c.png", label[::-1]]]
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": pairs}))
    report = check_dataset(tmp_path)
    errors = texts(report, "error")
    assert "1 images have no label: b.png" in errors
    assert "1 images have two different labels: c.png" in errors  # a.png has the same one twice, as training allows
    assert "1 labels in dataset.json are not 25 finite numbers: e.png" in errors
    assert "1 images cannot be read: d.png is broken" in errors
    assert "1 images are not square: f.png" in errors
    assert "images differ in size or mode: 4 of 8 x 8 RGBA" in errors
    assert "1 labels have no image: lost.png" in texts(report, "warning")


def test_a_set_without_images_or_labels_is_reported_not_raised(tmp_path: Path) -> None:
    report = check_dataset(tmp_path)
    assert "no PNG" in report.errors[0]
    assert "no dataset.json" in report.errors[1]
    assert report.to_dict()["trainable"] is False
    with pytest.raises(DataError, match="does not exist"):
        check_dataset(tmp_path / "none")


def test_the_report_is_json(tmp_path: Path) -> None:
    report = check_labels(tmp_path, CAMERAS).to_dict()
    again = json.loads(json.dumps(report, allow_nan=False))
    assert again["cameras"]["axes"] == "opencv"
    assert again["trainable"] is True


def test_what_training_always_refuses_is_an_error(tmp_path: Path) -> None:
    few = check_labels(tmp_path, CAMERAS[:3])
    assert "there are 3 images; expected at least 4" in texts(few, "error")
    (tmp_path / "set.zip").unlink()
    odd = check_labels(tmp_path, CAMERAS, np.zeros((20, 20, 4), np.uint8))
    assert "images have 20 pixels a side; expected a multiple of 8" in texts(odd, "error")
    (tmp_path / "set.zip").unlink()
    unplanned = check_labels(tmp_path, CAMERAS, np.zeros((24, 24, 4), np.uint8))
    assert unplanned.errors == []
    assert "images have 24 pixels a side; a plan expects 16 times a whole number" in texts(unplanned, "warning")


def test_why_an_image_cannot_be_read_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hgs_toolkit.datasets.images.open_image.__defaults__", (4,))
    report = check_labels(tmp_path, CAMERAS)
    assert "40 images cannot be read: 00000/img00000000.png is 8 x 8; expected at most 4 pixels a side" in texts(
        report, "error"
    )
