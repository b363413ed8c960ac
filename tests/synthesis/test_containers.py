import os
import tarfile
import time
import zipfile
from pathlib import Path

import pytest

from hgs_toolkit.errors import DataError, HgsError
from hgs_toolkit.synthesis.containers import create, measure, read, remove_unfinished, size_of

SUFFIXES = [".tar", ".zip", ""]
FILES = {"b/2.png": b"two", "a.json": b"{}", "b/1.png": bytes(3000)}


def write(path: Path) -> Path:
    with create(path) as put:
        for name, data in FILES.items():
            put(name, data)
    return path


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_goes_in_comes_out(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"000001{suffix}")
    assert dict(read(path)) == FILES
    assert measure(path)[0] == size_of(path) >= 3005
    assert [child.name for child in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_equal_files_measure_the_same_whenever_and_by_whomever_they_are_written(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = measure(write(tmp_path / f"a{suffix}"))
    monkeypatch.setattr(time, "time", lambda: 2e9)
    old = os.umask(0o077)
    try:
        assert measure(write(tmp_path / f"b{suffix}")) == first
    finally:
        os.umask(old)
    with create(tmp_path / f"c{suffix}") as put:
        put("a.json", b"{ }")
    assert measure(tmp_path / f"c{suffix}") != first


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_nothing_appears_of_what_fails(tmp_path: Path, suffix: str) -> None:
    def fail() -> None:
        with create(tmp_path / f"a{suffix}") as put:
            put("x/y.png", b"...")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert list(tmp_path.iterdir()) == []
    assert size_of(tmp_path / f"a{suffix}") == -1


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_new_one_replaces_the_old_one_whole(tmp_path: Path, suffix: str) -> None:
    with create(tmp_path / f"a{suffix}") as put:
        put("old", b"old")
    assert dict(read(write(tmp_path / f"a{suffix}"))) == FILES


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_full_disk_is_one_sentence(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "rename", full)
    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(HgsError, match=r"cannot write .*: No space left on device; nothing was changed"):
        write(tmp_path / f"a{suffix}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".tar", ".zip"])
def test_a_torn_archive_is_an_error_that_names_it(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"a{suffix}")
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(DataError, match=f"a{suffix}"):
        dict(read(path))


def test_remains_of_a_killed_writer_go_and_others_stay(tmp_path: Path) -> None:
    for name in (".tmp-x1-000007.tar", ".tmp-x2-000008.tar", "000007.tar"):
        (tmp_path / name).touch()
    (tmp_path / ".tmp-x3-000007").mkdir()
    (tmp_path / ".tmp-x3-000007" / "a.png").touch()
    remove_unfinished(tmp_path, "000007.tar")
    assert {path.name for path in tmp_path.iterdir()} == {".tmp-x2-000008.tar", "000007.tar", ".tmp-x3-000007"}
    remove_unfinished(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"000007.tar"}


def test_archives_are_plain_ones(tmp_path: Path) -> None:
    with tarfile.open(write(tmp_path / "a.tar")) as tar:
        assert {(entry.mtime, entry.uid, entry.mode, entry.type) for entry in tar} == {(0, 0, 0o644, tarfile.REGTYPE)}
    with zipfile.ZipFile(write(tmp_path / "a.zip")) as archive:
        assert archive.testzip() is None
