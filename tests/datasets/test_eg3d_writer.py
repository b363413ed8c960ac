import json
import zipfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from hgs_toolkit.datasets.eg3d import open_dataset
from hgs_toolkit.datasets.eg3d_writer import open_writer
from hgs_toolkit.datasets.images import encode_png
from hgs_toolkit.errors import DataError, HgsError, ShapeError

IMAGE = np.arange(4 * 4 * 3, dtype=np.uint8).reshape(4, 4, 3)
LABEL = np.random.default_rng(0).normal(size=25).astype(np.float32)


def test_equal_content_gives_equal_bytes_whenever_it_is_written(tmp_path: Path) -> None:
    for name in ("a.zip", "b.zip"):
        with open_writer(tmp_path / name) as writer:
            writer.add(IMAGE, LABEL)
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_pixels_and_their_png_file_are_the_same_to_it(tmp_path: Path) -> None:
    with open_writer(tmp_path / "a.zip") as writer:
        assert writer.add(IMAGE, LABEL) == "00000/img00000000.png"
        assert writer.add(encode_png(IMAGE), LABEL) == "00000/img00000001.png"
        assert len(writer) == 2
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert archive.read("00000/img00000000.png") == archive.read("00000/img00000001.png")
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}


def test_labels_are_short_decimals_that_give_the_same_numbers_again(tmp_path: Path) -> None:
    label = LABEL.copy()
    label[:4] = 0.1, -0.0, 1 / 3, 2.7
    with open_writer(tmp_path / "set") as writer:
        writer.add(IMAGE, label)
    text = (tmp_path / "set" / "dataset.json").read_text()
    assert "[0.1,0.0,0.33333334,2.7," in text
    assert np.array_equal(open_dataset(tmp_path / "set").labels[0], label)


@pytest.mark.parametrize("label", [np.zeros(24), np.full(25, np.nan), np.zeros((5, 5))])
def test_a_label_that_is_not_25_finite_numbers_is_refused(tmp_path: Path, label: npt.NDArray[np.float64]) -> None:
    with pytest.raises(ShapeError, match="expected 25 finite numbers"), open_writer(tmp_path / "a.zip") as writer:
        writer.add(IMAGE, label)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["set.zip", "set"])
def test_nothing_appears_before_the_end_and_nothing_remains_of_a_failure(tmp_path: Path, name: str) -> None:
    def write_until_interrupted() -> None:
        with open_writer(tmp_path / name) as writer:
            writer.add(IMAGE, LABEL)
            assert not (tmp_path / name).exists()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_until_interrupted()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["set.zip", "set"])
def test_a_dataset_is_replaced_only_with_force_and_kept_if_the_new_one_fails(tmp_path: Path, name: str) -> None:
    with open_writer(tmp_path / name) as writer:
        writer.add(IMAGE, LABEL)
    with pytest.raises(HgsError, match="--force"), open_writer(tmp_path / name):
        pass
    with pytest.raises(RuntimeError), open_writer(tmp_path / name, force=True) as writer:
        raise RuntimeError
    assert len(open_dataset(tmp_path / name)) == 1
    with open_writer(tmp_path / name, force=True) as writer:
        writer.add(IMAGE, LABEL)
        writer.add(IMAGE, LABEL)
    assert len(open_dataset(tmp_path / name)) == 2
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_folder_of_something_else_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.txt").write_text("years of work")
    with pytest.raises(DataError, match="something else than a dataset"), open_writer(tmp_path / "home", force=True):
        pass
    assert (tmp_path / "home" / "thesis.txt").read_text() == "years of work"


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    with open_writer(tmp_path / "set") as writer:
        writer.add(IMAGE, LABEL)
    assert len(open_dataset(tmp_path / "set")) == 1


def test_a_thousand_images_share_a_subfolder(tmp_path: Path) -> None:
    data = encode_png(IMAGE)
    with open_writer(tmp_path / "a.zip") as writer:
        names = [writer.add(data, LABEL) for _ in range(1001)]
    assert (names[999], names[1000]) == ("00000/img00000999.png", "00001/img00001000.png")
    assert names == sorted(names)


def test_the_layout_is_the_one_eg3d_reads(tmp_path: Path) -> None:
    with open_writer(tmp_path / "a.zip") as writer:
        writer.add(IMAGE, LABEL)
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert archive.namelist() == ["00000/img00000000.png", "dataset.json"]
        labels = dict(json.loads(archive.read("dataset.json"))["labels"])
    assert np.allclose(labels["00000/img00000000.png"], LABEL, atol=1e-7)


def test_an_interrupt_while_a_folder_is_replaced_leaves_the_old_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_writer(tmp_path / "set") as writer:
        writer.add(IMAGE, LABEL)
    rename = Path.rename

    def interrupted(source: Path, target: Path) -> Path:
        if source.name == "fresh":
            raise KeyboardInterrupt
        return rename(source, target)

    monkeypatch.setattr(Path, "rename", interrupted)

    def replace() -> None:
        with open_writer(tmp_path / "set", force=True) as writer:
            writer.add(IMAGE, LABEL)
            writer.add(IMAGE, LABEL)

    with pytest.raises(KeyboardInterrupt):
        replace()
    assert len(open_dataset(tmp_path / "set")) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["set"]
