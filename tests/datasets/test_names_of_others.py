"""Names and texts as other computers write them: backslashes, code pages, accents apart from letters, clutter."""

from __future__ import annotations

import io
import json
import tracemalloc
import unicodedata
import zipfile
from pathlib import Path
from typing import Literal

import pytest
import trimesh

from hgs_toolkit.datasets.meshes.library import find_meshes
from hgs_toolkit.datasets.sources import read_scenes
from hgs_toolkit.datasets.storage import open_store
from hgs_toolkit.errors import DataError
from tests.datasets.photographs import Photographs, colmap, nerfstudio

PHOTOGRAPHS = Photographs.take()
KITCHEN = "K\u00fcche \u00e9t\u00e9"
"""A name whose accents can be composed or stand apart."""


def write_zip(path: Path, files: dict[str, bytes], old_name: bytes | None = None) -> Path:
    """A zip; the name "old" becomes ``old_name`` without the flag of UTF-8."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            entry = zipfile.ZipInfo("x")
            entry.filename = name  # as it stands: the constructor would turn some separators
            archive.writestr(entry, data)
    if old_name is not None:
        path.write_bytes(path.read_bytes().replace(b"old", old_name))
    return path


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a nerfstudio folder."""
    folder = tmp_path_factory.mktemp("capture") / "set"
    nerfstudio(PHOTOGRAPHS, folder)
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.mark.parametrize("way", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
def test_an_archive_that_unpacks_to_more_than_it_says_costs_no_memory(way: int, tmp_path: Path) -> None:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", way) as archive:
        archive.writestr("a.png", bytes(200_000_000))
    size = (200_000_000).to_bytes(4, "little")
    (tmp_path / "a.zip").write_bytes(data.getvalue().replace(size, (100).to_bytes(4, "little")))
    store = open_store(tmp_path / "a.zip")
    tracemalloc.start()
    with pytest.raises(DataError, match=r"a\.png in .*a\.zip"):
        store.read("a.png", 10**6)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 30_000_000


def test_a_name_that_claims_to_be_utf8_and_is_not_is_one_error(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", {"k\u00fcche.png": b""})
    path.write_bytes(path.read_bytes().replace("k\u00fcche".encode(), b"k\xff\xffche"))
    with pytest.raises(DataError, match=r"cannot read the zip archive .*a\.zip"):
        open_store(path)


def test_a_zip_with_backslashes_is_read_as_one_with_slashes(capture: dict[str, bytes], tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", {f"My Capture\\{name}".replace("/", "\\"): d for name, d in capture.items()})
    (scene,) = read_scenes(path)
    assert (scene.name, len(scene.photographs)) == ("My Capture", 8)
    assert scene.photographs[0].image == "My Capture/images/r_0.png"
    assert open_store(path).read("My Capture/images/r_0.png", 10**6) == capture["images/r_0.png"]


@pytest.mark.parametrize("name", ["..\\a.png", "\\a.png", "a\\..\\..\\b.png"])
def test_no_backslash_leads_out_of_an_archive(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="unsafe file name"):
        open_store(write_zip(tmp_path / "a.zip", {name: b""}))


def test_names_of_a_zip_are_read_in_utf_8_without_its_flag_too(tmp_path: Path) -> None:
    assert open_store(write_zip(tmp_path / "a.zip", {"old": b""}, KITCHEN[:2].encode())).names == [KITCHEN[:2]]
    assert open_store(write_zip(tmp_path / "b.zip", {"old": b""}, "K\u00fcx".encode("cp437"))).names == ["K\u00fcx"]


def test_what_macos_and_windows_add_is_no_file_of_the_user(tmp_path: Path) -> None:
    ball = trimesh.creation.icosphere(0).export(file_type="obj").encode()
    clutter = ("__MACOSX/models/._a.obj", "models/._a.obj", "models/.DS_Store", "Thumbs.db", "models/desktop.ini")
    files = {"models/a.obj": ball, **dict.fromkeys(clutter, b"not for us")}
    assert [mesh.name for mesh in find_meshes(write_zip(tmp_path / "a.zip", files))] == ["models/a.obj"]
    for name, data in files.items():
        (tmp_path / "b" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "b" / name).write_bytes(data)
    assert [mesh.name for mesh in find_meshes(tmp_path / "b")] == ["models/a.obj"]


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_accents_are_composed_or_apart(form: Literal["NFC", "NFD"], capture: dict[str, bytes], tmp_path: Path) -> None:
    content = json.loads(capture["transforms.json"])
    name = unicodedata.normalize("NFC" if form == "NFD" else "NFD", KITCHEN)
    content["frames"] = [content["frames"][0] | {"file_path": f"images/{name}.png"}]
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / f"{unicodedata.normalize(form, KITCHEN)}.png").write_bytes(capture["images/r_0.png"])
    (tmp_path / "transforms.json").write_text(json.dumps(content))
    assert len(read_scenes(tmp_path)[0].photographs) == 1


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252"])
def test_a_text_model_of_any_windows_program_is_read(encoding: str, tmp_path: Path) -> None:
    colmap("PINHOLE")(PHOTOGRAPHS, tmp_path)
    (tmp_path / "images/r_0.png").rename(tmp_path / f"images/{KITCHEN}.png")
    for file in (tmp_path / "sparse/0").iterdir():
        text = file.read_text().replace("r_0.png", f"{KITCHEN}.png").replace("\n", "\r\n")
        file.write_bytes(text.encode(encoding))
    photographs = read_scenes(tmp_path)[0].photographs
    assert len(photographs) == 8
    assert photographs[0].image == f"images/{KITCHEN}.png"
    (tmp_path / "sparse/0/images.txt").write_bytes(b"\xff\xfe\0\1")
    with pytest.raises(DataError, match=r"images.txt is not a text file"):
        read_scenes(tmp_path)


def test_a_json_file_with_a_byte_order_mark_is_read(capture: dict[str, bytes], tmp_path: Path) -> None:
    text = capture["transforms.json"].replace(b"images/", rb"images\\")
    files = capture | {"transforms.json": b"\xef\xbb\xbf" + text}
    assert len(read_scenes(write_zip(tmp_path / "a.zip", files))[0].photographs) == 8


@pytest.mark.parametrize("name", ["cameras.xml", "registration.csv", "img.xmp", "bundle.out"])
def test_camera_files_of_other_programs_are_named(name: str, capture: dict[str, bytes], tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", {"images/r_0.png": capture["images/r_0.png"], name: b"<document/>"})
    with pytest.raises(DataError, match=f"if {name} has the cameras, export them again as a COLMAP model"):
        read_scenes(path)


def test_a_name_that_is_damaged_where_its_file_begins_is_one_sentence(tmp_path: Path) -> None:
    archive = write_zip(tmp_path / "a.zip", {"K\u00fcche.png": b"data"})
    name = "K\u00fcche.png".encode()
    archive.write_bytes(archive.read_bytes().replace(name, b"K\xff" + name[2:], 1))
    store = open_store(archive)
    with pytest.raises(DataError, match=r"cannot read K\u00fcche\.png in .*a\.zip"):
        store.read("K\u00fcche.png", 100)
