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
    RECORD,
    TILE_HEIGHT,
    TILE_WIDTH,
    camera_table,
    project,
)
from hgs_toolkit.rendering.cpu.projection_vjp import BLOCK as CAMERA_BLOCK
from hgs_toolkit.rendering.cpu.projection_vjp import project_vjp
from hgs_toolkit.rendering.settings import RasterSettings

Array = NDArray[Any]

MAX_PAIRS = 2**31 - 1


def render(
    means: Tensor,
    quats: Tensor,
    scales: Tensor,
    opacities: Tensor,
    colors: Tensor,
    viewmats: Tensor,
    Ks: Tensor,
    backgrounds: Tensor | None,
    settings: RasterSettings,
) -> tuple[Tensor, Tensor]:
    """What :func:`hgs_toolkit.rendering.reference.render` computes, in float32 on the CPU and much faster.

    Gradients reach everything but ``Ks``; a second derivative is not available.
    """
    if means.device.type != "cpu" or means.dtype != torch.float32:
        raise ShapeError(f"backend 'cpu' was given {means.dtype} on {means.device}; expected torch.float32 on cpu")
    images, alphas = _Rasterize.apply(means, quats, scales, opacities, colors, viewmats, Ks, backgrounds, settings)
    return images, alphas


@dataclass(frozen=True)
class _Splats:
    """Projected Gaussians and their pairs; see the kernels for the shapes."""

    records: Array
    others: Array
    slot_starts: Array
    tile_starts: Array
    pairs: Array
    tiles: tuple[int, int]


class _Rasterize(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> tuple[Tensor, Tensor]:
        *tensors, settings = inputs
        means, quats, scales, opacities, colors, viewmats, Ks, backgrounds = (_contiguous(t) for t in tensors)
        batch, cameras = viewmats.shape[:2]
        table = camera_table(viewmats.numpy(), Ks.numpy(), settings.width, settings.height)
        gaussians = [t.numpy() for t in (means, quats, scales, opacities, _camera_axis(colors))]
        splats = _project(gaussians, table, settings)
        channels = colors.shape[-1] + settings.with_depth
        background = _padded_background(backgrounds, BLOCK + splats.others.shape[-1], batch * cameras)

        image = torch.empty(batch * cameras, settings.height, settings.width, channels)
        alpha = torch.empty(batch * cameras, settings.height, settings.width)
        left = np.empty((len(splats.tile_starts) - 1, TILE_PIXELS), np.float32)
        ended_by = np.empty_like(left)
        workers.run(
            composite, splats.records, splats.others, background, splats.tile_starts,
            splats.pairs, *splats.tiles, image.numpy(), alpha.numpy(), left, ended_by,
        )  # fmt: skip
        ctx.save_for_backward(means, quats, scales, opacities, colors, viewmats)
        ctx.state = (splats, table, background, left, ended_by, settings)
        ctx.set_materialize_grads(True)
        return image.unflatten(0, (batch, cameras)), alpha[..., None].unflatten(0, (batch, cameras))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, v_image: Tensor, v_alpha: Tensor) -> tuple[Tensor | None, ...]:
        means, quats, scales, opacities, colors, viewmats = ctx.saved_tensors
        splats, table, background, left, ended_by, settings = ctx.state
        batch, cameras = viewmats.shape[:2]
        v_backgrounds = np.empty((len(left), colors.shape[-1] if ctx.needs_input_grad[7] else 0), np.float32)
        slots = np.empty((len(splats.pairs), MOMENTS + BLOCK + splats.others.shape[-1]), np.float32)
        workers.run(
            composite_vjp, splats.records, splats.others, background, splats.tile_starts,
            splats.pairs, *splats.tiles, left, ended_by,
            v_image.flatten(0, 1).contiguous().numpy(), v_alpha.flatten(0, 1)[..., 0].contiguous().numpy(),
            slots.reshape(-1), v_backgrounds,
        )  # fmt: skip

        gaussians = [t.numpy() for t in (means, quats, scales, opacities)]
        grads = [np.empty_like(g) for g in gaussians]
        v_colors = np.zeros(_camera_axis(colors).shape, np.float32)
        blocks = -(-means.shape[1] // CAMERA_BLOCK) if ctx.needs_input_grad[5] else 0
        v_viewmats = np.zeros((batch * cameras, blocks, 3, 4))
        workers.run(
            project_vjp, *gaussians, table, settings.eps2d, settings.antialiased, settings.with_depth,
            splats.slot_starts, slots, *grads, v_colors, v_viewmats,
        )  # fmt: skip
        return (
            *(torch.from_numpy(g) for g in grads), torch.from_numpy(v_colors).view(colors.shape),
            _sum_viewmats(v_viewmats, viewmats) if ctx.needs_input_grad[5] else None, None,
            _sum_tiles(v_backgrounds, batch, cameras) if ctx.needs_input_grad[7] else None, None,
        )  # fmt: skip


def _project(gaussians: list[Array], table: Array, settings: RasterSettings) -> _Splats:
    """Projection and binning: everything before the pixels."""
    images, count = len(table), gaussians[0].shape[1]
    channels = gaussians[-1].shape[-1] + settings.with_depth
    records = np.empty((images, count, RECORD), np.float32)
    others = np.empty((images, count, max(channels - BLOCK, 0)), np.float32)
    depths = np.empty((images, count), np.float32)
    columns = np.empty((images, count, 2), np.int32)
    chunk_columns = np.empty(images * -(-count // CHUNK), np.int64)
    workers.run(
        project, *gaussians, table, settings.width, settings.height, settings.near_plane, settings.far_plane,
        settings.radius_clip, settings.eps2d, settings.antialiased, settings.with_depth,
        records, others, depths, columns, chunk_columns,
    )  # fmt: skip
    if chunk_columns.min(initial=0) < 0:
        unusable = int((columns[..., 1] < 0).reshape(len(gaussians[0]), -1, count).any(axis=1).sum())
        raise ShapeError(f"{unusable} Gaussians hold NaN or infinite values; expected finite numbers only")

    chunk_spans, chunk_pairs = _starts(chunk_columns), np.empty_like(chunk_columns)
    _check_number(max(int(chunk_spans[-1]), images * count))
    span_starts = np.empty((images, count), np.int32)
    spans = np.empty((chunk_spans[-1], 2), np.int32)
    workers.run(
        find_spans, records, columns, settings.width, settings.height, chunk_spans, span_starts, spans, chunk_pairs
    )
    chunk_slots = _starts(chunk_pairs)
    total = int(chunk_slots[-1])
    _check_number(total)

    tiles = (-(-settings.width // TILE_WIDTH), -(-settings.height // TILE_HEIGHT))
    tile_starts = np.empty(images * tiles[0] * tiles[1] + 1, np.int64)
    slot_starts = np.empty(images * count + 1, np.int32)
    tile_starts[-1] = slot_starts[-1] = total
    pairs = np.empty((total, 4), np.int32)
    workers.run(
        collect_pairs, columns, depths.view(np.uint32), span_starts, spans, chunk_slots, *tiles,
        tile_starts, slot_starts, pairs,
    )  # fmt: skip
    return _Splats(
        records.reshape(-1, RECORD), others.reshape(images * count, others.shape[-1]),
        slot_starts, tile_starts, pairs, tiles,
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


def _camera_axis(colors: Tensor) -> Tensor:
    """Colours (B, 1 or C, N, D)."""
    return colors if colors.ndim == 4 else colors[:, None]


def _padded_background(backgrounds: Tensor | None, channels: int, images: int) -> Array:
    """Backgrounds (I, F), black where there is none."""
    padded = np.zeros((images, channels), np.float32)
    if backgrounds is not None:
        padded[:, : backgrounds.shape[-1]] = backgrounds.flatten(0, 1).numpy()
    return padded


def _sum_viewmats(partial: Array, viewmats: Tensor) -> Tensor:
    """Gradient (B, C, 4, 4) of the camera matrices; their last row has none."""
    v = torch.zeros_like(viewmats)
    v[..., :3, :] = torch.from_numpy(partial.sum(axis=1)).to(viewmats).reshape(*viewmats.shape[:2], 3, 4)
    return v


def _sum_tiles(partial: Array, batch: int, cameras: int) -> Tensor:
    """Gradient (B, C, D) of the backgrounds."""
    return torch.from_numpy(partial.reshape(batch, cameras, -1, partial.shape[-1]).sum(axis=2, dtype=np.float32))
