from collections.abc import Mapping

import pytest

from hgs_toolkit.errors import ConfigError
from hgs_toolkit.synthesis.parts import Part, choose_part


@pytest.mark.parametrize("count", [1, 3, 8, 20])
def test_parts_cover_every_shard_once(count: int) -> None:
    shards = [shard for index in range(count) for shard in Part(index, count).shards(13)]
    assert sorted(shards) == list(range(13))


ARRAY = {"SLURM_ARRAY_TASK_ID": "7", "SLURM_ARRAY_TASK_MIN": "5", "SLURM_ARRAY_TASK_COUNT": "4"}
STEP = {"SLURM_PROCID": "1", "SLURM_NTASKS": "2"}


@pytest.mark.parametrize(
    ("environment", "index", "count"),
    [
        ({}, 0, 1),
        ({"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_COUNT": "8"}, 3, 8),
        (ARRAY, 2, 4),
        (ARRAY | {"SLURM_ARRAY_TASK_ID": "9", "SLURM_ARRAY_TASK_STEP": "2"}, 2, 4),
        (STEP, 1, 2),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "1"}, 0, 1),
        (ARRAY | STEP, 5, 8),
        ({"RANK": "2", "WORLD_SIZE": "3"}, 2, 3),
        (STEP | {"RANK": "2", "WORLD_SIZE": "3"}, 1, 2),
    ],
)
def test_schedulers_say_the_part(environment: Mapping[str, str], index: int, count: int) -> None:
    part = choose_part(None, environment)
    assert (part.index, part.count) == (index, count)
    assert bool(part.source) == (count > 1)


def test_the_command_line_goes_before_the_scheduler() -> None:
    assert choose_part("1/4", ARRAY) == Part(1, 4)
    assert choose_part("all", ARRAY) == Part()


def test_tasks_of_an_array_with_steps_make_different_parts() -> None:
    parts = {
        choose_part(None, ARRAY | {"SLURM_ARRAY_TASK_ID": str(task)} | STEP | {"SLURM_PROCID": str(process)}).index
        for task in range(5, 9)
        for process in range(2)
    }
    assert parts == set(range(8))


@pytest.mark.parametrize(
    ("text", "environment", "message"),
    [
        ("4/4", {}, "part 4/4; expected i/n with i from 0 to n - 1"),
        ("half", {}, "--shard 'half'; expected i/n"),
        ("-1/2", {}, "--shard '-1/2'; expected i/n"),
        (None, {"RANK": "x", "WORLD_SIZE": "2"}, "RANK='x'; expected a number"),
        (None, {"SLURM_ARRAY_TASK_ID": "1"}, "SLURM_ARRAY_TASK_COUNT=''"),
        (None, {"RANK": "5", "WORLD_SIZE": "2"}, "part 5/2 (from RANK and WORLD_SIZE)"),
    ],
)
def test_parts_that_cannot_be_are_refused(text: str | None, environment: Mapping[str, str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        choose_part(text, environment)
    assert message in str(caught.value)
