"""``hgs train`` without a preset: the set is looked at, and a plan is made, shown and written before it starts."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hgs_toolkit.cli.console import Reporter

if TYPE_CHECKING:
    from hgs_toolkit.config import Config
    from hgs_toolkit.training.distributed import World
    from hgs_toolkit.training.planning.facts import Machine

LENGTH = "training.kimg="
"""Beginning of the setting that is the length of a run, or of all stages together."""


@dataclass(frozen=True)
class Wishes:
    """What the flags ask of a plan.

    Attributes:
        settings: ``key=value`` texts for every stage.
        resolution: that of the last stage; None leaves it to the plan.
        kimg: length of all stages together; None leaves it to the minutes, or to the presets.
        minutes: limit of the whole command; None for none.
        seed: of everything that is random.
        started: when the command began, by the monotonic clock.
    """

    settings: Sequence[str] = ()
    resolution: int | None = None
    kimg: float | None = None
    minutes: float | None = None
    seed: int = 0
    started: float = 0.0

    @property
    def minutes_left(self) -> float | None:
        """Minutes of the limit that are left; a hundredth of it at least, in which a first step is made."""
        if self.minutes is None:
            return None
        return max(self.minutes - (time.monotonic() - self.started) / 60, self.minutes / 100)


def set_of(report: Reporter, data: Path, out: Path, resolution: int | None, world: World) -> Path:
    """The set that a run is trained on: ``data``, or what is made of it in ``out`` by the main process."""
    from hgs_toolkit.datasets.preparing import SET_FILE, prepare_data
    from hgs_toolkit.datasets.recognise import recognise
    from hgs_toolkit.training.planning.choices import LARGEST

    kind = recognise(data)
    if kind == "set":
        return data
    if world.is_main:
        import torch

        words = {"meshes": "rendering models", "cameras": "converting images", "images": "converting images"}
        with report.progress(words[kind]) as task:
            prepare_data(
                data, out, resolution or LARGEST[world.device.type], workers=torch.get_num_threads(),
                progress=lambda done, total: task.update(done, total),
            )  # fmt: skip
    world.barrier()
    return out / SET_FILE


def make_plan(report: Reporter, path: Path, out: Path, wishes: Wishes, world: World) -> list[Config]:
    """Make, show and write the plan of a run in ``out`` on the set ``path``; returns its stages on every process."""
    from hgs_toolkit.training.planning.facts import Machine
    from hgs_toolkit.training.stages.plan import PlanFolder

    folder = PlanFolder(out)
    if world.is_main:
        _propose_and_write(report, path, folder.path, wishes, world, Machine.of(world.device))
    world.barrier()
    return folder.read()


def _propose_and_write(
    report: Reporter, path: Path, out: Path, wishes: Wishes, world: World, machine: Machine
) -> None:  # fmt: skip
    from hgs_toolkit.datasets.eg3d import open_dataset
    from hgs_toolkit.settings_io import with_settings
    from hgs_toolkit.training.planning.choices import heads_join, possible_sizes, propose
    from hgs_toolkit.training.planning.facts import SetFacts
    from hgs_toolkit.training.planning.lengths import least_minutes, length_choice, sizes_within, with_lengths
    from hgs_toolkit.training.planning.pace import measure_paces
    from hgs_toolkit.training.reports.loggers import require_loggers
    from hgs_toolkit.training.stages.plan import PlanFolder
    from hgs_toolkit.training.stages.plan_file import Choice

    facts = SetFacts.of(open_dataset(path))
    sizes = possible_sizes(facts, machine, wishes.resolution)
    all_sizes = propose(facts, machine, sizes, wishes.settings, seed=wishes.seed)
    require_loggers(all_sizes.stages[0].training.loggers)
    with report.progress(f"measuring how long images of {sizes[0]} to {sizes[-1]} pixels take"):
        paces = measure_paces(all_sizes.stages[:-1], lambda size: open_dataset(path, size), world)
    paces = [pace / world.size for pace in paces]
    chosen, minutes = sizes, wishes.minutes_left
    heads, _ = heads_join(machine, sizes, wishes.settings)
    if wishes.resolution is None and wishes.kimg is None:
        chosen = sizes_within(sizes, paces, minutes, heads=heads)
    proposal = propose(facts, machine, chosen, wishes.settings, seed=wishes.seed)
    of_stages = [*paces[: len(chosen)], paces[len(chosen) - 1]]
    stages, lengths = with_lengths(proposal.stages, of_stages, minutes, wishes.kimg)
    by_hand = [setting for setting in wishes.settings if not setting.startswith(LENGTH)]
    stages = [with_settings(stage, by_hand) for stage in stages]  # what fits the lengths gives way, too
    why = f"of {facts.resolution} px that the images have"
    if len(chosen) < len(sizes):
        larger = sizes[: len(chosen) + 1]
        needed = f"{least_minutes(larger, paces, heads=heads):.0f} minutes"
        why += f"; {wishes.minutes:g} minutes are too short for {larger[-1]} px on this machine: {needed} would do"
    choices = [
        Choice("resolution", f"{chosen[-1]} px", why),
        *proposal.choices,
        length_choice(stages, lengths, minutes if wishes.kimg is None else None),
    ]
    if by_hand:
        choices.append(Choice("by hand", ", ".join(by_hand), "in every stage, whatever is said above"))
    PlanFolder(out).start(stages, choices)
    rows = [(choice.what, choice.value, choice.why) for choice in choices]
    report.table(["choice", "value", "why"], rows, title=f"plan for {facts.images} images of {facts.name}")
