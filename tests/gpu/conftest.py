"""Tests that need a GPU: marked ``gpu`` and skipped with the reason where there is none.

With ``HGS_GPU_DRY=1`` the same tests run small on the CPU, in its own kernels and against itself: everything but the
GPU is tried. ``make gpu-check DRY=1`` does that.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from hgs_toolkit.checkpoint import save_model
from hgs_toolkit.config import Config
from hgs_toolkit.devices import cuda_works
from hgs_toolkit.model.generator import Generator
from hgs_toolkit.model_files import PRETRAINED
from hgs_toolkit.rendering import gsplat_backend

HERE = __file__.rsplit("/", 1)[0]
DRY = os.environ.get("HGS_GPU_DRY") == "1"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip the tests of this folder that are marked ``gpu`` on a machine without a working GPU."""
    reason = None if DRY or cuda_works() else "no CUDA device"
    for item in items:
        if reason and str(item.path).startswith(HERE) and item.get_closest_marker("gpu"):
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture
def dry() -> bool:
    """Whether the CPU stands in for the GPU."""
    return DRY


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> torch.device:
    """The GPU, in full float32; gsplat works on it."""
    if DRY:
        return torch.device("cpu")
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    monkeypatch.setattr(torch.backends.cuda.matmul, "allow_tf32", False)
    assert gsplat_backend.unavailable_reason() is None
    return torch.device("cuda", 0)


@pytest.fixture
def model_file(tmp_path: Path, tiny_model: Generator, tiny_config: Config) -> Path:
    """The model that ships; a tiny one where the CPU stands in for the GPU."""
    if not DRY:
        return PRETRAINED
    save_model(tmp_path / "model.safetensors", tiny_model, tiny_config, {})
    return tmp_path / "model.safetensors"
