"""Messages about sets in which something is missing say what is there instead, and never a count and then nothing."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hgs_toolkit.datasets.check import check_dataset
from hgs_toolkit.datasets.sources import read_scenes
from hgs_toolkit.datasets.sources.bare import AssumedPoses
from hgs_toolkit.datasets.storage import open_store
from hgs_toolkit.errors import DataError


def images(folder: Path, suffix: str = "png", count: int = 2) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        Image.fromarray(np.full((8, 8, 3), 40 * index, np.uint8)).save(folder / f"im{index}.{suffix}")
    return folder


def transforms(folder: Path, *names: str) -> None:
    frames = [{"file_path": name, "transform_matrix": np.eye(4).tolist()} for name in names]
    (folder / "transforms.json").write_text(json.dumps({"camera_angle_x": 0.8, "frames": frames}))


def test_sets_in_several_folders_are_named(tmp_path: Path) -> None:
    for name in ("cats", "dogs"):
        (images(tmp_path / name) / "dataset.json").write_text('{"labels": []}')
    message = f"{tmp_path} has no dataset.json at its top level, but in cats, dogs: name one of these folders; expected"
    assert check_dataset(tmp_path).errors[0].startswith(message)


def test_a_label_file_without_labels_is_an_error(tmp_path: Path) -> None:
    (images(tmp_path) / "dataset.json").write_text('{"labels": []}')
    assert "dataset.json lists no labels; expected one for every image" in check_dataset(tmp_path).errors


def test_images_of_other_formats_are_counted(tmp_path: Path) -> None:
    images(tmp_path, "tif", 3)
    images(tmp_path, "bmp", 1)
    found = "images of other formats are not read (3 .tif, 1 .bmp): save them as .png or .jpg"
    assert f"there is no PNG, JPEG or WebP image; {found}" in check_dataset(tmp_path).errors
    with pytest.raises(DataError, match=r"holds no usable image; images of other formats .*3 \.tif, 1 \.bmp"):
        read_scenes(tmp_path, assumed=AssumedPoses("frontal"))


@pytest.mark.parametrize("name", ["images/im0.tif", "./images/im0.tif"])
def test_a_camera_file_that_names_an_image_of_another_format_is_told_so(name: str, tmp_path: Path) -> None:
    images(tmp_path / "images", "tif")
    transforms(tmp_path, name)
    with pytest.raises(DataError, match=r"im0\.tif, whose format is not read; save it as \.png or \.jpg"):
        read_scenes(tmp_path)


def test_a_colmap_model_without_images_is_told_from_a_folder_without_any(tmp_path: Path) -> None:
    images(tmp_path / "images")
    (tmp_path / "sparse").mkdir()
    (tmp_path / "sparse" / "cameras.txt").write_text("1 PINHOLE 8 8 8 8 4 4\n")
    (tmp_path / "sparse" / "images.txt").write_text("# none\n")
    with pytest.raises(DataError, match=r"sparse/images\.txt of .* lists no images; expected COLMAP"):
        read_scenes(tmp_path)


def test_an_archive_with_an_entry_without_a_name_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a", b"")
        archive.filelist[0].filename = ""  # as the archive's directory will have it
    with pytest.raises(DataError, match=r"a\.zip has an entry without a name"):
        open_store(tmp_path / "a.zip")
