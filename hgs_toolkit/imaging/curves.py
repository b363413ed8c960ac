"""Closed curves through points of any dimension, sampled at an even pace: the paths of looping animations."""

from __future__ import annotations

import numpy as np
import torch
from scipy.interpolate import CubicSpline
from torch import Tensor

PIECES = 256
"""Number of straight pieces between two points by which the curve's length is measured."""


def closed_curve(points: Tensor, count: int) -> Tensor:
    """``count`` points (count, D), evenly spaced along a smooth closed curve through ``points`` (S, D), S at least 1.

    The curve is the periodic cubic spline (two continuous derivatives, also where it closes) over the distances
    between the points. The first result is the first point; one step after the last comes the first again.
    """
    start = points.detach().cpu().double().numpy()
    stops = np.concatenate([start, start[:1]])
    distances = np.linalg.norm(np.diff(stops, axis=0), axis=1)
    if not distances.sum() > 0:
        return points[:1].expand(count, -1)
    # Points that coincide still take a little time: a spline's knots must differ.
    knots = np.concatenate([[0.0], np.cumsum(np.maximum(distances, 1e-6 * distances.sum()))])
    spline = CubicSpline(knots, stops, bc_type="periodic")
    times = np.interp(np.arange(len(start) * PIECES + 1) / PIECES, np.arange(len(knots)), knots)
    lengths = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(spline(times), axis=0), axis=1))])
    even = np.interp(np.arange(count) / count * lengths[-1], lengths, times)
    return torch.from_numpy(spline(even)).to(points)


def repaced(curve: Tensor, effort: Tensor, count: int) -> Tensor:
    """``count`` points (count, D) along a closed polygon (M, D), with the same effort between each two.

    Args:
        curve: the corners; the last is joined to the first, which is the first result too.
        effort: (M,) not negative, of the sides: from a corner to the next.
    """
    ends = np.concatenate([[0.0], np.cumsum(effort.detach().cpu().double().numpy())])
    places = np.interp(np.arange(count) / count * ends[-1], ends, np.arange(len(ends)))  # in corners
    corner = torch.from_numpy(places).long().clamp(max=len(curve) - 1).to(curve.device)
    share = torch.from_numpy(places).to(curve) - corner
    return torch.lerp(curve[corner], curve[(corner + 1) % len(curve)], share[:, None])
