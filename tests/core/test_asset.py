"""The native .hgs file: an exact round trip, equal bytes for equal scenes, one clear sentence for anything else."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from hgs_toolkit.asset import Asset, AssetMetadata, load_asset, save_asset
from hgs_toolkit.asset_metadata import METADATA_KEY
from hgs_toolkit.errors import FormatError, HgsError, ShapeError
from hgs_toolkit.gaussians import GaussianHierarchy

SceneFactory = Callable[..., GaussianHierarchy]

METADATA = AssetMetadata(seed=3, psi=0.7, generator="critters64", model="ab" * 32, focal=1.5, extra={"note": "größer"})


def assert_equal(loaded: GaussianHierarchy, scene: GaussianHierarchy) -> None:
    for name, value in (scene.parameters() | {"level": scene.level, "parent": scene.parent}).items():
        assert torch.equal(getattr(loaded, name), value), name
        assert getattr(loaded, name).dtype == value.dtype


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_everything_comes_back_bit_by_bit(
    degree: int, dtype: torch.dtype, tmp_path: Path, scene_factory: SceneFactory
) -> None:
    anchors = scene_factory((4, 16), seed=1).to(dtype=dtype)
    scene = scene_factory(degree=degree, background=3).to(dtype=dtype).replace(anchors=anchors)
    latent = torch.randn(16, 8, generator=torch.Generator().manual_seed(0))
    save_asset(tmp_path / "a.hgs", Asset(scene, METADATA, latent))
    loaded = load_asset(tmp_path / "a.hgs")
    assert_equal(loaded.scene, scene)
    assert loaded.scene.anchors is not None
    assert_equal(loaded.scene.anchors, anchors)
    assert loaded.metadata == METADATA
    assert loaded.latent is not None
    assert torch.equal(loaded.latent, latent)


def test_equal_assets_give_equal_bytes(tmp_path: Path, scene_factory: SceneFactory) -> None:
    for name in ("a.hgs", "b.hgs"):
        save_asset(tmp_path / name, Asset(scene_factory(), METADATA, torch.ones(3)))
    assert (tmp_path / "a.hgs").read_bytes() == (tmp_path / "b.hgs").read_bytes()


def test_half_precision_is_widened_on_reading(tmp_path: Path, scene: GaussianHierarchy) -> None:
    save_asset(tmp_path / "a.hgs", Asset(scene.to(dtype=torch.float16)))
    assert load_asset(tmp_path / "a.hgs").scene.means.dtype == torch.float32


def test_a_loaded_scene_does_not_hang_on_its_file(tmp_path: Path, scene: GaussianHierarchy) -> None:
    save_asset(tmp_path / "a.hgs", Asset(scene))
    loaded = load_asset(tmp_path / "a.hgs").scene
    (tmp_path / "a.hgs").write_bytes(b"")
    assert_equal(loaded, scene)


def test_a_batch_is_refused(tmp_path: Path, scene_factory: SceneFactory) -> None:
    with pytest.raises(ShapeError, match="a batch of 2 scenes"):
        save_asset(tmp_path / "a.hgs", Asset(scene_factory(batch=2)))


def test_an_existing_asset_is_only_replaced_by_force(tmp_path: Path, scene: GaussianHierarchy) -> None:
    save_asset(tmp_path / "a.hgs", Asset(scene))
    with pytest.raises(HgsError, match="add --force"):
        save_asset(tmp_path / "a.hgs", Asset(scene), force=False)


def rewritten(path: Path, scene: GaussianHierarchy, **changes: Any) -> Path:
    """A copy of ``scene``'s asset with tensors or the metadata text replaced; None removes a tensor."""
    save_asset(path, Asset(scene))
    with safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
        text = file.metadata()[METADATA_KEY]
    values = json.loads(text) | changes.pop("metadata", {})
    tensors = {name: value for name, value in (tensors | changes).items() if value is not None}
    save_file(tensors, path, metadata={METADATA_KEY: json.dumps(values)})
    return path


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"means": None}, "the tensor 'means' is missing"),
        ({"level": None}, "the tensor 'level' is missing"),
        ({"quats": torch.zeros(89, 3)}, "quats is float32 of shape"),
        ({"opacity_logits": torch.full((89,), torch.nan)}, "89 in opacity_logits"),
        ({"parent": torch.full((89,), 1000, dtype=torch.int32)}, "a parent index lies outside"),
        ({"level": torch.full((89,), 2**30, dtype=torch.int32)}, "expected -1 .* to 63"),
        ({"means": torch.zeros(())}, "means is float32 of shape"),
        ({"metadata": {"format_version": 2}}, "format version 2, this program reads up to 1; upgrade"),
        ({"metadata": {"format_version": "x"}}, "format version x"),
        ({"metadata": {"frame": "z_up"}}, "in the frame 'z_up'; expected 'y_up'"),
        ({"metadata": {"focal": "wide"}}, "its metadata say focal = 'wide'; expected int"),
        ({"metadata": {"focal": -1.0}}, r"focal = -1\.0; expected more than 0"),
        ({"metadata": {"radius": 10**400}}, "radius = 1000.*; expected more than 0 and below 1e"),
        ({"metadata": {"extra": {"a": float("nan")}}}, "no readable asset metadata"),
        ({"sh": torch.zeros(89, 1, 3).to(torch.float8_e5m2)}, "sh is float8_e5m2; expected one of float16"),
        ({"metadata": {"seed": True}}, "seed = True"),
    ],
)
def test_contradictions_get_one_clear_sentence(
    changes: dict[str, Any], message: str, tmp_path: Path, scene: GaussianHierarchy
) -> None:
    path = rewritten(tmp_path / "a.hgs", scene, **changes)
    with pytest.raises(FormatError, match=message):
        load_asset(path)


@pytest.mark.parametrize("text", ["[1]", "[" * 100_000, '{"format_version": 1, "psi": 1e999}'])
def test_metadata_that_are_no_object_of_finite_numbers_are_refused(
    text: str, tmp_path: Path, scene: GaussianHierarchy
) -> None:
    save_file({"means": torch.zeros(1, 3)}, tmp_path / "a.hgs", metadata={METADATA_KEY: text})
    with pytest.raises(FormatError, match="no readable asset metadata"):
        load_asset(tmp_path / "a.hgs")


def test_unknown_metadata_of_a_later_program_are_kept_as_extra(tmp_path: Path, scene: GaussianHierarchy) -> None:
    path = rewritten(tmp_path / "a.hgs", scene, metadata={"license": "CC0"})
    assert load_asset(path).metadata.extra == {"license": "CC0"}


@pytest.mark.parametrize(
    ("metadata", "message"),
    [(AssetMetadata(psi=float("nan")), "psi = nan"), (AssetMetadata(extra={"a": [float("inf")]}), "NaN or infinity")],
)
def test_metadata_that_json_cannot_hold_are_refused_by_name(
    metadata: AssetMetadata, message: str, tmp_path: Path, scene: GaussianHierarchy
) -> None:
    with pytest.raises(FormatError, match=f"its metadata say {message}; expected finite numbers"):
        save_asset(tmp_path / "a.hgs", Asset(scene, metadata))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("keep", [0, 4, 20, 200, 3000])
def test_a_truncated_file_is_named_as_such(keep: int, tmp_path: Path, scene: GaussianHierarchy) -> None:
    save_asset(tmp_path / "a.hgs", Asset(scene))
    (tmp_path / "a.hgs").write_bytes((tmp_path / "a.hgs").read_bytes()[:keep])
    with pytest.raises(FormatError, match="truncated or no safetensors file"):
        load_asset(tmp_path / "a.hgs")


def test_other_files_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "a.hgs").write_bytes(b"ply\nformat binary_little_endian 1.0\n" * 20)
    with pytest.raises(FormatError, match="no safetensors file"):
        load_asset(tmp_path / "a.hgs")
    save_file({"x": torch.zeros(1)}, tmp_path / "model.safetensors", metadata={"hgs_model": "{}"})
    with pytest.raises(FormatError, match="it looks like a model: sample it"):
        load_asset(tmp_path / "model.safetensors")
    with pytest.raises(FormatError, match="does not exist"):
        load_asset(tmp_path / "missing.hgs")
