"""Whole datasets: always the same bytes, resumed and refused as promised, and found out when they are damaged."""

from __future__ import annotations

import errno
import io
import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hgs_toolkit.checkpoint import load_model, save_model, save_weights
from hgs_toolkit.config import Config
from hgs_toolkit.errors import CheckpointError, ConfigError, DataError, HgsError
from hgs_toolkit.files import sha256
from hgs_toolkit.imaging.images import save_png
from hgs_toolkit.model.generator import Generator
from hgs_toolkit.synthesis import Part, Workforce, check, merge
from hgs_toolkit.synthesis.containers import read
from hgs_toolkit.synthesis.formats import FORMATS
from hgs_toolkit.synthesis.layout import claim
from hgs_toolkit.synthesis.maker import ShardMaker
from hgs_toolkit.synthesis.plan import read_plan
from tests.synthesis.conftest import HERE, Make, contents

SMALL = {"count": 5, "views": 2, "shard_images": 4}
"""Ten images in three shards."""


@pytest.mark.parametrize("format_", FORMATS)
def test_parts_and_interruptions_change_no_byte(make: Make, tmp_path: Path, format_: str,
                                                monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    make(tmp_path / "whole", format=format_, **SMALL)
    for index in (2, 0, 1):
        outcome = make(tmp_path / "parts", format=format_, workforce=Workforce(workers=0, part=Part(index, 3)), **SMALL)
        assert outcome.dataset is None
    merge(tmp_path / "parts")
    assert contents(tmp_path / "parts") == contents(tmp_path / "whole")

    make_one = ShardMaker.make

    def interrupted(maker: ShardMaker, shard: int, tick: object = None) -> object:
        if shard == 1:
            raise KeyboardInterrupt
        return make_one(maker, shard)

    with monkeypatch.context() as patch:
        patch.setattr(ShardMaker, "make", interrupted)
        with pytest.raises(KeyboardInterrupt):
            make(tmp_path / "stopped", format=format_, **SMALL)
    outcome = make(tmp_path / "stopped", format=format_, resume=True, **SMALL)
    assert (outcome.made, outcome.found) == (6, 4)
    assert contents(tmp_path / "stopped") == contents(tmp_path / "whole")
    assert check(tmp_path / "stopped").problems == []


def test_one_part_cannot_remove_the_others(make: Make, tmp_path: Path) -> None:
    make(tmp_path / "set", workforce=Workforce(workers=0, part=Part(0, 3)), **SMALL)
    with pytest.raises(HgsError, match="--force would remove what the other parts have made"):
        make(tmp_path / "set", workforce=Workforce(workers=0, part=Part(1, 3)), force=True, **SMALL)


def test_parts_may_begin_at_the_same_moment(make: Make, tmp_path: Path) -> None:
    """Another process is about to write the same plan: its unfinished file is there already."""
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / ".tmp-x1-plan.json").touch()
    make(tmp_path / "set", workforce=Workforce(workers=0, part=Part(0, 3)), **SMALL)


def test_shards_of_another_precision_say_so(make: Make, plain_file: Path, plain_config: Config, tmp_path: Path) -> None:
    config = replace(plain_config, generator=replace(plain_config.generator, precision="bfloat16"))
    save_weights(tmp_path / "short.safetensors", load_model(plain_file, "cpu").state_dict(), config)
    make(tmp_path / "set", model=tmp_path / "short.safetensors", count=1)
    (shard,) = json.loads((tmp_path / "set" / "manifest.json").read_text())["shards"]
    assert shard["precision"] == "bfloat16"


def test_the_manifest_says_what_made_it_but_not_when_or_where(make: Make, plain_file: Path, tmp_path: Path) -> None:
    make(tmp_path / "set", **SMALL)
    manifest = json.loads((tmp_path / "set" / "manifest.json").read_text())
    assert manifest["model_sha256"] == sha256(plain_file)
    assert manifest["versions"]["hgs_toolkit"]
    assert [shard["images"] for shard in manifest["shards"]] == [4, 4, 2]
    assert {shard["precision"] for shard in manifest["shards"]} == {"float32"}
    assert str(tmp_path) not in (tmp_path / "set" / "manifest.json").read_text()


def test_a_later_part_of_the_seeds_is_the_same_as_within_a_larger_set(make: Make, tmp_path: Path) -> None:
    make(tmp_path / "large", count=6, shard_images=3, format="transforms")
    make(tmp_path / "late", count=3, seed=3, shard_images=3, format="transforms")
    late, large = contents(tmp_path / "late" / "shards" / "000000"), contents(tmp_path / "large" / "shards" / "000001")
    assert late == large


@pytest.mark.parametrize("format_", ["wds", "eg3d"])
def test_a_finished_set_is_neither_made_again_nor_replaced(make: Make, tmp_path: Path, format_: str) -> None:
    make(tmp_path / "set", format=format_, **SMALL)
    before = contents(tmp_path / "set")
    with pytest.raises(HgsError, match="holds this dataset already; add --resume"):
        make(tmp_path / "set", format=format_, **SMALL)
    assert make(tmp_path / "set", format=format_, resume=True, **SMALL).made == 0
    assert contents(tmp_path / "set") == before
    make(tmp_path / "set", format="folder", force=True, count=1)
    assert not (tmp_path / "set" / "dataset.zip").exists()
    assert check(tmp_path / "set").images == 1


def test_another_plan_or_model_is_refused_by_name(
    make: Make, tmp_path: Path, plain_file: Path, background_file: Path
) -> None:
    make(tmp_path / "set", workforce=Workforce(workers=0, part=Part(0, 3)), **SMALL)
    with pytest.raises(HgsError, match=r"settings.count is 6 here and 5 there"):
        make(tmp_path / "set", resume=True, **(SMALL | {"count": 6}))
    with pytest.raises(HgsError, match=r"model_sha256 is .* here and .* there"):
        make(tmp_path / "set", resume=True, model=background_file, **SMALL)
    shutil.copy(background_file, plain_file)  # the same name, another content
    with pytest.raises(HgsError, match="model_sha256"):
        make(tmp_path / "set", resume=True, **SMALL)


def test_a_model_that_changes_under_a_run_stops_it(
    make: Make, tmp_path: Path, plain_file: Path, background_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = ShardMaker.__init__

    def load_later(maker: ShardMaker, job: object) -> None:
        shutil.copy(background_file, plain_file)
        load(maker, job)  # type: ignore[arg-type]

    monkeypatch.setattr(ShardMaker, "__init__", load_later)
    with pytest.raises(CheckpointError, match="is not the model this dataset was begun with"):
        make(tmp_path / "set", **SMALL)


def test_background_pictures_belong_to_the_plan(make: Make, tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    for name, grey in (("a", 40), ("b", 200)):
        save_png(tmp_path / "pictures" / f"{name}.png", np.full((20, 30, 3), grey, np.uint8))
    settings = SMALL | {"format": "wds", "background": str(tmp_path / "pictures"), "annotations": ["alpha"]}
    make(tmp_path / "set", **settings)
    greys = set()
    for shard in sorted((tmp_path / "set" / "shards").glob("*.tar")):
        files = dict(read(shard))
        for name in (name for name in files if name.endswith("rgb.png")):
            picture = np.asarray(Image.open(io.BytesIO(files[name])))
            alpha = np.asarray(Image.open(io.BytesIO(files[name.replace("rgb", "alpha")])))
            greys |= set(picture[alpha == 0].ravel().tolist())
    assert greys == {40, 200}
    save_png(tmp_path / "pictures" / "b.png", np.full((20, 30, 3), 201, np.uint8))
    with pytest.raises(HgsError, match=r"another plan \(pictures is"):
        make(tmp_path / "set", resume=True, **settings)


def test_folders_of_something_else_are_left_alone(make: Make, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.txt").write_text("years of work")
    (tmp_path / "file").write_text("a file")
    for force in (False, True):
        with pytest.raises(HgsError, match="holds something else than a dataset"):
            make(tmp_path / "home", force=force)
        with pytest.raises(HgsError, match="is a file; expected a folder"):
            make(tmp_path / "file", force=force)
    assert (tmp_path / "home" / "thesis.txt").read_text() == "years of work"


def test_a_full_disk_is_one_sentence_and_the_run_can_go_on(make: Make, tmp_path: Path,
                                                           monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    calls, replace = [], os.replace

    def full_at_the_second_shard(source: str, target: Path) -> None:
        calls.append(target)
        if str(target).endswith("000001.tar"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full_at_the_second_shard)
        with pytest.raises(HgsError, match="No space left on device; nothing was changed"):
            make(tmp_path / "set", format="wds", **SMALL)
    assert sorted(os.listdir(tmp_path / "set" / "shards")) == ["000000.json", "000000.tar"]
    assert make(tmp_path / "set", format="wds", resume=True, **SMALL).made == 6
    make(tmp_path / "whole", format="wds", **SMALL)
    assert contents(tmp_path / "set") == contents(tmp_path / "whole")


def test_a_scene_that_is_not_finite_stops_the_run_with_a_sentence(
    make: Make, tmp_path: Path, plain_config: Config
) -> None:
    broken = Generator(plain_config.generator)
    next(broken.embedding.parameters()).data[:] = float("nan")
    save_model(tmp_path / "broken.safetensors", broken, plain_config)
    with pytest.raises(HgsError, match="the scene of seed 0 cannot be drawn: non-finite"):
        make(tmp_path / "set", model=tmp_path / "broken.safetensors", **SMALL)
    assert [path.name for path in (tmp_path / "set").rglob("*") if path.is_file()] == ["plan.json"]


def test_missing_shards_are_named_by_merge_and_check(make: Make, tmp_path: Path) -> None:
    make(tmp_path / "set", workforce=Workforce(workers=0, part=Part(1, 3)), **SMALL)
    for look in (merge, check):
        with pytest.raises(DataError, match=r"lacks 2 of 3 shards \(0, 2\)"):
            look(tmp_path / "set")
    for index in (0, 2):
        make(tmp_path / "set", workforce=Workforce(workers=0, part=Part(index, 3)), **SMALL)
    with pytest.raises(DataError, match="is not finished; run: hgs synth merge"):
        check(tmp_path / "set")
    with pytest.raises(DataError, match=r"cannot read .*plan.json"):
        merge(tmp_path)


def test_to_go_on_and_to_replace_are_not_wanted_together(make: Make, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--resume keeps what --force would remove; give one of the two"):
        make(tmp_path / "set", resume=True, force=True, **SMALL)
    assert not (tmp_path / "set").exists()


def test_the_time_of_every_stage_is_told(make: Make, tmp_path: Path) -> None:
    timing = make(tmp_path / "set", workforce=HERE, **SMALL).timing
    assert min(timing.generate, timing.rasterize, timing.annotate, timing.store, timing.wall) > 0
    assert 0 < timing.drawing_share <= 1


def test_force_removes_nothing_but_a_dataset_of_ours(make: Make, tmp_path: Path) -> None:
    folder = tmp_path / "project"
    (folder / "shards").mkdir(parents=True)
    (folder / "plan.json").write_text('{"my": "own"}')
    (folder / "annotations.json").write_text("mine")
    before = contents(folder)
    with pytest.raises(HgsError, match="holds something else than a dataset of 'hgs synth'"):
        make(folder, count=1, size=16, force=True)
    assert contents(folder) == before
    make(tmp_path / "ours", count=1, size=16)
    make(tmp_path / "ours", count=1, size=16, seed=5, force=True)
    assert read_plan(tmp_path / "ours" / "plan.json").settings.seed == 5


@pytest.mark.parametrize("form", ["folder", "eg3d"])
def test_what_is_lost_of_a_finished_dataset_is_made_again(form: str, make: Make, tmp_path: Path) -> None:
    folder, wanted = tmp_path / "set", {"count": 2, "size": 16, "format": form}
    made = make(folder, **wanted)
    before = contents(folder)
    assert made.dataset is not None
    lost = made.dataset / "000000" if form == "folder" else made.dataset
    shutil.move(lost, tmp_path / "elsewhere")
    with pytest.raises(DataError, match="make them with the command that began it and --resume"):
        merge(folder)
    assert (folder / "manifest.json").exists()  # what is gone may come back
    make(folder, **wanted, resume=True)
    assert contents(folder) == before


def test_a_killed_joins_temporary_file_goes(make: Make, tmp_path: Path) -> None:
    make(tmp_path / "set", count=1, size=16, format="eg3d")
    (tmp_path / "set" / ".tmp-x-dataset.zip").write_bytes(b"half")
    make(tmp_path / "set", count=1, size=16, format="eg3d", force=True)
    assert not list((tmp_path / "set").glob(".tmp-*"))


def test_parts_that_begin_together_find_each_others_plan(make: Make, tmp_path: Path) -> None:
    """The plan may be written between the two questions whether there is one and whether the folder is empty."""
    made = make(tmp_path / "set", count=2, size=16, workforce=Workforce(workers=0, part=Part(0, 2)))
    plan = read_plan(tmp_path / "set" / "plan.json")
    assert made.dataset is None
    folder = tmp_path / "together"

    def part(number: int) -> Path:
        return claim(folder, plan, range(number, number + 1), resume=True, force=False).folder

    for _ in range(20):
        shutil.rmtree(folder, ignore_errors=True)
        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(part, range(4))) == [folder] * 4
