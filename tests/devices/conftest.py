"""A pretended GPU for the tests of this folder; see ``pretend.py``."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch


def _pretend() -> ModuleType:
    """``pretend.py``, loaded once by its path: tests are no package."""
    name = "hgs_tests_pretend"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name("pretend.py"))
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules[name]


@pytest.fixture
def gpu() -> Iterator[ModuleType]:
    """A machine with a pretended CUDA device while the test runs; the module that keeps its counts."""
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU: tests/gpu tests the real one")
    module = _pretend()
    with module.pretend_cuda():
        yield module
