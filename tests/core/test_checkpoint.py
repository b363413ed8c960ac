"""Model files: the same generator comes back, and anything else is refused in one clear sentence."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from hgs_toolkit import model_files
from hgs_toolkit.checkpoint import load_model, save_model
from hgs_toolkit.config import Config
from hgs_toolkit.errors import CheckpointError, HgsError
from hgs_toolkit.files import sha256
from hgs_toolkit.model.generator import Generator
from hgs_toolkit.model_files import METADATA_KEY, find_model, model_config, read_header
from hgs_toolkit.settings_io import config_to_dict


@pytest.fixture
def model_file(tmp_path: Path, tiny_model: Generator, tiny_config: Config) -> Path:
    save_model(tmp_path / "model.safetensors", tiny_model, tiny_config, {"kimg": "4.0"})
    return tmp_path / "model.safetensors"


def test_the_same_generator_comes_back(model_file: Path, tiny_model: Generator, tiny_config: Config) -> None:
    loaded = load_model(model_file, "cpu")
    for name, value in tiny_model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value), name
    assert loaded.config == tiny_config.generator
    assert loaded.fingerprint == sha256(model_file)
    assert not loaded.training
    assert not any(parameter.requires_grad for parameter in loaded.parameters())


def test_it_makes_the_same_scenes(model_file: Path, tiny_model: Generator) -> None:
    z = torch.randn(2, 8, generator=torch.Generator().manual_seed(0))
    loaded = load_model(model_file, "cpu")
    assert torch.equal(loaded(z).means, tiny_model(z).means)


def test_the_whole_configuration_and_the_facts_come_back(model_file: Path, tiny_config: Config) -> None:
    assert model_config(model_file) == tiny_config
    assert read_header(model_file).facts == {"kimg": "4.0"}


def test_a_run_folder_means_its_model(model_file: Path) -> None:
    assert load_model(model_file.parent, "cpu").fingerprint == sha256(model_file)


def test_loading_leaves_the_random_state_alone(model_file: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    load_model(model_file, "cpu")
    assert torch.equal(torch.rand(3), expected)


def test_half_precision_halves_the_file_and_loads_as_float32(
    tmp_path: Path, model_file: Path, tiny_model: Generator, tiny_config: Config
) -> None:
    save_model(tmp_path / "half.safetensors", tiny_model, tiny_config, dtype=torch.float16)
    loaded = load_model(tmp_path / "half.safetensors", "cpu")
    for name, value in tiny_model.state_dict().items():
        assert loaded.state_dict()[name].dtype == value.dtype
        torch.testing.assert_close(loaded.state_dict()[name], value, atol=1e-6, rtol=1e-3)
    weights, half = sum(v.numel() for v in tiny_model.state_dict().values()), tmp_path / "half.safetensors"
    header = 8 + int.from_bytes(half.read_bytes()[:8], "little")  # settings and names
    assert half.stat().st_size - header < 2.1 * weights
    assert model_file.stat().st_size > 4 * weights


def test_a_weight_too_large_for_half_precision_is_refused(
    tmp_path: Path, tiny_model: Generator, tiny_config: Config
) -> None:
    next(tiny_model.parameters()).data[...] = 1e6
    with pytest.raises(CheckpointError, match="exceeds what float16 can hold"):
        save_model(tmp_path / "half.safetensors", tiny_model, tiny_config, dtype=torch.float16)
    with pytest.raises(CheckpointError, match=r"cannot be stored as torch\.bfloat16"):
        save_model(tmp_path / "half.safetensors", tiny_model, tiny_config, dtype=torch.bfloat16)
    assert not (tmp_path / "half.safetensors").exists()


def test_equal_models_give_equal_bytes(model_file: Path, tiny_model: Generator, tiny_config: Config) -> None:
    save_model(model_file.parent / "b.safetensors", tiny_model, tiny_config, {"kimg": "4.0"})
    assert (model_file.parent / "b.safetensors").read_bytes() == model_file.read_bytes()


def test_an_existing_model_is_only_replaced_by_force(
    model_file: Path, tiny_model: Generator, tiny_config: Config
) -> None:
    with pytest.raises(HgsError, match="add --force"):
        save_model(model_file, tiny_model, tiny_config, force=False)


def rewritten(path: Path, header: dict[str, Any] | None = None, **tensors: torch.Tensor | None) -> Path:
    """The model file with entries of the header or tensors replaced; None removes a tensor."""
    entries = {"format_version": 1, "config": config_to_dict(model_config(path)), "facts": {}} | (header or {})
    kept = {name: value for name, value in (load_file(path) | tensors).items() if value is not None}
    save_file(kept, path, metadata={METADATA_KEY: json.dumps(entries)})
    return path


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mapping.w_avg": None}, r"1 missing \(mapping.w_avg\)"),
        ({"surplus": torch.zeros(1)}, r"1 unexpected \(surplus\)"),
        ({"mapping.w_avg": torch.zeros(3)}, r"1 of another shape or type \(mapping.w_avg\)"),
        ({"mapping.w_avg": torch.zeros(16, dtype=torch.int64)}, "1 of another shape or type"),
    ],
)
def test_tensors_that_do_not_fit_the_configuration_are_named(
    changes: dict[str, Any], message: str, model_file: Path
) -> None:
    with pytest.raises(CheckpointError, match=message):
        load_model(rewritten(model_file, **changes), "cpu")


def test_another_configuration_is_refused_before_its_network_is_built(model_file: Path, tiny_config: Config) -> None:
    values = config_to_dict(tiny_config)
    values["generator"] |= {"channels": [16, 16, 10**7]}  # 10^14 weights: building it would end the process
    with pytest.raises(CheckpointError, match=r"does not hold the tensors of its configuration: .* of another shape"):
        load_model(rewritten(model_file, {"config": values}), "cpu")
    values["generator"] |= {"channels": [16, 16, 10**12]}
    with pytest.raises(CheckpointError, match="a configuration that no network can have"):
        load_model(rewritten(model_file, {"config": values}), "cpu")


def test_loading_a_model_does_not_import_torchs_compiler() -> None:
    """That is two seconds' work, which every command with a model would wait for."""
    code = (
        "import sys; from hgs_toolkit.checkpoint import load_model; load_model(None, 'cpu'); "
        "print({'sympy', 'torch._dynamo'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "set()\n"


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ({"format_version": 2}, "format version 2, expected 1; upgrade"),
        ({"config": {"generator": {"colour": 1}}}, "unknown key 'generator.colour'"),
        ({"config": 3}, "no usable configuration"),
        ({"facts": None}, "its metadata are damaged"),
    ],
)
def test_headers_that_cannot_be_used_are_explained(header: dict[str, Any], message: str, model_file: Path) -> None:
    with pytest.raises(CheckpointError, match=message):
        load_model(rewritten(model_file, header), "cpu")


@pytest.mark.parametrize("keep", [0, 5, 500, 6000])
def test_a_truncated_model_is_named_as_such(keep: int, model_file: Path) -> None:
    model_file.write_bytes(model_file.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match="truncated or no safetensors file"):
        load_model(model_file, "cpu")


def test_what_is_no_model_is_told_apart(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="does not exist"):
        load_model(tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"holds no model\.safetensors; expected a run folder"):
        load_model(tmp_path)
    save_file({"x": torch.zeros(1)}, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match="not a model of this toolkit"):
        load_model(tmp_path)


def test_without_a_packaged_model_the_error_says_how_to_get_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_files, "PRETRAINED", tmp_path / "none.safetensors")
    with pytest.raises(CheckpointError, match=r"none ships with this installation; .* train one"):
        find_model(None)


def test_the_packaged_model_is_the_one_its_manifest_names() -> None:
    manifest = json.loads(model_files.PRETRAINED.with_suffix(".json").read_text())
    model, config = load_model(device="cpu"), model_config()
    assert model.fingerprint == manifest["sha256"]
    assert (config.name, model.config.resolution) == (manifest["config"], manifest["resolution"])
    assert manifest["licence"] == "CC0-1.0"
    assert model_files.PRETRAINED.stat().st_size == manifest["bytes"] <= 8_000_000
