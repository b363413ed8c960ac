"""A small model of critters' cameras and real pictures for it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from hgs_toolkit.checkpoint import save_model
from hgs_toolkit.config import Config
from hgs_toolkit.datasets.critters.drawing import make_critters
from hgs_toolkit.model.generator import Generator
from hgs_toolkit.settings_io import build, config_to_dict, merge


@pytest.fixture(scope="session")
def model_path(tmp_path_factory: pytest.TempPathFactory, tiny_config: Config) -> Path:
    """An untrained model without a background, whose Gaussians are large enough to be solid."""
    changes = {"name": "plain", "generator": {"background": "none", "initial_opacity_logit": 4.0}}
    config = build(Config, merge(config_to_dict(tiny_config), changes), "")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = Generator(config.generator)
        for parameter in model.parameters():
            parameter.data += 0.1 * torch.randn_like(parameter)
    path = tmp_path_factory.mktemp("model") / "plain.safetensors"
    save_model(path, model, config)
    return path


@pytest.fixture(scope="session")
def critters16(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty critters at 16 pixels."""
    path = tmp_path_factory.mktemp("data") / "critters16.zip"
    make_critters(path, 60, 16, seed=3)
    return path
