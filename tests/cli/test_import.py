"""``hgs import`` on look-alikes of the authors' snapshots: a model, networks to train on from, or one sentence."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from typer.testing import Result

from hgs_toolkit.asset import load_asset
from hgs_toolkit.checkpoint import load_model
from hgs_toolkit.config import GeneratorConfig
from hgs_toolkit.errors import CheckpointError
from hgs_toolkit.gsgan.snapshot import import_gsgan
from hgs_toolkit.model_files import model_config
from hgs_toolkit.training.stages.warm_start import read_networks
from hgs_toolkit.training.state import RunFolder, read_state
from tests.parity import lookalike
from tests.parity.snapshots import mutate, small_snapshot, write

Hgs = Callable[..., Result]


@pytest.fixture
def snapshot(tmp_path: Path) -> Path:
    return write(tmp_path / "network-snapshot-015000.pkl", small_snapshot)


def test_the_model_is_the_average_and_the_networks_are_all_three(hgs: Hgs, snapshot: Path, tmp_path: Path) -> None:
    out = tmp_path / "face.safetensors"
    result = hgs("import", snapshot, out)
    assert result.exit_code == 0
    assert result.stdout.split() == [str(out), str(tmp_path / "face.training.safetensors")]
    expected = import_gsgan(snapshot)
    model = load_model(out, "cpu").state_dict()
    assert all(torch.equal(model[name], value) for name, value in expected.ema_state.items())
    networks = read_networks(tmp_path / "face.training.safetensors")
    pairs = (
        (networks.generator, expected.generator_state), (networks.ema, expected.ema_state),
        (networks.discriminator, expected.discriminator_state),
    )  # fmt: skip
    for found, states in pairs:
        assert found is not None
        assert found.keys() == states.keys()
        assert all(torch.equal(found[name], value) for name, value in states.items())
    assert networks.config == model_config(out) == expected.config


def test_what_info_says_of_both_files(hgs: Hgs, snapshot: Path, tmp_path: Path) -> None:
    hgs("import", snapshot, tmp_path / "face.safetensors")
    assert "gsgan-import" in hgs("info", tmp_path / "face.safetensors").stdout
    text = hgs("info", tmp_path / "face.training.safetensors").stdout
    assert "hgs train --init" in text
    assert "15000" in text
    assert "network-snapshot-015000.pkl" in text


def test_the_networks_file_is_no_model_and_says_what_it_is_for(hgs: Hgs, snapshot: Path, tmp_path: Path) -> None:
    hgs("import", snapshot, tmp_path / "face.safetensors")
    with pytest.raises(CheckpointError, match="hgs train --init"):
        load_model(tmp_path / "face.training.safetensors")


def test_the_model_alone_can_be_asked_for(hgs: Hgs, snapshot: Path, tmp_path: Path) -> None:
    assert hgs("import", snapshot, tmp_path / "out" / "face.safetensors", "--model-only").exit_code == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["face.safetensors"]


def test_an_imported_model_is_sampled_with_its_own_focal_length(hgs: Hgs, snapshot: Path, tmp_path: Path) -> None:
    out = tmp_path / "face.safetensors"
    hgs("import", snapshot, out)
    assert hgs("sample", out, "--seeds", "0", "--out", tmp_path / "s", "--save", "hgs").exit_code == 0
    (asset_file,) = (tmp_path / "s").glob("*.hgs")
    assert load_asset(asset_file).metadata.focal == pytest.approx(2.507573)


def test_progress_is_reported_as_events(hgs: Hgs, snapshot: Path, tmp_path: Path) -> None:
    lines = hgs("import", snapshot, tmp_path / "face.safetensors", "--json-progress").stdout.splitlines()
    kinds = [json.loads(line)["event"] for line in lines]
    assert kinds.count("file") == 2
    assert "progress" in kinds
    assert kinds[-1] == "done"


@pytest.mark.parametrize("there", ["face.safetensors", "face.training.safetensors"])
def test_existing_files_are_only_replaced_by_force(hgs: Hgs, snapshot: Path, tmp_path: Path, there: str) -> None:
    (tmp_path / there).write_bytes(b"mine")
    result = hgs("import", snapshot, tmp_path / "face.safetensors")
    assert result.exit_code == 1
    assert f"{there} exists already" in result.stderr
    assert (tmp_path / there).read_bytes() == b"mine"
    assert hgs("import", snapshot, tmp_path / "face.safetensors", "--force").exit_code == 0


@pytest.mark.parametrize(
    ("content", "out", "message"),
    [
        (b"no pickle", "a.safetensors", "is damaged, truncated or no pickle"),
        (b"\x80\x02cos\nsystem\n.", "a.safetensors", "names 'os.system', which no GSGAN snapshot needs"),
        (None, "a.safetensors", "cannot read"),
        (b"", "a.pt", "has the suffix '.pt'; expected .safetensors"),
    ],
)
def test_bad_input_is_one_sentence_and_leaves_no_file(
    hgs: Hgs, tmp_path: Path, content: bytes | None, out: str, message: str
) -> None:
    source, target = tmp_path / "in" / "x.pkl", tmp_path / "out" / out
    source.parent.mkdir()
    if content is not None:
        source.write_bytes(content)
    result = hgs("import", source, target)
    assert result.exit_code == 1
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert not target.parent.exists()


def run_mutations(hgs: Hgs, tmp_path: Path, count: int, seed: int) -> None:
    """Import so many mutated files; all of them lack what a generator needs, whatever else is wrong with them."""
    tiny = {"a.weight": torch.ones(2, 2), "b.0.w_avg": torch.zeros(3)}
    path, out = tmp_path / "a.pkl", tmp_path / "out" / "a.safetensors"
    data = write(path, lambda: lookalike.snapshot(tiny, tiny, tiny)).read_bytes()
    rng = random.Random(seed)
    for _ in range(count):
        path.write_bytes(mutate(data, rng))
        result = hgs("import", path, out)
        assert result.exit_code == 1
        assert f"error: {path}" in result.stderr
        assert "internal error" not in result.stderr
    assert not out.parent.exists()


def test_mutated_files_end_in_one_sentence_each(hgs: Hgs, tmp_path: Path) -> None:
    run_mutations(hgs, tmp_path, 100, seed=5)


@pytest.mark.slow
def test_two_thousand_mutated_files_end_in_one_sentence_each(hgs: Hgs, tmp_path: Path) -> None:
    run_mutations(hgs, tmp_path, 2000, seed=6)


def test_training_continues_from_an_import(hgs: Hgs, snapshot: Path, tmp_path: Path) -> None:
    data, run = tmp_path / "critters.zip", tmp_path / "run"
    hgs("import", snapshot, tmp_path / "face.safetensors")
    hgs("dataset", "demo", "--count", 8, "--resolution", 16, "--out", data)
    settings = ["training.batch=8", "training.knn_neighbors=4", "training.grid=2", "training.generator_lr=1.0e-6",
                "training.discriminator_lr=1.0e-6", "training.metric_kimg=null"]  # fmt: skip
    options = [part for setting in settings for part in ("--set", setting)]
    start = tmp_path / "face.training.safetensors"
    result = hgs("train", "--init", start, "--data", data, "--out", run, "--kimg", "0.008", *options)
    assert result.exit_code == 0, result.stderr
    state = read_state(RunFolder(run).state_file)
    assert state["step"] == 1
    expected = read_networks(start)
    # Adam's first step moves every weight that has a gradient by the learning rate, and none by more.
    for name, before in (("generator", expected.generator), ("discriminator", expected.discriminator)):
        assert before is not None
        moved = [(state[name][key] - value).abs().max().item() for key, value in before.items() if "w_avg" not in key]
        assert 0 < max(moved) < 1e-5
    drift = max(
        (state["ema"][key] - value).abs().max().item() for key, value in expected.ema.items() if "w_avg" not in key
    )
    apart = max((expected.generator[key] - value).abs().max().item() for key, value in expected.ema.items())
    assert 0 < drift < 0.01 * apart  # the average is not forgotten in the first step


def largest_change(after: dict[str, torch.Tensor], before: dict[str, torch.Tensor]) -> float:
    """Over all weights; the running mean of w is none."""
    return max((after[name] - before[name]).abs().max().item() for name in before if "w_avg" not in name)


MEASURE = """
import sys
from pathlib import Path
from hgs_toolkit.cli.main import app
app(["import", *sys.argv[1:]], standalone_mode=False)
peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(peak.split()[1])
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_importing_a_snapshot_of_real_size_needs_less_than_three_gigabytes(tmp_path: Path) -> None:
    state = lookalike.random_state(lookalike.generator_shapes(GeneratorConfig()), 0, 256)
    judge = lookalike.random_state(lookalike.discriminator_shapes(256), 1)
    average = {k: v if k.split(".")[-1] in lookalike.CONSTANTS else v + 1 for k, v in state.items()}
    path = write(tmp_path / "a.pkl", lambda: lookalike.snapshot(state, average, judge))
    assert path.stat().st_size > 400e6
    out = tmp_path / "a.safetensors"
    command = [sys.executable, "-c", MEASURE, str(path), str(out)]
    run = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ)
    kilobytes = int(run.stdout.split()[-1])
    assert model_config(out).generator.levels == 5
    assert out.stat().st_size + out.with_name("a.training.safetensors").stat().st_size > 500e6
    assert kilobytes < 3_000_000
