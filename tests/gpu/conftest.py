"""Tests that need a GPU: marked ``gpu`` and skipped with the reason where there is none."""

from __future__ import annotations

import pytest
import torch

from hgs_toolkit.devices import cuda_works
from hgs_toolkit.rendering import gsplat_backend

HERE = __file__.rsplit("/", 1)[0]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip the tests of this folder that are marked ``gpu`` on a machine without a working GPU."""
    reason = None if cuda_works() else "no CUDA device"
    for item in items:
        if reason and str(item.path).startswith(HERE) and item.get_closest_marker("gpu"):
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture
def cuda() -> torch.device:
    """The GPU, in full float32; gsplat works on it."""
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    assert gsplat_backend.unavailable_reason() is None
    return torch.device("cuda", 0)
