"""A small model with a background, one without, and datasets made from them in this process."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from hgs_toolkit.checkpoint import save_model
from hgs_toolkit.config import Config
from hgs_toolkit.model.generator import Generator
from hgs_toolkit.settings_io import build, config_to_dict, merge
from hgs_toolkit.synthesis import Outcome, Workforce, synthesize_dataset

Make = Callable[..., Outcome]

HERE = Workforce(workers=0)


@pytest.fixture
def plain_config(tiny_config: Config) -> Config:
    """The tiny model without a background generator."""
    return build(Config, merge(config_to_dict(tiny_config), {"name": "plain", "generator": {"background": "none"}}), "")


@pytest.fixture
def plain_file(tmp_path: Path, plain_config: Config) -> Path:
    """A model file without a background; its scenes are dense enough to have a mask."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = Generator(plain_config.generator)
        for parameter in model.parameters():
            parameter.data += 0.1 * torch.randn_like(parameter)
    path = tmp_path / "plain.safetensors"
    save_model(path, model, plain_config)
    return path


@pytest.fixture
def background_file(tmp_path: Path, tiny_model: Generator, tiny_config: Config) -> Path:
    """A model file with a background generator."""
    path = tmp_path / "background.safetensors"
    save_model(path, tiny_model, tiny_config)
    return path


@pytest.fixture
def make(plain_file: Path) -> Make:
    """``make(folder, count=3, ...)``: a dataset of the plain model, made in this process."""

    def run(folder: Path, *, model: Path = plain_file, workforce: Workforce = HERE, resume: bool = False,
            force: bool = False, **values: Any) -> Outcome:  # fmt: skip
        return synthesize_dataset(folder, model, values, workforce=workforce, resume=resume, force=force)

    return run


def contents(folder: Path) -> dict[str, str]:
    """Hash of every file by its name; what two datasets must agree in."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
