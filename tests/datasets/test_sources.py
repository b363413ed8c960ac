"""Camera files that are broken, or mean something else, are named in one sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hgs_toolkit.datasets.sources import read_scenes
from hgs_toolkit.datasets.sources.bare import AssumedPoses
from hgs_toolkit.errors import DataError
from tests.datasets.photographs import (
    Photographs,
    colmap,
    gaussian_splatting,
    nerf_synthetic,
    nerfstudio,
    write_binary_model,
)

PHOTOGRAPHS = Photographs.take()


def change(path: Path, **entries: Any) -> None:
    """Set entries of a JSON file, in each camera of a list."""
    content = json.loads(path.read_text())
    for target in content if isinstance(content, list) else [content]:
        target.update(entries)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"frames": []}, "no list of frames"),
        ({"frames": [{}]}, "frame without file_path"),
        ({"frames": [{"file_path": "images/none"}]}, "names the image images/none, which is not in"),
        ({"frames": [{"file_path": "../../etc/x.png"}]}, "outside of"),
        ({"frames": [{"file_path": "images/r_0", "transform_matrix": [[1, 2]]}]}, "is not 4 x 4 finite numbers"),
        ({"frames": [{"file_path": "images/r_0", "transform_matrix": np.eye(4).tolist()[:3]}], "fl_x": 0, "fl_y": 0},
         "neither fl_x nor camera_angle_x"),
        ({"frames": [{"file_path": "images/r_0", "transform_matrix": (2 * np.eye(4)).tolist()}]}, "is no rotation"),
        ({"camera_model": "OPENCV_FISHEYE"}, "camera model OPENCV_FISHEYE"),
        ({"k3": 0.1}, "distortion k3"),
        ({"fl_x": -5}, "no usable lens"),
        ({"w": "wide"}, "is not one finite number"),
    ],
)  # fmt: skip
def test_broken_transforms(tmp_path: Path, entries: dict[str, Any], message: str) -> None:
    nerfstudio(PHOTOGRAPHS, tmp_path)
    change(tmp_path / "transforms.json", **entries)
    with pytest.raises(DataError, match=message):
        read_scenes(tmp_path)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"img_name": 5}, "camera without img_name"),
        ({"rotation": [[1, 0, 0], [0, 1, 0], [0, 0, -1]]}, "no rotation"),
        ({"position": [0, None, 1]}, "position of .* is not 3 finite numbers"),
        ({"fx": float("inf")}, "fx of .* is not one finite number"),
    ],
)
def test_broken_cameras_json(tmp_path: Path, entries: dict[str, Any], message: str) -> None:
    gaussian_splatting(PHOTOGRAPHS, tmp_path)
    change(tmp_path / "cameras.json", **entries)
    with pytest.raises(DataError, match=message):
        read_scenes(tmp_path)


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("cameras.txt", "PINHOLE", "OPENCV_FISHEYE", "colmap image_undistorter"),
        ("cameras.txt", " 55.0", "", "3 parameters for a PINHOLE camera; expected 4"),
        ("cameras.txt", "200.0", "wide", "expected finite numbers"),
        ("cameras.txt", "7 PIN", "8 PIN", "the camera 7, which is not in"),
        ("images.txt", " r_3.png", "", "expected id, quaternion, translation, camera, name"),
        ("images.txt", "r_3.png", "r_9.png", "names the image r_9.png, which is not in .*--images"),
    ],
)
def test_broken_colmap_models(tmp_path: Path, file: str, old: str, new: str, message: str) -> None:
    colmap("PINHOLE")(PHOTOGRAPHS, tmp_path)
    path = tmp_path / "sparse/0" / file
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(DataError, match=message):
        read_scenes(tmp_path)


def test_points_are_skipped_whether_empty_lines_are_kept_or_not(tmp_path: Path) -> None:
    colmap("PINHOLE")(PHOTOGRAPHS, tmp_path)
    whole = read_scenes(tmp_path)[0].photographs
    path = tmp_path / "sparse/0/images.txt"
    path.write_text("\n".join(line for line in path.read_text().splitlines() if line))
    stripped = read_scenes(tmp_path)[0].photographs
    assert (
        [each.image for each in stripped] == [each.image for each in whole] == [f"images/r_{i}.png" for i in range(8)]
    )


def test_images_may_lie_elsewhere_and_must_be_unambiguous(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    gaussian_splatting(PHOTOGRAPHS, tmp_path / "model")
    (tmp_path / "model/images").rename(tmp_path / "photos")
    with pytest.raises(DataError, match="--images"):
        read_scenes(tmp_path / "model")
    assert len(read_scenes(tmp_path / "model", images=tmp_path / "photos")[0].photographs) == 8
    assert len(read_scenes(tmp_path / "model/cameras.json", images=tmp_path / "photos")[0].photographs) == 8
    PHOTOGRAPHS.save_images(tmp_path / "photos/small")
    with pytest.raises(DataError, match=r"can be r_0.png or small/r_0.png"):
        read_scenes(tmp_path / "model", images=tmp_path / "photos")


def test_the_kind_is_told_by_the_files(tmp_path: Path) -> None:
    nerf_synthetic(PHOTOGRAPHS, tmp_path)
    assert len(read_scenes(tmp_path)[0].photographs) == 8
    assert len(read_scenes(tmp_path / "transforms_val.json")[0].photographs) == 1
    with pytest.raises(DataError, match=r"holds no cameras\.json"):
        read_scenes(tmp_path, "cameras")
    with pytest.raises(DataError, match="leave --law out"):
        read_scenes(tmp_path, assumed=AssumedPoses("normal"))
    assert read_scenes(tmp_path, "bare", assumed=AssumedPoses("normal"))[0].assumed is not None
    (tmp_path / "cameras.json").write_text("[]")
    with pytest.raises(DataError, match="--from transforms or cameras"):
        read_scenes(tmp_path)
    with pytest.raises(DataError, match="not a list of cameras"):
        read_scenes(tmp_path, "cameras")


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"transforms.json.*--law frontal, normal"):
        read_scenes(tmp_path)
    with pytest.raises(DataError, match="holds no usable image"):
        read_scenes(tmp_path, assumed=AssumedPoses("frontal"))
    (tmp_path / "cameras.bin").touch()
    with pytest.raises(DataError, match=r"cameras\.bin is truncated"):
        read_scenes(tmp_path)
    (tmp_path / "cameras.bin").unlink()
    (tmp_path / "dataset.json").write_text("{}")
    with pytest.raises(DataError, match="hgs dataset check"):
        read_scenes(tmp_path)
    with pytest.raises(DataError, match="does not exist"):
        read_scenes(tmp_path / "none")
    (tmp_path / "transforms.json").write_text("{")
    with pytest.raises(DataError, match="not valid JSON"):
        read_scenes(tmp_path / "transforms.json")
    with pytest.raises(DataError, match="the kind is 'nerf'"):
        read_scenes(tmp_path, "nerf")
    with pytest.raises(DataError, match="the distribution of poses is 'sideways'"):
        AssumedPoses("sideways")


def test_an_image_that_several_files_list_counts_once(tmp_path: Path) -> None:
    nerfstudio(PHOTOGRAPHS, tmp_path)
    content = json.loads((tmp_path / "transforms.json").read_text())
    (tmp_path / "transforms_train.json").write_text(json.dumps(content))
    assert len(read_scenes(tmp_path)[0].photographs) == 8
    content["frames"][2]["transform_matrix"] = content["frames"][3]["transform_matrix"]
    (tmp_path / "transforms_train.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"images/r_2\.png has two different poses"):
        read_scenes(tmp_path)
    problems: list[str] = []
    assert len(read_scenes(tmp_path, problems=problems)[0].photographs) == 7
    assert len(problems) == 1


def test_of_a_nerfstudio_folder_the_transforms_are_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "hgs_toolkit")
    nerfstudio(PHOTOGRAPHS, tmp_path / "scan")
    write_binary_model(PHOTOGRAPHS, tmp_path / "scan/colmap/sparse/0", range(8))
    (scene,) = read_scenes(tmp_path)
    assert (scene.name, len(scene.photographs)) == ("scan", 8)
    assert "scan/transforms.json is read; the COLMAP model" in caplog.text
    assert [each.name for each in read_scenes(tmp_path, "colmap")] == ["scan/colmap/sparse/0"]
    write_binary_model(PHOTOGRAPHS, tmp_path / "another/sparse/0", range(8))
    with pytest.raises(DataError, match="--from transforms or colmap"):
        read_scenes(tmp_path)


@pytest.mark.parametrize("names", [("r_0.png", "r_0.jpg"), ("R_0.png", "r_0.PNG")])
def test_a_name_that_can_mean_two_images_is_refused(tmp_path: Path, names: tuple[str, str]) -> None:
    nerfstudio(PHOTOGRAPHS, tmp_path)
    first = (tmp_path / "images/r_0.png").rename(tmp_path / "images/first")
    for name in names:
        (tmp_path / "images" / name).write_bytes(first.read_bytes())
    content = json.loads((tmp_path / "transforms.json").read_text())
    content["frames"][0]["file_path"] = "./images/r_0"
    (tmp_path / "transforms.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=rf"r_0, which can be images/({names[0]}|{names[1]}) or images/"):
        read_scenes(tmp_path)
    content["frames"][0]["file_path"] = f"images/{names[1]}"
    (tmp_path / "transforms.json").write_text(json.dumps(content))
    assert read_scenes(tmp_path)[0].photographs[0].image == f"images/{names[1]}"


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"seed": 2**63}, r"seed 9223372036854775808; expected 0 \.\.\. 2\^63"),
        ({"focal": float("inf")}, "must be above 0"),
    ],
)
def test_numbers_that_no_poses_are_drawn_with_are_refused(facts: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        AssumedPoses("normal", **facts)
