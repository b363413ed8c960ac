"""Who draws, and how gsplat is called; nothing here needs a GPU."""

from __future__ import annotations

import importlib.util
import inspect
import sys
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from hgs_toolkit.errors import HgsError
from hgs_toolkit.rendering import choose_backend, gsplat_backend, rasterize
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
