"""What a network computes from its weights alone: with every use while it may be trained, once in a copy that draws."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn

Network = TypeVar("Network", bound=nn.Module)
Value = TypeVar("Value")


MARK = "_for_inference"
"""Attribute of a copy that :func:`for_inference` made."""


class Constants(nn.Module):
    """A module with parts that depend on its weights alone, such as scaled weights.

    An ordinary module computes them anew with every use, so that gradients reach the weights and a change of the
    weights is seen. A module of :func:`for_inference` computes them once.
    """

    _constants: dict[str, Any] | None = None

    def constant(self, name: str, compute: Callable[[], Value]) -> Value:
        """The result of ``compute``, which depends on the module's weights alone; ``name`` is unique in its class."""
        if self._constants is None:
            return compute()
        if name not in self._constants:
            # Tensors of inference mode could never take part in a backward pass with respect to the style.
            with torch.inference_mode(False), torch.no_grad(), torch.autocast("cpu", enabled=False):
                self._constants[name] = compute()
        return cast(Value, self._constants[name])

    def by_scene(self, function: Callable[..., Tensor], *tensors: Tensor) -> Tensor:
        """``function`` of ``tensors`` (B, ...), which treats the B scenes independently; to draw, one at a time.

        The last bits of a matrix product depend on the number of its rows. A scene that is drawn must not depend on
        what is drawn with it.
        """
        if self._constants is None or len(tensors[0]) < 2:
            return function(*tensors)
        scenes = zip(*(tensor.split(1) for tensor in tensors), strict=True)
        return torch.cat([function(*scene) for scene in scenes])


def for_inference(network: Network) -> Network:
    """A copy of ``network`` for many passes without a change of its weights, which it shares with the original.

    Its results equal those of the original for one scene at a time, bit by bit, however many scenes a pass has: all but
    the products is done for the scenes together. A change of the original's weights after the copy's first pass is not
    seen, and gradients reach the input but not the weights. Move the original to its device before. Of a copy, it is
    the copy itself, with what it has computed.
    """
    if network.__dict__.get(MARK):
        return network
    copy = network.__new__(type(network))
    copy.__dict__ = network.__dict__ | {MARK: True}
    for name in ("_parameters", "_buffers"):
        copy.__dict__[name] = network.__dict__[name].copy()
    copy.__dict__["_modules"] = {name: child and for_inference(child) for name, child in network._modules.items()}
    if isinstance(copy, Constants):
        copy._constants = {}
    return copy
