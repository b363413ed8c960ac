"""Actors of a Ray cluster: this machine's cores, or many machines that share the dataset's folder."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Sequence
from typing import Any

from hgs_toolkit.errors import HgsError, MissingExtraError
from hgs_toolkit.synthesis.engines.schedule import Done, Event, Failed, Lost
from hgs_toolkit.synthesis.layout import Layout
from hgs_toolkit.synthesis.maker import Job, ShardMaker, make_ready

logger = logging.getLogger(__name__)


class RayPool:
    """A pool of Ray actors. Ray does not restart a lost actor: the schedule starts another and logs it.

    Args:
        job: its folder, model and background images must be under the same path on every machine.
        address: of a running cluster, ``auto`` for the one this machine belongs to, None to start one here.

    Raises:
        MissingExtraError: without the package ray.
        HgsError: if there is no such cluster.
    """

    def __init__(self, job: Job, address: str | None = None) -> None:
        self._ray = ray = import_ray()
        self._job = job
        try:
            ray.init(
                address=address or "local", logging_level=logging.ERROR, log_to_driver=False, include_dashboard=False,
                configure_logging=False,
            )  # fmt: skip
        except (ConnectionError, ValueError, RuntimeError, TimeoutError) as error:
            raise HgsError(f"cannot reach a Ray cluster at '{address}': {error}; start one with: ray start --head"
                           ) from error  # fmt: skip
        self._actor: Any = ray.remote(num_cpus=1, num_gpus=int(job.device == "cuda"), max_restarts=0)(RayWorker)
        self._numbers = itertools.count()
        self._actors: dict[int, Any] = {}
        self._running: dict[Any, int] = {}

    def capacity(self, wanted: int | None) -> int:
        """How many actors can work at a time, at most ``wanted``: more would wait forever with their shards."""
        kind = "GPU" if self._job.device == "cuda" else "CPU"
        slots = max(1, int(self._ray.cluster_resources().get(kind, 1)))
        if wanted is not None and wanted > slots:
            logger.info("the cluster has %d %ss, so %d workers are started instead of %d", slots, kind, slots, wanted)
        return min(wanted or slots, slots)

    def start(self) -> int:
        """See :class:`WorkerPool`."""
        number = next(self._numbers)
        self._actors[number] = self._actor.remote(self._job)
        return number

    def submit(self, worker: int, shard: int) -> None:
        """See :class:`WorkerPool`."""
        self._running[self._actors[worker].make.remote(shard)] = worker

    def wait(self) -> Sequence[Event]:
        """See :class:`WorkerPool`."""
        finished, _ = self._ray.wait(list(self._running), num_returns=1)
        return [self._outcome(task, self._running.pop(task)) for task in finished]

    def stop(self) -> None:
        """See :class:`WorkerPool`; a cluster that was started here ends too."""
        self._ray.shutdown()

    def pids(self) -> list[int]:
        """The actors' process ids."""
        return [int(self._ray.get(actor.pid.remote())) for actor in self._actors.values()]

    def _outcome(self, task: Any, worker: int) -> Event:
        try:
            record, timing = self._ray.get(task)
        except self._ray.exceptions.RayActorError as error:
            del self._actors[worker]
            return Lost(worker, f"was lost by Ray: {str(error).splitlines()[0]}")
        except self._ray.exceptions.RayTaskError as error:
            return Failed(worker, error.cause if isinstance(error.cause, Exception) else RuntimeError(str(error)))
        if Layout(self._job.folder, self._job.plan).record(record.shard) is None:
            return Failed(worker, HgsError(f"a worker made shard {record.shard}, but {self._job.folder} here does not "
                                           "hold it; the cluster's machines must share that folder"))  # fmt: skip
        return Done(worker, record, timing)


class RayWorker:
    """The actor. It loads the model with the first shard, so that an error in loading is an error of that task."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._maker: ShardMaker | None = None

    def pid(self) -> int:
        """This process."""
        import os

        return os.getpid()

    def make(self, shard: int) -> Any:
        """Record and timing of a shard."""
        self._maker = self._maker or make_ready(self._job)
        return self._maker.make(shard)


def import_ray() -> Any:
    """The package ray; a MissingExtraError names the pip command where it is not installed."""
    try:
        import ray
    except ImportError:
        raise MissingExtraError("ray", "ray", "the engine 'ray'") from None
    return ray
