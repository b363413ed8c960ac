"""The Inception network: its shape, and that files are weights or refused."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from hgs_toolkit.errors import FormatError
from hgs_toolkit.metrics.inception import Inception, make_inception

PARAMETERS = 21_785_568
"""Of Inception v3 without its classifiers: 23,834,568 with 1,000 classes, less 2,049,000 of the last layer."""


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Untrained weights in the form of the known file, which has no counters and a classifier."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        state = {name: value for name, value in Inception().state_dict().items() if "num_batches" not in name}
    path = tmp_path_factory.mktemp("inception") / "weights.pth"
    torch.save(state | {"fc.weight": torch.zeros(1008, 2048), "fc.bias": torch.zeros(1008)}, path)
    return path


def test_the_network_is_inception_v3() -> None:
    assert sum(parameter.numel() for parameter in Inception().parameters()) == PARAMETERS


def test_weights_of_another_digest_are_never_called_inception(weights: Path) -> None:
    extractor = make_inception(weights)
    assert extractor.name == f"inception_{extractor.sha256[:8]}"
    assert extractor.resize == "bilinear-299"
    features = extractor.features(np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8))
    assert features.shape == (2, 2048)
    assert np.isfinite(features).all()
    assert (features.std(axis=0) > 0).mean() > 0.3


class Trap:
    """Would write a file if it were unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path, bytes]]:
        return Path.write_bytes, (self.path, b"executed")


def test_nothing_in_a_file_is_executed(tmp_path: Path) -> None:
    torch.save({"conv": Trap(tmp_path / "harm")}, tmp_path / "saved.pth")
    (tmp_path / "plain.pth").write_bytes(pickle.dumps(Trap(tmp_path / "harm")))
    for name in ("saved.pth", "plain.pth"):
        with pytest.raises(FormatError, match=rf"{name} does not hold the Inception weights"):
            make_inception(tmp_path / name)
    assert not (tmp_path / "harm").exists()


def test_other_files_are_refused_in_one_sentence(tmp_path: Path) -> None:
    torch.save({"a.weight": torch.zeros(2)}, tmp_path / "other.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    (tmp_path / "noise.pth").write_bytes(b"\x00" * 100)
    for name in ("other.pth", "list.pth", "noise.pth", "missing.pth"):
        with pytest.raises(FormatError, match=r"pt_inception-2015-12-05-6726825d\.pth") as caught:
            make_inception(tmp_path / name)
        assert "\n" not in str(caught.value)
