"""A run of one stage is begun once more, resumed with its own file, and kept apart from its set."""

from __future__ import annotations

from pathlib import Path

from hgs_toolkit.settings_io import load_config
from tests.cli.conftest import ONE_STAGE, Hgs


def test_a_run_that_ended_before_its_first_tick_begins_again(hgs: Hgs, tmp_path: Path) -> None:
    data, config, run = tmp_path / "set.zip", tmp_path / "one.yaml", tmp_path / "run"
    config.write_text(ONE_STAGE)
    assert hgs("dataset", "demo", "--out", data, "--count", 8, "--resolution", 16).exit_code == 0
    run.mkdir()
    (run / "config.yaml").write_text("left: by a run that was killed")
    begun = hgs("train", "--data", data, "--config", config, "--out", run)
    assert begun.exit_code == 0, begun.output
    assert (run / "state.pt").is_file()
    assert hgs("train", "--data", data, "--config", config, "--out", run).exit_code == 1


def test_a_run_within_its_own_set_is_refused(hgs: Hgs, tmp_path: Path) -> None:
    data, config = tmp_path / "set", tmp_path / "one.yaml"
    config.write_text(ONE_STAGE)
    assert hgs("dataset", "demo", "--out", data, "--count", 8, "--resolution", 16).exit_code == 0
    before = sorted(data.iterdir())
    for out in (data, data / "run"):
        refused = hgs("train", "--data", data, "--config", config, "--out", out)
        assert refused.exit_code == 1
        assert "which is trained on: the run's pictures would become part of it" in " ".join(refused.stderr.split())
    assert sorted(data.iterdir()) == before


def test_a_run_is_resumed_with_the_file_that_it_began_with(hgs: Hgs, tmp_path: Path) -> None:
    """Measured poses and classes stay, and weights that it began with are not thrown back by the recipe's opening."""
    data, config = tmp_path / "set.zip", tmp_path / "one.yaml"
    config.write_text(ONE_STAGE)
    made = hgs("dataset", "demo", "--out", data, "--count", 8, "--resolution", 16, "--classes", "--yaw", 90)
    assert made.exit_code == 0
    first, on = tmp_path / "first", tmp_path / "on"
    assert hgs("train", "--data", data, "--config", config, "--out", first).exit_code == 0
    begun = load_config(first / "config.yaml")
    again = hgs("train", "--data", data, "--config", config, "--out", first, "--resume", "--kimg", 0.024)
    assert again.exit_code == 0, again.output
    assert load_config(first / "config.yaml").generator == begun.generator
    assert load_config(first / "config.yaml").training.blur_sigma == 2
    assert hgs("train", "--data", data, "--config", config, "--out", on, "--init", first).exit_code == 0
    resumed = hgs("train", "--data", data, "--config", config, "--out", on, "--resume", "--kimg", 0.024)
    assert resumed.exit_code == 0, resumed.output
    training = load_config(on / "config.yaml").training
    assert (training.blur_sigma, training.ema_rampup) == (0, None)
