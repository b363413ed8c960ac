"""From settings to a dataset: plan, claim the folder, make what is missing, merge."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from hgs_toolkit.errors import ConfigError
from hgs_toolkit.files import sha256
from hgs_toolkit.model_files import find_model, read_header
from hgs_toolkit.synthesis.engines.local import InlinePool, LocalPool, default_workers
from hgs_toolkit.synthesis.engines.schedule import Event, WorkerPool, run_shards
from hgs_toolkit.synthesis.layout import Layout, claim
from hgs_toolkit.synthesis.maker import Job
from hgs_toolkit.synthesis.merging import merge, remove_shards_if_replaced
from hgs_toolkit.synthesis.parts import Part
from hgs_toolkit.synthesis.planning import make_plan
from hgs_toolkit.synthesis.settings import settings_for
from hgs_toolkit.synthesis.timing import Timing

Engine = Literal["local", "ray"]


@dataclass(frozen=True)
class Workforce:
    """Who makes a dataset; nothing here changes a byte of it.

    Attributes:
        engine: ``local`` or ``ray``.
        workers: processes or actors; 0 works in this process; None takes every core there is.
        address: of a Ray cluster; None starts one on this machine.
        part: what this run makes; another run makes the rest.
        device: ``cpu`` or ``cuda``.
    """

    engine: Engine = "local"
    workers: int | None = None
    address: str | None = None
    part: Part = field(default_factory=Part)
    device: str = "cpu"

    def __post_init__(self) -> None:
        if self.engine not in get_args(Engine):
            raise ConfigError(f"engine '{self.engine}' is unknown; expected one of: {', '.join(get_args(Engine))}")


@dataclass(frozen=True)
class Outcome:
    """What a run has done.

    Attributes:
        dataset: the finished dataset; None while shards of other parts are missing.
        made, found: numbers of images of this run's part that were made now, and that were there before.
        timing: summed over all its workers.
    """

    dataset: Path | None
    made: int
    found: int
    timing: Timing


def synthesize_dataset(
    folder: str | Path, model: str | Path | None = None, values: dict[str, Any] | None = None, *,
    workforce: Workforce | None = None, resume: bool = False, force: bool = False,
    begin: Callable[[int, int], None] | None = None, listen: Callable[[Event], None] | None = None,
) -> Outcome:  # fmt: skip
    """Make a labelled dataset of a model's scenes.

    Equal ``values`` and models give equal bytes, whatever the workforce, the parts and the interruptions.

    Args:
        folder: for the dataset.
        model: a model file or run folder; None is the model that ships with the package.
        values: nested settings, see :class:`hgs_toolkit.synthesis.settings.SynthSettings`.
        workforce: who makes it; by default processes on every core.
        resume: go on with what is in ``folder``: only what is missing is made.
        force: replace a dataset in ``folder``; not together with ``resume``.
        begin: called with (images to make, images there already) before the first is made.
        listen: called with every event of the workers.

    Raises:
        HgsError: if an argument cannot be used or a worker fails; what is finished stays and can be resumed.
    """
    workforce = workforce or Workforce()
    if force and resume:
        raise ConfigError("--resume keeps what --force would remove; give one of the two")
    if force and workforce.part.count > 1:
        raise ConfigError("--force would remove what the other parts have made; remove the folder, then run all parts")
    file = find_model(model)
    header = read_header(file)
    settings = settings_for(header.config, values or {})
    plan = make_plan(settings, header.config, sha256(file), header.facts)
    own = workforce.part.shards(plan.shards)
    layout = claim(Path(folder), plan, own, resume=resume, force=force)
    if layout.finished():
        remove_shards_if_replaced(layout)
        return Outcome(layout.product or layout.shard_folder, 0, plan.images, Timing())
    todo = layout.missing(own)
    layout.refuse_foreign(todo)
    made, all_own = (sum(len(plan.scenes(shard)) for shard in shards) * settings.views for shards in (todo, own))
    if begin is not None:
        begin(made, all_own - made)
    timing = Timing()
    if todo:
        layout.manifest.unlink(missing_ok=True)  # it tells of a dataset that is whole
        images = Path(settings.background).absolute() if plan.background == "pictures" else None
        job = Job(Path(folder).absolute(), plan, file.absolute(), images, workforce.device)
        pool, workers = _open_pool(workforce, job)
        timing = run_shards(pool, todo, min(workers, len(todo)), tidy=layout.remove_unfinished, listen=listen)
    return Outcome(_finish(layout, workforce.part), made, all_own - made, timing)


def _open_pool(workforce: Workforce, job: Job) -> tuple[WorkerPool, int]:
    """A worker pool, and how many of its workers work at a time."""
    if workforce.engine == "ray":
        from hgs_toolkit.synthesis.engines.ray_cluster import RayPool

        ray_pool = RayPool(job, workforce.address)
        return ray_pool, ray_pool.capacity(workforce.workers)
    if workforce.workers == 0:
        return InlinePool(job), 1
    return LocalPool(job), workforce.workers or (1 if job.device == "cuda" else default_workers())


def _finish(layout: Layout, part: Part) -> Path | None:
    """Merge, unless other runs make the rest: they may be at work still, and merging is theirs to ask for."""
    return merge(layout.folder) if part.count == 1 else None
