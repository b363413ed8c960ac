"""Weights in eight bits: near what they were, stable when stored again, and refused where they cannot be held."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor

from hgs_toolkit.checkpoint import read_weights, save_weights
from hgs_toolkit.config import Config
from hgs_toolkit.errors import CheckpointError
from hgs_toolkit.files import read_safetensors
from hgs_toolkit.model.quantized_weights import LEAST_WEIGHTS, NEIGHBOURS, dequantize_weights, quantize_weights
from hgs_toolkit.model_files import SCALE_SUFFIX, count_weights

SHAPE = (257, 129)
"""Of a large tensor whose last block is not full."""


@pytest.fixture
def weights() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        "large": torch.randn(SHAPE, generator=generator),
        "small": torch.randn(64, 64, generator=generator),
        "steps": torch.arange(5),
    }


@pytest.fixture
def file(tmp_path: Path, weights: dict[str, Tensor], tiny_config: Config) -> Path:
    save_weights(tmp_path / "eight.safetensors", weights, tiny_config, dtype=torch.int8)
    return tmp_path / "eight.safetensors"


def test_a_weight_is_within_half_a_step_of_what_it_was(file: Path, weights: dict[str, Tensor]) -> None:
    found = read_weights(file)
    assert found.keys() == weights.keys()
    large = weights["large"].flatten()
    most = torch.stack([block.abs().amax() for block in large.split(NEIGHBOURS)]).repeat_interleave(NEIGHBOURS)
    steps = most[: large.numel()].view(SHAPE) / 127
    assert bool(((found["large"] - weights["large"]).abs() <= 0.5001 * steps + 127 * steps * 2**-11).all())
    torch.testing.assert_close(found["small"], weights["small"].half().float(), rtol=0, atol=0)
    assert torch.equal(found["steps"], weights["steps"])
    assert {value.dtype for name, value in found.items() if name != "steps"} == {torch.float32}


def test_the_file_takes_little_more_than_a_byte_a_weight(file: Path, weights: dict[str, Tensor]) -> None:
    stored = read_safetensors(file)[0]
    assert stored["large"].dtype == torch.int8
    size = sum(value.numel() * value.element_size() for name, value in stored.items() if name.startswith("large"))
    assert size < 1.07 * weights["large"].numel()
    assert count_weights(file) == sum(value.numel() for value in weights.values()), "scales are no weights"


@given(st.integers(0, 1000), st.sampled_from([1e-12, 1e-6, 1.0, 1e5]))
def test_storing_again_changes_nothing(seed: int, size: float) -> None:
    values = size * torch.randn(LEAST_WEIGHTS, generator=torch.Generator().manual_seed(seed))
    values[:100] = 0
    once = dequantize_weights(quantize_weights({"w": values}))
    twice = dequantize_weights(quantize_weights(once))
    assert torch.equal(once["w"], twice["w"])
    assert bool((once["w"][:96] == 0).all())


@pytest.mark.parametrize("value", [float("inf"), float("nan"), 1e8])
def test_what_eight_bits_cannot_hold_is_refused(
    value: float, weights: dict[str, Tensor], tmp_path: Path, tiny_config: Config
) -> None:
    weights["large"][3, 4] = value
    with pytest.raises(CheckpointError, match="a weight of large exceeds what eight bits can hold"):
        save_weights(tmp_path / "eight.safetensors", weights, tiny_config, dtype=torch.int8)
    assert not (tmp_path / "eight.safetensors").exists()


@pytest.mark.parametrize("scales", [None, torch.ones(3), torch.ones(1037, dtype=torch.int64)])
def test_steps_without_their_scales_are_refused(scales: Tensor | None, file: Path) -> None:
    stored = load_file(file)
    assert len(stored.pop("large" + SCALE_SUFFIX)) == 1037
    save_file(stored if scales is None else stored | {"large" + SCALE_SUFFIX: scales}, file)
    with pytest.raises(CheckpointError, match=r"eight\.safetensors: large is stored in eight bits .* expected \(1037"):
        read_weights(file)


def test_a_tensor_whose_name_ends_like_scales_is_kept(tmp_path: Path, tiny_config: Config) -> None:
    weights = {"a": torch.ones(3), "a.scale": torch.ones(2), "b.scale": torch.ones(1)}
    save_weights(tmp_path / "eight.safetensors", weights, tiny_config, dtype=torch.int8)
    assert read_weights(tmp_path / "eight.safetensors").keys() == weights.keys()
