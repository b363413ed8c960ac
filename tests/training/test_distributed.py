"""Two processes compute the gradients of one; a killed run continues to the same weights."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from hgs_toolkit.config import Config
from hgs_toolkit.datasets.eg3d import PosedImages
from hgs_toolkit.errors import ConfigError
from hgs_toolkit.settings_io import config_from_dict, config_to_dict, config_to_yaml
from hgs_toolkit.training.distributed import World, check_shares

WORKER = """
import sys, torch
from hgs_toolkit.settings_io import load_config
from hgs_toolkit.datasets.eg3d import open_dataset
from hgs_toolkit.training.distributed import world_from_environment
from hgs_toolkit.training.trainer import Trainer

torch.set_num_threads(1)
with world_from_environment(torch.device("cpu")) as world:
    trainer = Trainer(load_config(sys.argv[1]), world)
    data = open_dataset(sys.argv[2])
    trainer.train_step(data)
    if world.is_main:
        gradients = {f"{n}.{k}": p.grad for n in ("generator", "discriminator")
                     for k, p in getattr(trainer, n).named_parameters()}
        torch.save(gradients, sys.argv[3])
"""


def _free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def _run_workers(count: int, arguments: list[str]) -> None:
    port, workers = _free_port(), []
    for rank in range(count):
        environment = os.environ | {
            "WORLD_SIZE": str(count), "RANK": str(rank), "LOCAL_RANK": str(rank),
            "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port,
        }  # fmt: skip
        workers.append(subprocess.Popen([sys.executable, "-c", WORKER, *arguments], env=environment))
    assert [worker.wait(timeout=120) for worker in workers] == [0] * count


@pytest.mark.parametrize("recipe", ["tiny", "tiny_gsgan"])
def test_two_gloo_processes_give_the_gradients_of_one(
    recipe: str, images: PosedImages, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    config: Config = request.getfixturevalue(recipe)
    path = tmp_path / "config.yaml"
    path.write_text(config_to_yaml(config))
    gradients = []
    for count in (1, 2):
        out = tmp_path / f"{count}.pt"
        _run_workers(count, [str(path), str(images.path), str(out)])
        gradients.append(torch.load(out, weights_only=True))
    one, two = gradients
    for key, value in one.items():
        if value is None:  # what the step did not use; with a gradient of zeros Adam would step and count
            assert two[key] is None, key
            continue
        scale = max(value.abs().max().item(), 1e-3)
        assert (two[key] - value).abs().max() <= 2e-5 * scale, key


@pytest.mark.parametrize(
    ("training", "views", "what"),
    [
        ({"batch": 6, "views": 2}, 2, "3 groups of views"),
        ({"batch": 4, "views": 4, "scenes": 1}, 1, "1 generated scenes"),
    ],
)
def test_shares_that_are_not_even_are_refused(training: dict[str, int], views: int, what: str, tiny: Config) -> None:
    values = config_to_dict(tiny)
    values["training"] |= training
    values["discriminator"]["views"] = views
    with pytest.raises(ConfigError, match=f"makes {what} for 2 processes; expected a multiple of 2"):
        check_shares(config_from_dict(values), World(0, 2))


def test_gathering_in_one_process_and_taking_all_rows_change_nothing() -> None:
    world, rows = World(), torch.randn(4, 3)
    assert world.gather(rows) is rows
    assert torch.equal(world.rows(rows), rows)
    assert world.any(True)
    assert not world.any(False)


def test_ranks_take_every_row_exactly_once() -> None:
    rows = torch.arange(12)
    parts = [World(rank, 3).rows(rows) for rank in range(3)]
    assert sorted(torch.cat(parts).tolist()) == rows.tolist()
    assert torch.equal(torch.stack(parts, dim=1).flatten(), rows)


@pytest.mark.parametrize("delay", [random.Random(0).uniform(0, 0.3), random.Random(1).uniform(0, 0.6)])
def test_a_run_killed_at_a_random_moment_resumes_to_the_weights_of_an_uninterrupted_one(
    delay: float, tiny: Config, images: PosedImages, tmp_path: Path
) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(config_to_yaml(tiny))
    run, undisturbed = tmp_path / "run", tmp_path / "undisturbed"
    start = [sys.executable, "-m", "hgs_toolkit.cli", "train", "--data", str(images.path), "--out"]
    subprocess.run([*start, str(undisturbed), "--config", str(path)], check=True, capture_output=True)
    command = [*start, str(run)]
    process = subprocess.Popen([*command, "--config", str(path)], stderr=subprocess.DEVNULL)
    while not (run / "state.pt").exists() and process.poll() is None:
        time.sleep(0.005)
    time.sleep(delay)  # any moment after the first tick will do, even after the end
    process.send_signal(signal.SIGKILL)
    process.wait()
    subprocess.run([*command, "--resume"], check=True, capture_output=True)
    whole = torch.load(undisturbed / "state.pt", weights_only=True)
    final = torch.load(run / "state.pt", weights_only=True)
    assert final["step"] == 10
    for name in ("generator", "ema", "discriminator"):
        for key, value in whole[name].items():
            assert torch.equal(value, final[name][key]), f"{name}.{key}"
