"""The golden numbers, what our networks make of the same weights and inputs (once a session), and a small snapshot."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from hgs_toolkit.config import GeneratorConfig
from hgs_toolkit.gaussians import GaussianHierarchy
from hgs_toolkit.gsgan.snapshot import ImportedCheckpoint, import_gsgan
from hgs_toolkit.gsgan.weights import generator_state
from hgs_toolkit.model.generator import Generator
from tests.parity.reference_weights import GOLDENS, reference_state
from tests.parity.snapshots import small_snapshot, write

Goldens = Mapping[str, NDArray[Any]]


@pytest.fixture(scope="session")
def goldens() -> Goldens:
    with np.load(GOLDENS / "gsgan_parity.npz", allow_pickle=False) as file:
        return dict(file)


@pytest.fixture(scope="session")
def reference_generator() -> Generator:
    """Our generator with the golden numbers' weights, through the map of names."""
    config = GeneratorConfig()
    with torch.random.fork_rng(devices=[]):
        generator = Generator(config)
    generator.load_state_dict(generator_state(reference_state(), config))
    return generator.eval().requires_grad_(False)


@pytest.fixture(scope="session")
def reference_w(reference_generator: Generator, goldens: Goldens) -> Tensor:
    return reference_generator.map(torch.from_numpy(goldens["z"]), torch.from_numpy(goldens["label"]))


@pytest.fixture(scope="session")
def reference_scene(reference_generator: Generator, reference_w: Tensor, goldens: Goldens) -> GaussianHierarchy:
    return reference_generator.synthesize(reference_w, torch.from_numpy(goldens["camera_dir"]))


@pytest.fixture(scope="module")
def snapshot_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("snapshot") / "network-snapshot.pkl", small_snapshot)


@pytest.fixture(scope="module")
def imported(snapshot_file: Path) -> ImportedCheckpoint:
    return import_gsgan(snapshot_file)
