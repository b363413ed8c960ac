"""Data-parallel training over several processes (torchrun, ``hgs train --processes``); a single one needs none of it.

A small module in place of DistributedDataParallel: D and G are called in several ways within a step (mapping and
synthesis apart, penalties, frozen D), and DDP synchronises only what goes through ``forward``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch import distributed as dist

from hgs_toolkit.config import Config
from hgs_toolkit.errors import ConfigError, PeerLostError


@dataclass(frozen=True)
class World:
    """This process among its peers."""

    rank: int = 0
    size: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def is_main(self) -> bool:
        """Whether this process writes files and reports."""
        return self.rank == 0

    def rows(self, tensor: Tensor) -> Tensor:
        """This rank's rows of a tensor over the global batch: every ``size``-th one, from ``rank``.

        Strided rows keep the groups of the minibatch standard deviation the same for any number of processes.
        """
        return tensor[self.rank :: self.size]

    def broadcast(self, module: torch.nn.Module) -> None:
        """Give every rank the main process's parameters and buffers."""
        if self.size > 1:
            for tensor in module.state_dict().values():
                dist.broadcast(tensor, src=0)

    def average_gradients(self, parameters: list[torch.nn.Parameter]) -> None:
        """Average gradients over the ranks in one flat message.

        A parameter without a gradient on any rank keeps none, so that an optimiser leaves it and its moments alone; one
        without on some ranks counts as zero there.
        """
        if self.size == 1:
            return
        used = torch.tensor([parameter.grad is not None for parameter in parameters], device=self.device).float()
        gradients = [(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in parameters]
        message = torch.cat([*gradients, used])
        dist.all_reduce(message)
        message /= self.size
        *parts, used = message.split([*(p.numel() for p in parameters), len(parameters)])
        for parameter, part, share in zip(parameters, parts, used.tolist(), strict=True):
            parameter.grad = part.view_as(parameter).clone() if share else None

    def gather(self, rows: Tensor) -> Tensor:
        """Rows (b, ...) of all ranks in the order of the global batch (B, ...); only this rank's carry gradients.

        A loss over the gathered rows, multiplied by ``size``, has the single-process gradient after averaging.
        """
        if self.size == 1:
            return rows
        parts = [torch.empty_like(rows) for _ in range(self.size)]
        dist.all_gather(parts, rows.detach().contiguous())
        parts[self.rank] = rows
        return torch.stack(parts, dim=1).flatten(0, 1)  # (b, size, ...) -> (B, ...)

    def mean(self, value: Tensor) -> Tensor:
        """The mean of a tensor over the ranks, without gradients."""
        value = value.detach().clone()
        if self.size > 1:
            dist.all_reduce(value)
            value /= self.size
        return value

    def any(self, flag: bool) -> bool:
        """Whether the flag is set on any rank: all ranks then agree on stopping."""
        if self.size == 1:
            return flag
        count = torch.tensor([float(flag)], device=self.device)
        dist.all_reduce(count)
        return bool(count.item() > 0)

    def barrier(self) -> None:
        """Wait until every rank is here."""
        if self.size > 1:
            dist.barrier()


@contextmanager
def world_from_environment(device: torch.device) -> Iterator[World]:
    """The world that torchrun's variables describe (nccl on CUDA, gloo otherwise), left again at the end.

    Raises:
        ConfigError: if there are more processes on this machine than GPUs for them.
        PeerLostError: if another process ends while this one needs it.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield World(device=device)
        return
    rank = int(os.environ["RANK"])
    if device.type == "cuda":
        device = torch.device("cuda", _own_gpu())
        torch.cuda.set_device(device)
    backend = "nccl" if device.type == "cuda" else "gloo"
    dist.init_process_group(backend, os.environ.get("HGS_RENDEZVOUS", "env://"), rank=rank, world_size=size)
    try:
        yield World(rank, size, device)
    except RuntimeError as error:
        if isinstance(error, dist.DistError) or "gloo" in str(error):
            raise PeerLostError(
                f"another of the {size} processes has ended; --resume goes on from what was saved last"
            ) from error
        raise
    finally:
        dist.destroy_process_group()


def _own_gpu() -> int:
    """Number of the GPU that belongs to this process.

    Raises:
        ConfigError: if there is none for each process of this machine.
    """
    count, rank = torch.cuda.device_count(), int(os.environ.get("LOCAL_RANK", "0"))
    processes = max(int(os.environ.get("LOCAL_WORLD_SIZE", "1")), rank + 1)
    if processes > count:
        raise ConfigError(
            f"{processes} processes were asked for and this machine has {count} GPUs; expected one for each"
        )
    return rank


def check_shares(config: Config, world: World) -> None:
    """Raise a ConfigError unless every rank has as many images, groups of views and scenes of a batch as the others."""
    size, training = world.size, config.training
    if training.batch % size:
        raise ConfigError(f"training.batch = {training.batch} over {size} processes; expected a multiple of {size}")
    groups = training.batch // config.grouped_views
    for count, what in ((groups, "groups of views"), (config.scenes, "generated scenes")):
        if count % size:
            raise ConfigError(
                f"training.batch = {training.batch} makes {count} {what} for {size} processes; expected a multiple of "
                f"{size}"
            )
