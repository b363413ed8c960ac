"""Streamed SOG: its levels and boxes, how a scene takes another's place, and files that contradict themselves."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hgs_toolkit.errors import FormatError, HgsError
from hgs_toolkit.exporters.splats import streamed_sog
from hgs_toolkit.exporters.splats.sog import sog_files
from hgs_toolkit.exporters.splats.stored import splats_of
from hgs_toolkit.exporters.table import export, load
from hgs_toolkit.gaussians import GaussianHierarchy

SceneFactory = Callable[..., GaussianHierarchy]
Json = dict[str, Any]


def document(path: Path) -> Json:
    value: Json = json.loads(path.read_text())
    return value


def leaves(box: Json) -> list[Json]:
    return [box] if "lods" in box else [leaf for child in box["children"] for leaf in leaves(child)]


def nearest(found: torch.Tensor, expected: torch.Tensor) -> torch.Tensor:
    """Distance (N,) of each expected point to the nearest found one."""
    return torch.cdist(expected.double(), found.double()).amin(-1)


def test_levels_are_unions_of_the_trees_levels_the_finest_first(tmp_path: Path, scene: GaussianHierarchy) -> None:
    export(scene, tmp_path / "out/lod-meta.json")
    meta = document(tmp_path / "out/lod-meta.json")
    assert (meta["version"], meta["lodLevels"], meta["count"], meta["counts"]) == (1, 3, 123, [89, 25, 9])
    for level, count in enumerate(meta["counts"]):
        entry = meta["tree"]["lods"][str(level)]
        unit = document(tmp_path / "out" / meta["filenames"][entry["file"]])
        assert (entry["offset"], entry["count"], unit["count"]) == (0, count, count)


def test_the_finest_level_comes_back(tmp_path: Path, scene_factory: SceneFactory) -> None:
    scene = scene_factory((64, 256), degree=2)
    export(scene, tmp_path / "lod-meta.json")
    loaded = load(tmp_path / "lod-meta.json")
    assert (loaded.num_gaussians, loaded.sh_degree) == (320, 2)
    assert float(nearest(loaded.means[0], scene.means[0]).max()) < 5e-5


def test_an_environment_is_the_background(tmp_path: Path, scene_factory: SceneFactory) -> None:
    """splat-transform's `--tag-lod -1` writes one."""
    scene, around = scene_factory((20,)), scene_factory((7,), seed=5)
    export(scene, tmp_path / "lod-meta.json")
    (tmp_path / "env").mkdir()
    for name, data in sog_files(around).items():
        (tmp_path / "env" / name).write_bytes(data)
    meta = document(tmp_path / "lod-meta.json") | {"environment": "env/meta.json"}
    (tmp_path / "lod-meta.json").write_text(json.dumps(meta))
    loaded = load(tmp_path / "lod-meta.json")
    assert (loaded.num_gaussians, int(loaded.is_background.sum())) == (27, 7)
    assert float(nearest(loaded.means[0, loaded.is_background], around.means[0]).max()) < 1e-3
    (tmp_path / "lod-meta.json").write_text(json.dumps(meta | {"environment": 5}))
    with pytest.raises(FormatError, match="names the file 5"):
        load(tmp_path / "lod-meta.json")


@pytest.mark.parametrize("name", ["lod-meta.json", "tileset.json"])
def test_a_damaged_folder_is_mended_when_the_scene_is_written_again(
    name: str, tmp_path: Path, scene: GaussianHierarchy
) -> None:
    export(scene, tmp_path / name)
    whole = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    first, second = [path for path in whole if path.suffix in (".webp", ".glb")][:2]
    first.unlink()
    second.write_bytes(b"damaged")
    export(scene, tmp_path / name, overwrite=True)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == whole


def test_a_flat_scene_gets_merged_levels(tmp_path: Path, scene_factory: SceneFactory) -> None:
    export(scene_factory((1100,)), tmp_path / "lod-meta.json")
    assert document(tmp_path / "lod-meta.json")["counts"] == [1100, 275]


@pytest.mark.parametrize("frame", ["rdf", "y_up"])
def test_boxes_part_the_scene_and_bound_their_gaussians(
    frame: str, tmp_path: Path, scene_factory: SceneFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streamed_sog, "BOX", 100)
    scene = scene_factory((64, 256))
    export(scene, tmp_path / "lod-meta.json", frame=frame)
    meta = document(tmp_path / "lod-meta.json")
    boxes = leaves(meta["tree"])
    assert len(boxes) == 4
    assert sum(box["lods"]["0"]["count"] for box in boxes) == 320
    assert sum(box["lods"]["1"]["count"] for box in boxes if "1" in box["lods"]) == 64
    low, high = (torch.tensor([box["bound"][end] for box in boxes]) for end in ("min", "max"))
    means = torch.from_numpy(splats_of(scene, frame).means)
    inside = ((means[:, None] > low) & (means[:, None] < high)).all(-1)
    assert bool(inside.any(1).all())
    assert float(nearest(load(tmp_path / "lod-meta.json").means[0], scene.means[0]).max()) < 5e-5


def test_many_gaussians_in_one_place_end_in_boxes_too(
    tmp_path: Path, scene_factory: SceneFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streamed_sog, "BOX", 10)
    scene = scene_factory((33,))
    export(scene.replace(means=0 * scene.means), tmp_path / "lod-meta.json")
    assert load(tmp_path / "lod-meta.json").num_gaussians == 33


def test_a_new_scene_replaces_the_old_one_and_nothing_else(tmp_path: Path, scene_factory: SceneFactory) -> None:
    (tmp_path / "notes").mkdir()
    export(scene_factory((20,)), tmp_path / "lod-meta.json")
    export(scene_factory((21,)), tmp_path / "other.lod-meta.json")
    before = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(HgsError, match="exists already; overwrite=True replaces it"):
        export(scene_factory((22,)), tmp_path / "lod-meta.json")
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    export(scene_factory((22,)), tmp_path / "lod-meta.json", overwrite=True)
    assert [load(tmp_path / f"{name}lod-meta.json").num_gaussians for name in ("", "other.")] == [22, 21]
    assert len(list(tmp_path.iterdir())) == 5  # two .json, their folders, and notes
    assert (tmp_path / "notes").is_dir()


def test_a_failure_leaves_nothing_behind(
    tmp_path: Path, scene: GaussianHierarchy, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> dict[str, bytes]:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(streamed_sog, "sog_files", broken)
    with pytest.raises(HgsError, match="No space left on device"):
        export(scene, tmp_path / "lod-meta.json")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.update(version=2), "its version is 2; expected 1"),
        (lambda m: m.pop("tree"), "no JSON of a streamed SOG"),
        (lambda m: m.update(tree=[]), "no JSON of a streamed SOG"),
        (lambda m: m["tree"]["lods"].pop("0"), "no files of level 0"),
        (lambda m: m["tree"]["lods"]["0"].update(file=9), "refers to file 9"),
        (lambda m: m["filenames"].__setitem__(0, "../x/meta.json"), "expected a meta.json in a folder beside it"),
        (lambda m: m["filenames"].__setitem__(0, "/etc/meta.json"), "expected a meta.json in a folder beside it"),
        (lambda m: m["filenames"].__setitem__(0, "gone/meta.json"), "it lacks meta.json: No such file"),
    ],
)
def test_json_that_lies_is_refused(
    change: Callable[[Json], object], message: str, tmp_path: Path, scene: GaussianHierarchy
) -> None:
    export(scene, tmp_path / "lod-meta.json")
    meta = document(tmp_path / "lod-meta.json")
    change(meta)
    (tmp_path / "lod-meta.json").write_text(json.dumps(meta))
    with pytest.raises(FormatError, match=message):
        load(tmp_path / "lod-meta.json")


def test_a_unit_may_not_name_files_of_other_folders(tmp_path: Path, scene: GaussianHierarchy) -> None:
    export(scene, tmp_path / "lod-meta.json")
    path = tmp_path / document(tmp_path / "lod-meta.json")["filenames"][0]
    unit = document(path)
    unit["quats"]["files"] = ["../../../quats.webp"]
    path.write_text(json.dumps(unit))
    with pytest.raises(FormatError, match="expected a file in its folder"):
        load(tmp_path / "lod-meta.json")


def test_equal_scenes_share_their_files(tmp_path: Path, scene: GaussianHierarchy) -> None:
    export(scene, tmp_path / "a.lod-meta.json")
    export(scene, tmp_path / "b.lod-meta.json")
    assert document(tmp_path / "a.lod-meta.json") == document(tmp_path / "b.lod-meta.json")
    assert np.array_equal(load(tmp_path / "a.lod-meta.json").means, load(tmp_path / "b.lod-meta.json").means)
