"""A run's folder: the exact training state, the sampled model, the log, the sample images.

``state.pt`` is one torch file of tensors and plain numbers, read with ``weights_only`` so that nothing in it is
executed; it is written to a temporary name and renamed, so that a kill at any moment leaves the last one whole.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from hgs_toolkit.checkpoint import save_model
from hgs_toolkit.config import Config
from hgs_toolkit.datasets.attribution import Credit, attribution_facts, credits_in
from hgs_toolkit.errors import CheckpointError, HgsError
from hgs_toolkit.files import atomic_path, make_folder, write_bytes
from hgs_toolkit.model.generator import Generator
from hgs_toolkit.model_files import read_header
from hgs_toolkit.settings_io import config_to_dict, config_to_yaml
from hgs_toolkit.training.continuing import Changes, DatasetIdentity, refuse_other_config, refuse_other_data
from hgs_toolkit.training.trainer import Trainer

STATE_FORMAT = 1

KEPT_SNAPSHOTS = 10
"""Number of the newest snapshots that are kept; of older ones, every tenth is."""


class RunFolder:
    """The files of a run below ``path``."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.state_file = self.path / "state.pt"
        self.model_file = self.path / "model.safetensors"
        self.config_file = self.path / "config.yaml"
        self.log_file = self.path / "log.jsonl"
        self.samples = self.path / "samples"
        self.best_file = self.path / "best.safetensors"
        self.snapshots = self.path / "snapshots"
        self.works: tuple[Credit, ...] = ()
        """What the model files name: the works that the set shows, and those that the first weights learned from."""

    @property
    def credits(self) -> tuple[Credit, ...]:
        """The works that the run's weights learned from; () before its first tick.

        Raises:
            CheckpointError: if the model file is broken.
        """
        if not self.model_file.is_file():
            return ()
        return credits_in(read_header(self.model_file).facts)

    def start(self, config: Config, *, resume: bool) -> None:
        """Make the folder for a new run, or check that there is one to continue.

        Raises:
            HgsError: if a run is in the way (without ``resume``) or the folder cannot be written.
        """
        if self.state_file.exists() and not resume:
            raise HgsError(f"{self.path} holds a run already; add --resume to continue it or choose another folder")
        make_folder(self.samples)
        if not resume:
            write_bytes(self.log_file, b"")  # a run killed before its first tick may have left one
            self.best_file.unlink(missing_ok=True)
        write_bytes(self.config_file, config_to_yaml(config).encode())

    def save(
        self, trainer: Trainer, data: DatasetIdentity | None = None, model: Generator | None = None
    ) -> None:  # fmt: skip
        """Write the model that is sampled (``model``, by default the average), then the state, each atomically.

        In this order, because a run is resumed from the state: whatever comes after it is made again.
        """
        save_model(self.model_file, model or trainer.ema, trainer.config, self._facts(trainer))
        state = trainer.state() | {"format": STATE_FORMAT, "config": json.dumps(config_to_dict(trainer.config))}
        if data is not None:
            state["data"] = data.to_dict()
        with atomic_path(self.state_file) as temporary:
            torch.save(state, temporary)

    def keep_if_best(self, trainer: Trainer, name: str, value: float, model: Generator | None = None) -> bool:
        """Write the average (or ``model``) as ``best.safetensors`` if none had a lower ``value`` of ``name`` before."""
        if self.best_file.is_file():
            try:
                kept = float(read_header(self.best_file).facts[name])
            except (CheckpointError, KeyError, ValueError):
                kept = float("inf")  # broken, or measured by something else
            if kept <= value:
                return False
        save_model(self.best_file, model or trainer.ema, trainer.config, self._facts(trainer) | {name: f"{value:.4f}"})
        return True

    def save_snapshot(self, trainer: Trainer) -> Path:
        """Keep the average as ``snapshots/kimg-….safetensors``, and remove old ones by the rule of KEPT_SNAPSHOTS."""
        file = make_folder(self.snapshots) / f"kimg-{trainer.kimg:09.3f}.safetensors"
        save_model(file, trainer.ema, trainer.config, self._facts(trainer))
        interval = trainer.config.training.snapshot_kimg or 1.0
        for old in sorted(self.snapshots.glob("kimg-*.safetensors"))[:-KEPT_SNAPSHOTS]:
            number = int(float(old.stem.removeprefix("kimg-")) / interval + 1e-6)
            if number % 10:
                old.unlink(missing_ok=True)
        return file

    def restore(self, trainer: Trainer, data: DatasetIdentity | None = None) -> Changes:
        """Put the saved state into ``trainer``; log lines of steps after it are dropped.

        Returns the settings that differ from the saved ones and may.

        Raises:
            CheckpointError: if the state is broken, or belongs to another configuration or dataset (the message says
                where they differ).
        """
        state = read_state(self.state_file)
        refuse_other_data(state.get("data"), data, self.path)
        changes = refuse_other_config(json.loads(state["config"]), trainer.config, self.path)
        try:
            trainer.load_state(state)
        except (KeyError, RuntimeError, ValueError) as error:
            raise CheckpointError(f"{self.state_file} does not fit its own configuration: {error}") from error
        self._truncate_log(trainer.step)
        return changes

    def append_log(self, line: dict[str, Any]) -> None:
        """Add one JSON line to the log."""
        with open(self.log_file, "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def read_log(self) -> list[dict[str, Any]]:
        """Every whole line of the log; a line torn by a kill is left out."""
        if not self.log_file.exists():
            return []
        lines = []
        for text in self.log_file.read_text(encoding="utf-8").splitlines():
            try:
                lines.append(json.loads(text))
            except json.JSONDecodeError:
                continue
        return lines

    def _facts(self, trainer: Trainer) -> dict[str, str]:
        """What a model file says of its making."""
        return {"kimg": f"{trainer.kimg:.3f}", "step": str(trainer.step)} | attribution_facts(self.works)

    def _truncate_log(self, step: int) -> None:
        kept = [line for line in self.read_log() if line.get("step", 0) <= step]
        write_bytes(self.log_file, "".join(json.dumps(line) + "\n" for line in kept).encode())


def read_state(path: Path) -> dict[str, Any]:
    """The state in ``path``, tensors on the CPU.

    Raises:
        CheckpointError: if the file is missing, truncated, of another format, or holds anything but data.
    """
    if not path.is_file():
        raise CheckpointError(f"there is no run to resume: {path} is missing; start one without --resume")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises half a dozen types for a broken file
        raise CheckpointError(f"{path} cannot be read as a training state ({_first_line(error)})") from error
    if not isinstance(state, dict) or state.get("format") != STATE_FORMAT:
        raise CheckpointError(f"{path} is not a training state of format {STATE_FORMAT} of this toolkit")
    return state


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
