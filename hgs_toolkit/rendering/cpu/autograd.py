"""The kernels as one differentiable function of torch tensors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable

from hgs_toolkit.errors import HgsError, ShapeError
from hgs_toolkit.rendering.cpu import workers
from hgs_toolkit.rendering.cpu.backward import MOMENTS, composite_vjp
from hgs_toolkit.rendering.cpu.binning import collect_pairs, find_spans
from hgs_toolkit.rendering.cpu.forward import TILE_PIXELS, composite
from hgs_toolkit.rendering.cpu.projection import (
    BLOCK,
    CHUNK,
    NUMBER,
    PLACE,
    RECORD,
    SLOT,
    TILE_HEIGHT,
    TILE_WIDTH,
    camera_table,
    project,
)
from hgs_toolkit.rendering.cpu.projection_vjp import BLOCK as CAMERA_BLOCK
from hgs_toolkit.rendering.cpu.projection_vjp import CAMERA, project_vjp
from hgs_toolkit.rendering.cpu.shading import COLORS, shade_visible
from hgs_toolkit.rendering.settings import RasterSettings

Array = NDArray[Any]

MAX_PAIRS = 2**31 - 1


PLAIN = -1
"""Degree that stands for colours which are not harmonics."""


def render(
    means: Tensor,
    quats: Tensor,
    scales: Tensor,
    opacities: Tensor,
    colors: Tensor,
    features: Tensor | None,
    viewmats: Tensor,
    Ks: Tensor,
    backgrounds: Tensor | None,
    sh_degree: int | None,
    settings: RasterSettings,
) -> tuple[Tensor, Tensor]:
    """What :func:`hgs_toolkit.rendering.reference.render` computes, in float32 on the CPU and much faster.

    Gradients reach everything but ``Ks``; a second derivative is not available.

    Args:
        colors: with ``sh_degree`` coefficients (B, N, K, 3) or (B, C, N, K, 3), evaluated where they are projected.
        features: (B, N, F) or (B, C, N, F), channels after the colours; their background is zero.
    """
    if means.device.type != "cpu" or means.dtype != torch.float32:
        raise ShapeError(f"backend 'cpu' was given {means.dtype} on {means.device}; expected torch.float32 on cpu")
    degree = PLAIN if sh_degree is None else sh_degree
    positions = viewmats.new_zeros(*viewmats.shape[:2], 3)
    if degree > 0:  # found by torch, so that their gradient reaches the matrices by torch, too
        positions = torch.linalg.inv(viewmats)[..., :3, 3]
    if degree >= 0:
        colors = colors.flatten(-2)
    if features is None:
        features = means.new_zeros(*means.shape[:2], 0)
    images, alphas = _Rasterize.apply(
        means, quats, scales, opacities, _camera_axis(colors), _camera_axis(features), viewmats, positions, Ks,
        backgrounds, degree, settings,
    )  # fmt: skip
    return images, alphas


@dataclass(frozen=True)
class _Splats:
    """Projected Gaussians and their pairs; see the kernels for the shapes."""

    records: Array
    others: Array
    places: Array
    tile_starts: Array
    pairs: Array
    tiles: tuple[int, int]


class _Rasterize(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> tuple[Tensor, Tensor]:
        *tensors, degree, settings = inputs
        *gaussians, viewmats, positions, Ks, backgrounds = (_contiguous(t) for t in tensors)
        batch, cameras = viewmats.shape[:2]
        table = camera_table(viewmats.numpy(), Ks.numpy(), settings.width, settings.height)
        values = [t.numpy() for t in gaussians]
        colors = COLORS if degree >= 0 else gaussians[4].shape[-1]
        channels = colors + gaussians[5].shape[-1] + settings.with_depth
        splats = _project(values, channels, table, positions.flatten(0, 1).numpy(), degree, settings)
        background = _padded_background(backgrounds, BLOCK + splats.others.shape[-1], batch * cameras)

        image = torch.empty(batch * cameras, settings.height, settings.width, channels)
        alpha = torch.empty(batch * cameras, settings.height, settings.width)
        left = np.empty((len(splats.tile_starts) - 1, TILE_PIXELS), np.float32)
        ended_by = np.empty_like(left)
        workers.run(
            composite, splats.records, splats.others, background, splats.tile_starts,
            splats.pairs, *splats.tiles, image.numpy(), alpha.numpy(), left, ended_by,
        )  # fmt: skip
        ctx.save_for_backward(*gaussians, positions)
        ctx.state = (splats, table, background, left, ended_by, colors, degree, settings)
        ctx.set_materialize_grads(True)
        return image.unflatten(0, (batch, cameras)), alpha[..., None].unflatten(0, (batch, cameras))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, v_image: Tensor, v_alpha: Tensor) -> tuple[Tensor | None, ...]:
        splats, table, background, left, ended_by, colors, degree, settings = ctx.state
        *gaussians, positions = (t.numpy() for t in ctx.saved_tensors)
        batch, cameras = positions.shape[:2]
        to_cameras, to_background = ctx.needs_input_grad[6], ctx.needs_input_grad[9]
        v_backgrounds = np.empty((len(left), colors if to_background else 0), np.float32)
        slots = np.empty((len(splats.pairs), MOMENTS + BLOCK + splats.others.shape[-1]), np.float32)
        workers.run(
            composite_vjp, splats.records, splats.others, background, splats.tile_starts,
            splats.pairs, *splats.tiles, left, ended_by,
            v_image.flatten(0, 1).contiguous().numpy(), v_alpha.flatten(0, 1)[..., 0].contiguous().numpy(),
            slots.reshape(-1), v_backgrounds,
        )  # fmt: skip

        grads = [np.empty_like(g) for g in gaussians]
        blocks = -(-gaussians[0].shape[1] // CAMERA_BLOCK) if to_cameras else 0
        v_cameras = np.zeros((batch * cameras, blocks, CAMERA))
        workers.run(
            project_vjp, *gaussians[:5], table, positions.reshape(-1, 3), degree,
            settings.eps2d, settings.antialiased, settings.with_depth, splats.places, slots, *grads, v_cameras,
        )  # fmt: skip
        return (
            *(torch.from_numpy(g) for g in grads),
            *(_sum_cameras(v_cameras, batch, cameras) if to_cameras else (None, None)), None,
            _sum_tiles(v_backgrounds, batch, cameras) if to_background else None, None, None,
        )  # fmt: skip


def _project(
    gaussians: list[Array], channels: int, table: Array, positions: Array, degree: int, settings: RasterSettings
) -> _Splats:
    """Projection and binning: everything before the pixels."""
    images, count = len(table), gaussians[0].shape[1]
    records = np.empty((images, count, RECORD), np.float32)
    others = np.empty((images, count, max(channels - BLOCK, 0)), np.float32)
    depths = np.empty((images, count), np.float32)
    places = np.empty((images * count + 1, PLACE), np.int32)
    chunk_columns = np.empty(images * -(-count // CHUNK), np.int64)
    *shapes, colors, features = gaussians
    plain, shaded = (colors, 0) if degree < 0 else (colors[..., :0].copy(), COLORS)
    workers.run(
        project, *shapes, plain, shaded, features, table,
        settings.width, settings.height, settings.near_plane, settings.far_plane, settings.radius_clip,
        settings.eps2d, settings.antialiased, settings.with_depth,
        records, others, depths, places, chunk_columns,
    )  # fmt: skip
    if chunk_columns.min(initial=0) < 0:
        unusable = int((places[:-1, NUMBER] < 0).reshape(len(gaussians[0]), -1, count).any(axis=1).sum())
        raise ShapeError(f"{unusable} Gaussians hold NaN or infinite values; expected finite numbers only")

    if degree >= 0:
        workers.run(shade_visible, shapes[0], colors, positions, degree, places, records)

    chunk_spans, chunk_pairs = _starts(chunk_columns), np.empty_like(chunk_columns)
    _check_number(max(int(chunk_spans[-1]), images * count))
    spans = np.empty((chunk_spans[-1], 2), np.int32)
    workers.run(find_spans, records, places, images, settings.width, settings.height, chunk_spans, spans, chunk_pairs)
    chunk_slots = _starts(chunk_pairs)
    total = int(chunk_slots[-1])
    _check_number(total)

    tiles = (-(-settings.width // TILE_WIDTH), -(-settings.height // TILE_HEIGHT))
    tile_starts = np.empty(images * tiles[0] * tiles[1] + 1, np.int64)
    tile_starts[-1] = places[-1, SLOT] = total
    pairs = np.empty((total, 4), np.int32)
    workers.run(
        collect_pairs, places, depths.view(np.uint32), spans, chunk_slots, *tiles, tile_starts, pairs,
    )  # fmt: skip
    return _Splats(
        records.reshape(-1, RECORD), others.reshape(images * count, others.shape[-1]),
        places, tile_starts, pairs, tiles,
    )  # fmt: skip


def _check_number(pairs: int) -> None:
    """Raise HgsError if there are more ``pairs`` of Gaussians and tiles, or tile columns, than are counted."""
    if pairs > MAX_PAIRS:
        raise HgsError(f"{pairs} pairs of Gaussians and tiles; draw smaller images, fewer scenes or smaller Gaussians")


def _starts(counts: Array) -> Array:
    """Where each group begins if groups of ``counts`` follow each other, and the end of the last."""
    starts = np.zeros(counts.size + 1, np.int64)
    np.cumsum(counts, out=starts[1:])
    return starts


def _contiguous(tensor: Tensor | None) -> Any:
    return None if tensor is None else tensor.detach().contiguous()


def _camera_axis(values: Tensor) -> Tensor:
    """Values (B, 1 or C, N, D)."""
    return values if values.ndim == 4 else values[:, None]


def _padded_background(backgrounds: Tensor | None, channels: int, images: int) -> Array:
    """Backgrounds (I, F), black where there is none."""
    padded = np.zeros((images, channels), np.float32)
    if backgrounds is not None:
        padded[:, : backgrounds.shape[-1]] = backgrounds.flatten(0, 1).numpy()
    return padded


def _sum_cameras(partial: Array, batch: int, cameras: int) -> tuple[Tensor, Tensor]:
    """Gradients of the camera matrices (B, C, 4, 4), whose last row has none, and of the cameras' places (B, C, 3)."""
    v = torch.from_numpy(partial.sum(axis=1).reshape(batch, cameras, 4, 4).astype(np.float32))
    v_positions = v[..., 3, :3].clone()
    v[..., 3, :] = 0
    return v, v_positions


def _sum_tiles(partial: Array, batch: int, cameras: int) -> Tensor:
    """Gradient (B, C, D) of the backgrounds."""
    return torch.from_numpy(partial.reshape(batch, cameras, -1, partial.shape[-1]).sum(axis=2, dtype=np.float32))
