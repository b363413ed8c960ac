"""Who draws, and how gsplat is called; nothing here needs a GPU."""

from __future__ import annotations

import importlib.util
import inspect
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from hgs_toolkit.errors import HgsError, ShapeError
from hgs_toolkit.rendering import choose_backend, dispatch, gsplat_backend, gsplat_build, rasterize, using_backend
from hgs_toolkit.rendering.settings import RasterSettings

gsplat = pytest.importorskip("gsplat")

no_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="describes a machine without a CUDA device")


@no_gpu
def test_without_a_gpu_the_kernels_are_chosen_and_the_reason_says_so() -> None:
    assert choose_backend() == ("cpu", "no CUDA device")
    assert choose_backend("cpu").name == "cpu"


@no_gpu
def test_double_precision_goes_to_the_reference() -> None:
    choice = choose_backend("cpu", torch.float64)
    assert choice.name == "torch"
    assert "float64" in choice.reason


def test_without_numba_the_reference_is_chosen_and_the_reason_names_the_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    choice = choose_backend("cpu")
    assert choice.name == "torch"
    assert "pip install numba" in choice.reason


@no_gpu
def test_asking_for_gsplat_with_tensors_on_the_cpu_is_refused(studio: Any) -> None:
    with pytest.raises(HgsError, match="move them to a CUDA device"):
        rasterize(**studio.scene(), width=8, height=8, backend="gsplat")


def test_a_gpu_that_fails_to_draw_is_not_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: Any) -> None:
        raise ImportError("no kernel image")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(gsplat_backend, "_draw_one_gaussian", broken)
    gsplat_backend.unavailable_reason.cache_clear()
    try:
        reason = gsplat_backend.unavailable_reason()
    finally:
        gsplat_backend.unavailable_reason.cache_clear()
    assert reason is not None
    assert "no kernel image" in reason


def test_float32_on_a_gpu_where_gsplat_fails_is_refused_unless_the_reference_is_asked_for(
    studio: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gsplat_backend, "unavailable_reason", lambda: "gsplat failed on the CUDA device (no kernel)")
    monkeypatch.setattr(dispatch, "choose_backend", lambda *_: choose_backend("cuda"))
    device = torch.device("cuda")
    with pytest.raises(HgsError, match=r"no kernel.*hgs doctor.*--device cpu.*backend 'torch'"):
        dispatch._checked_choice(device, torch.float32)
    with using_backend("torch"):
        assert dispatch._checked_choice(device, torch.float32) == "torch"
        images, _ = rasterize(**studio.scene(), width=8, height=8)
    torch.testing.assert_close(images, rasterize(**studio.scene(), width=8, height=8, backend="torch")[0])
    with pytest.raises(ShapeError, match="expected one of auto"), using_backend("opengl"):
        pass


@pytest.mark.parametrize("sh_degree", [None, 2])
@pytest.mark.parametrize("count", [1, 31, 32, 90])
def test_padding_to_whole_warps_changes_neither_images_nor_gradients(
    studio: Any, count: int, sh_degree: int | None
) -> None:
    inputs = {name: value.double() for name, value in studio.scene(batch=2, gaussians=count).items()}
    if sh_degree is not None:
        inputs["colors"] = torch.rand(2, count, 9, 3, generator=torch.Generator().manual_seed(1)).double()
    names = ("means", "quats", "scales", "opacities", "colors")
    leaves = {name: inputs[name].requires_grad_() for name in names}
    padded = dict(zip(names, gsplat_backend.pad_to_warps(**leaves, sh_degree=sh_degree), strict=True))
    assert {value.shape[1] for value in padded.values()} == {-(-count // 32) * 32}

    def draw(gaussians: dict[str, torch.Tensor]) -> tuple[torch.Tensor, ...]:
        images, alphas = rasterize(**(inputs | gaussians), width=24, height=24, sh_degree=sh_degree, backend="torch")
        gradients = torch.autograd.grad((images.square().sum() + alphas.sum()), list(leaves.values()))
        return (images, alphas, *gradients)

    for ours, expected in zip(draw(padded), draw(leaves), strict=True):
        torch.testing.assert_close(ours, expected)


@pytest.mark.parametrize(("version", "refused"), [("1.5.3", False), ("1.5.2", True), ("1.6.0", True), (None, True)])
def test_only_the_version_of_gsplat_whose_kernels_were_compiled_is_taken(version: str | None, refused: bool) -> None:
    fault = gsplat_build.version_fault(version)
    assert (fault is not None) == refused
    if fault is not None:
        assert "pip install 'gsplat>=1.5.3,<1.6'" in fault


def test_cuda_is_found_where_nvcc_itself_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, programs = tmp_path / "cuda", tmp_path / "bin"
    (home / "include").mkdir(parents=True)
    programs.mkdir()
    wrapper = programs / "nvcc"
    wrapper.write_text(f"#!/bin/sh\necho '#$ TOP={home}' >&2\n")
    wrapper.chmod(0o755)
    for name in ("CUDA_HOME", "CUDA_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    assert gsplat_build.find_cuda_home() is None, "a folder without headers is no home"
    (home / "include" / "cuda_runtime.h").touch()
    assert gsplat_build.find_cuda_home() == home
    with gsplat_build.build_environment():
        assert os.environ["CUDA_HOME"] == str(home)
        assert int(os.environ["MAX_JOBS"]) >= 1
    assert "CUDA_HOME" not in os.environ


@pytest.mark.parametrize("sh_degree", [None, 2])
@pytest.mark.parametrize("render_mode", ["RGB", "ED", "RGB+ED"])
def test_the_call_fits_gsplats_signature_and_passes_every_argument_on(
    studio: Any, monkeypatch: pytest.MonkeyPatch, render_mode: str, sh_degree: int | None
) -> None:
    signature = inspect.signature(gsplat.rasterization)
    seen: dict[str, Any] = {}

    def stand_in(*args: Any, **kwargs: Any) -> tuple[Any, Any, dict[str, Any]]:
        seen.update(signature.bind(*args, **kwargs).arguments)
        return torch.zeros(2, 3, 8, 8, 3), torch.zeros(2, 3, 8, 8, 1), {}

    monkeypatch.setattr(gsplat, "rasterization", stand_in)
    inputs = studio.scene(batch=2, cameras=3)
    if sh_degree is not None:
        inputs["colors"] = torch.zeros(2, 120, 9, 3)
    settings = RasterSettings(8, 9, 0.1, 50.0, 1.5, 0.2, render_mode, "antialiased")
    gsplat_backend.call_gsplat(**inputs, sh_degree=sh_degree, settings=settings)

    for name, value in inputs.items():
        assert seen[name] is value, name
    expected = SimpleNamespace(
        width=8, height=9, near_plane=0.1, far_plane=50.0, radius_clip=1.5, eps2d=0.2, render_mode=render_mode,
        rasterize_mode="antialiased", sh_degree=sh_degree,
    )  # fmt: skip
    assert vars(expected).items() <= seen.items()


@pytest.mark.parametrize("sh_degree", [None, 1])
def test_gsplats_own_shape_checks_accept_our_batched_arguments(
    studio: Any, monkeypatch: pytest.MonkeyPatch, sh_degree: int | None
) -> None:
    """gsplat asserts all shapes before it projects, which is where a GPU is first needed."""

    class Reached(Exception):  # noqa: N818
        pass

    def project(*args: Any, **kwargs: Any) -> None:
        raise Reached

    monkeypatch.setattr(sys.modules["gsplat.rendering"], "fully_fused_projection", project)
    inputs = studio.scene(batch=2, cameras=3)
    if sh_degree is not None:
        inputs["colors"] = torch.zeros(2, 120, 4, 3)
    with pytest.raises(Reached):
        gsplat_backend.call_gsplat(**inputs, sh_degree=sh_degree, settings=RasterSettings(8, 8))
