"""The one function that rasterises Gaussians, and the choice of its backend."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

import torch
from torch import Tensor

from hgs_toolkit.errors import HgsError, ShapeError
from hgs_toolkit.rendering import gsplat_backend, gsplat_build, reference
from hgs_toolkit.rendering.harmonics import sh_to_rgb
from hgs_toolkit.rendering.inputs import check_inputs
from hgs_toolkit.rendering.settings import DEFAULT_EPS2D, RasterSettings

BACKENDS = ("auto", "gsplat", "cpu", "torch")

_chosen = ContextVar("backend that auto means", default="auto")

MIN_ALPHA_FOR_DEPTH = 1e-10
"""Lower bound of the alpha that expected depth is divided by: empty pixels get depth 0."""


class BackendChoice(NamedTuple):
    """A backend's name and why it was chosen, as one clause."""

    name: str
    reason: str


def rasterize(
    means: Tensor,
    quats: Tensor,
    scales: Tensor,
    opacities: Tensor,
    colors: Tensor,
    viewmats: Tensor,
    Ks: Tensor,
    width: int,
    height: int,
    *,
    near_plane: float = 0.01,
    far_plane: float = 1e10,
    radius_clip: float = 0.0,
    eps2d: float = DEFAULT_EPS2D,
    sh_degree: int | None = None,
    features: Tensor | None = None,
    backgrounds: Tensor | None = None,
    render_mode: str = "RGB",
    rasterize_mode: str = "classic",
    backend: str = "auto",
) -> tuple[Tensor, Tensor]:
    """Draw B scenes of N Gaussians with C cameras each; names and conventions of ``gsplat.rasterization``.

    Args:
        means: (B, N, 3) centres, world units.
        quats: (B, N, 4) wxyz rotations, local to world, of any length.
        scales: (B, N, 3) standard deviations, world units (activated, not logarithms).
        opacities: (B, N) in 0..1 (activated, not logits).
        colors: (B, N, D) or (B, C, N, D) values of any D channels; with ``sh_degree`` spherical-harmonic coefficients
            (B, N, K, 3) or (B, C, N, K, 3), evaluated per camera as max(0, 0.5 + SH).
        viewmats: (B, C, 4, 4) world-to-camera, OpenCV axes (x right, y down, z forward).
        Ks: (B, C, 3, 3) intrinsics in pixels; they receive no gradient from the "cpu" and "gsplat" backends.
        width, height: image size in pixels.
        near_plane, far_plane: Gaussians whose centre is nearer or farther (z, world units) are not drawn.
        radius_clip: Gaussians with at most this radius, in pixels, are not drawn.
        eps2d: added to the variances of the projected Gaussians, pixels squared.
        sh_degree: 0 to 3 to evaluate spherical harmonics, None for plain colours.
        features: (B, N, F) or (B, C, N, F) further values, composited over zero in the same pass; channels of the image
            after the colours, and like these left out of the modes "D" and "ED".
        backgrounds: (B, C, D) colours behind everything; None is black (zero). Depth has no background.
        render_mode: "RGB" colours, "D" accumulated depth, "ED" expected depth (divided by alpha), "RGB+D", "RGB+ED".
        rasterize_mode: "classic", or "antialiased" for Mip-Splatting's opacity compensation.
        backend: "auto" (see :func:`choose_backend`), "gsplat" (CUDA), "cpu" (float32) or "torch" (dense reference).

    Returns:
        Images (B, C, H, W, channels), colours first, then features, depth last, and alphas (B, C, H, W, 1).

    Raises:
        ShapeError: if shapes, types or devices do not fit, an option is unknown or a value is not finite.
        HgsError: if the backend asked for does not work here, or if "auto" finds that gsplat fails on a CUDA device.
    """
    settings = RasterSettings(
        int(width), int(height), float(near_plane), float(far_plane), float(radius_clip), float(eps2d),
        render_mode, rasterize_mode,
    )  # fmt: skip
    gaussians = {"means": means, "quats": quats, "scales": scales, "opacities": opacities}
    check_inputs(gaussians, colors, features, viewmats, Ks, backgrounds, sh_degree)
    name = _checked_choice(means.device, means.dtype) if backend == "auto" else backend
    with torch.autocast(means.device.type, enabled=False):
        return _draw(
            name, (means, quats, scales, opacities), colors, features if settings.with_color else None,
            viewmats, Ks, backgrounds, sh_degree, settings,
        )  # fmt: skip


def choose_backend(device: torch.device | str | None = None, dtype: torch.dtype = torch.float32) -> BackendChoice:
    """What "auto" picks for tensors on ``device`` (None: the best device of this machine), and why.

    On a CUDA device where gsplat fails it names the dense reference, hundreds of times slower, and the reason;
    :func:`rasterize` then refuses, unless :func:`using_backend` asks for it.
    """
    if (chosen := _chosen.get()) != "auto":
        return BackendChoice(chosen, "it was asked for")
    if device is None:
        device = "cpu" if gsplat_backend.unavailable_reason() else "cuda"
    if torch.device(device).type == "cuda":
        reason = gsplat_backend.unavailable_reason()
        if reason is None and dtype == torch.float32:
            return BackendChoice("gsplat", "a CUDA device draws with gsplat")
        return BackendChoice("torch", reason or f"gsplat draws float32 only, not {dtype}")
    if dtype != torch.float32:
        return BackendChoice("torch", f"the CPU kernels draw float32 only, not {dtype}")
    if importlib.util.find_spec("numba") is None:
        return BackendChoice("torch", "numba is not installed; run: pip install numba")
    return BackendChoice("cpu", "the tensors are on the CPU" if torch.cuda.is_available() else "no CUDA device")


@contextmanager
def using_backend(name: str) -> Iterator[None]:
    """Within the block, ``backend="auto"`` means the backend ``name``.

    Raises:
        ShapeError: if there is no backend of that name.
    """
    if name not in BACKENDS:
        raise ShapeError(f"backend is '{name}'; expected one of {', '.join(BACKENDS)}")
    token = _chosen.set(name)
    try:
        yield
    finally:
        _chosen.reset(token)


def _checked_choice(device: torch.device, dtype: torch.dtype) -> str:
    """The name that :func:`choose_backend` gives.

    Raises:
        HgsError: if a CUDA device would draw float32 with the dense reference because gsplat fails.
    """
    choice = choose_backend(device, dtype)
    asked = _chosen.get() != "auto"
    if choice.name == "torch" and device.type == "cuda" and dtype == torch.float32 and not asked:
        raise HgsError(
            f"{choice.reason}; see 'hgs doctor', or compute on the CPU (--device cpu), or ask for the slow reference "
            "(backend 'torch')"
        )
    return choice.name


def _draw(
    name: str, gaussians: tuple[Tensor, Tensor, Tensor, Tensor], colors: Tensor, features: Tensor | None,
    viewmats: Tensor, Ks: Tensor, backgrounds: Tensor | None, sh_degree: int | None, settings: RasterSettings,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Images and alphas by the backend ``name``; only the CPU's takes features and harmonics as they are."""
    means = gaussians[0]
    if name not in BACKENDS:
        raise ShapeError(f"backend is '{name}'; expected one of {', '.join(BACKENDS)}")
    if name == "gsplat" and means.shape[1] > 0:
        if features is not None:
            colors, backgrounds = _append_features(
                _evaluated(colors, means, viewmats, sh_degree), features, backgrounds
            )
            sh_degree = None
        return gsplat_backend.rasterize(*gaussians, colors, viewmats, Ks, backgrounds, sh_degree, settings)
    if not settings.with_color:
        colors, backgrounds, sh_degree = means.new_zeros(*means.shape[:2], 0), None, None
    if name == "cpu":
        from hgs_toolkit.rendering import cpu  # only now, since it loads Numba

        drawn = cpu.render(*gaussians, colors, features, viewmats, Ks, backgrounds, sh_degree, settings)
    else:
        colors = _evaluated(colors, means, viewmats, sh_degree)
        if features is not None:
            colors, backgrounds = _append_features(colors, features, backgrounds)
        drawn = reference.render(*gaussians, colors, viewmats, Ks, backgrounds, settings)
    return _divide_depth(*drawn) if settings.expected_depth else drawn


def _evaluated(colors: Tensor, means: Tensor, viewmats: Tensor, sh_degree: int | None) -> Tensor:
    """Plain colours: those given, or what coefficients are to the cameras."""
    return colors if sh_degree is None else sh_to_rgb(colors, means, viewmats, sh_degree)


def _append_features(colors: Tensor, features: Tensor, backgrounds: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """Values (B, 1 or C, N, D + F) and their backgrounds (B, C, D + F), which are zero for features."""
    values = [value if value.ndim == 4 else value[:, None] for value in (colors, features)]
    views = max(value.shape[1] for value in values)
    together = torch.cat([value.expand(-1, views, -1, -1) for value in values], dim=-1)
    if backgrounds is not None:
        backgrounds = torch.nn.functional.pad(backgrounds, (0, features.shape[-1]))
    return together if views > 1 else together[:, 0], backgrounds


def _divide_depth(images: Tensor, alphas: Tensor) -> tuple[Tensor, Tensor]:
    """The last channel as an expected depth."""
    divisor = alphas.clamp_min(MIN_ALPHA_FOR_DEPTH)
    if images.requires_grad:
        images = torch.cat([images[..., :-1], images[..., -1:] / divisor], dim=-1)
    else:
        images[..., -1:] /= divisor
    return images, alphas


def needs_compiling(device: torch.device | str = "cpu") -> bool:
    """Whether the next drawing on ``device`` compiles kernels first: minutes, once per installation."""
    if torch.device(device).type == "cuda":
        return _chosen.get() == "auto" and not gsplat_build.kernels_are_compiled()
    if choose_backend("cpu").name != "cpu":
        return False
    from hgs_toolkit.rendering import cpu

    return cpu.needs_compiling()


def warm_up(device: torch.device | str = "cpu") -> None:
    """Compile the kernels for ``device``, forward and backward, or load compiled ones, by drawing one Gaussian.

    Of several processes one compiles; the others wait for it.

    Raises:
        HgsError: if gsplat does not work on the CUDA device.
    """
    if torch.device(device).type == "cuda":
        _checked_choice(torch.device(device), torch.float32)
        return
    if choose_backend("cpu").name != "cpu":
        return
    from hgs_toolkit.rendering import cpu

    with cpu.compiling():
        _draw_one()


def _draw_one() -> None:
    means = torch.tensor([[[0.0, 0.0, 2.0]]], requires_grad=True)
    ones, eye = torch.ones(1, 1, 4), torch.eye(4).view(1, 1, 4, 4)
    Ks = torch.tensor([[[[8.0, 0.0, 4.0], [0.0, 8.0, 4.0], [0.0, 0.0, 1.0]]]])
    image, _ = rasterize(
        means, ones, ones[..., :3], ones[..., 0] / 2, torch.ones(1, 1, 4, 3), eye, Ks, 8, 8,
        sh_degree=1, backend="cpu",
    )  # fmt: skip
    image.sum().backward()
