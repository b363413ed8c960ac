"""A clamp that a value can leave again."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class _FloorWithWayBack(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, floor: float) -> Tensor:
        ctx.save_for_backward(values < floor)
        return values.clamp_min(floor)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (below,) = ctx.saved_tensors
        return torch.where(below, gradient.clamp_max(0), gradient), None


def floor_with_way_back(values: Tensor, floor: float) -> Tensor:
    """``values`` clamped below at ``floor``; below it, only gradients that raise the value (in descent) pass.

    An ordinary clamp passes none there: what has once fallen below would stay there whatever the loss says.
    """
    result: Tensor = _FloorWithWayBack.apply(values, floor)  # type: ignore[no-untyped-call]
    return result
