"""Programs beside Blender: progress, files, ends of every kind; nothing ever blocks."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from blender_addon.core.toolkit.jobs import Job, JobError, State, find_executable

MakeProgram = Callable[..., Path]

PATIENCE = 60.0
"""Seconds after which a test that waits gives up."""


def poll_until(job: Job, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"still {job.state} after {PATIENCE} s"
        job.poll()
        time.sleep(0.005)


def finish(job: Job) -> Job:
    poll_until(job, lambda: not job.running)
    return job


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"


class Clock:
    """A clock that stands until a test moves it."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_progress_and_files_arrive_while_it_runs_and_the_end_is_noticed(make_program: MakeProgram) -> None:
    code = """
        say("progress", text="sampling", done=1, total=4)
        say("file", path="/out/seed 1.hgs", bytes=3)
        say("note", level="info", text="model loaded")
        sys.stdin.read()
        while not os.path.exists(sys.argv[1]): time.sleep(0.01)
        say("progress", text="sampling", done=4, total=4)
        say("done", files=[])
    """
    program = make_program("hgs", code)
    go_on = program.parent / "go on"
    job = Job([str(program), str(go_on)])
    poll_until(job, lambda: bool(job.notes))
    assert (job.state, job.text, job.fraction) == (State.RUNNING, "sampling", 0.25)
    assert job.files == [Path("/out/seed 1.hgs")]
    assert list(job.notes) == ["model loaded"]
    go_on.touch()
    finish(job)
    assert (job.state, job.fraction) == (State.DONE, 1.0)


def test_arguments_arrive_as_they_are_and_no_shell_reads_them(make_program: MakeProgram, tmp_path: Path) -> None:
    program = make_program("my hgs", "for a in sys.argv[1:]: say('note', text=a)")
    arguments = ["two words", "$HOME", "; touch pwned", "'\"`", "*", "--seeds=0-3"]
    job = finish(Job([str(program), *arguments]))
    assert list(job.notes) == arguments


def test_a_failure_is_told_in_the_programs_own_words(make_program: MakeProgram) -> None:
    program = make_program(
        "hgs", "say('error', text='seeds x: no number'); print('noise', file=sys.stderr); sys.exit(1)"
    )
    job = finish(Job([str(program)]))
    assert (job.state, job.text) == (State.FAILED, "seeds x: no number")


def test_a_failure_without_an_event_is_told_by_the_last_line_of_stderr(make_program: MakeProgram) -> None:
    program = make_program("hgs", "print('first\\nImportError: no torch\\n\\n', file=sys.stderr); sys.exit(3)")
    job = finish(Job([str(program)]))
    assert (job.state, job.text) == (State.FAILED, "hgs ended with code 3: ImportError: no torch")


def test_a_silent_failure_is_told_too(make_program: MakeProgram) -> None:
    job = finish(Job([str(make_program("hgs", "sys.exit(7)"))]))
    assert job.text == "hgs ended with code 7: it said nothing"


def test_floods_on_both_pipes_neither_block_nor_pile_up(make_program: MakeProgram) -> None:
    code = """
        for i in range(20000): print("x" * 200, file=sys.stderr)
        sys.stderr.write("y" * 3_000_000)
        sys.stdout.write("z" * 3_000_000 + "\\n")
        for i in range(20000): print("no json at all")
        say("progress", text="after the flood", done=1, total=1)
    """
    job = finish(Job([str(make_program("hgs", code))]))
    assert (job.state, job.fraction) == (State.DONE, 1.0)
    assert sum(map(len, job._tail)) < 1_000_000


ODD_LINES = [
    "[]", "3", "null", '"text"', "{", "", "\\x00\\xff", '{"event": "progress"}', '{"event": 5, "text": 5}',
    '{"event": "progress", "done": "many", "total": []}', '{"event": "progress", "done": NaN, "total": Infinity}',
    '{"event": "progress", "done": 1e400, "total": true, "text": 7}', '{"event": "file", "path": 9}',
    '{"event": "note"}', '{"event": "error", "text": {}}', "[" * 5000,
]  # fmt: skip


def test_odd_lines_are_passed_over(make_program: MakeProgram) -> None:
    code = f"""
        for line in {ODD_LINES!r}: print(line)
        say("file", path="a.hgs")
    """
    job = finish(Job([str(make_program("hgs", code))]))
    assert job.state is State.DONE
    assert 0 <= job.fraction <= 1
    assert job.files == [Path("a.hgs")]


HANG = """
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
    say("note", text=str(child.pid))
    time.sleep(1000)
"""
DEAF = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + HANG.replace("    ", "")


def test_cancel_ends_the_program_and_its_children(make_program: MakeProgram) -> None:
    job = Job([str(make_program("hgs", HANG))])
    poll_until(job, lambda: bool(job.notes))
    child = int(job.notes[0])
    assert is_alive(child)
    job.cancel()
    assert job.running
    finish(job)
    assert (job.state, job.text) == (State.CANCELLED, "cancelled; files written: 0")
    poll_until(job, lambda: not is_alive(child))


def test_cancel_lets_the_program_clean_up(make_program: MakeProgram, tmp_path: Path) -> None:
    code = """
        def stop(*_):
            open(sys.argv[1], "w").close()
            sys.exit(1)
        signal.signal(signal.SIGTERM, stop)
        say("note", text="ready")
        time.sleep(1000)
    """
    job = Job([str(make_program("hgs", code)), str(tmp_path / "cleaned up")])
    poll_until(job, lambda: bool(job.notes))
    job.cancel()
    assert finish(job).state is State.CANCELLED
    assert (tmp_path / "cleaned up").exists()


def test_a_program_that_hangs_is_stopped_when_its_time_is_up(make_program: MakeProgram) -> None:
    clock = Clock()
    job = Job([str(make_program("hgs", HANG))], timeout=60, clock=clock)
    poll_until(job, lambda: bool(job.notes))
    clock.now = 59.0
    assert job.poll() is State.RUNNING
    clock.now = 61.0
    assert job.poll() is State.STOPPING
    finish(job)
    assert (job.state, job.text) == (State.TIMED_OUT, "timed out after 60 seconds; files written: 0")


def test_a_program_deaf_to_signals_is_killed_after_the_grace(make_program: MakeProgram) -> None:
    clock = Clock()
    job = Job([str(make_program("hgs", DEAF))], clock=clock, grace=5)
    poll_until(job, lambda: bool(job.notes))
    job.cancel()
    clock.now = 4.0
    assert job.poll() is State.STOPPING
    clock.now = 6.0
    assert finish(job).state is State.CANCELLED


def test_children_that_keep_the_pipes_open_do_not_keep_the_job(make_program: MakeProgram) -> None:
    code = 'say("note", text=str(subprocess.Popen(["sleep", "1000"]).pid))'
    clock = Clock()
    job = Job([str(make_program("hgs", code))], clock=clock)
    poll_until(job, lambda: bool(job.notes) and job._process.poll() is not None)
    assert job.poll() is State.RUNNING
    clock.now = 100.0
    assert finish(job).state is State.DONE
    child = int(job.notes[0])
    poll_until(job, lambda: not is_alive(child))


def test_close_kills_at_once_and_is_harmless_at_the_end(make_program: MakeProgram) -> None:
    job = Job([str(make_program("hgs", DEAF))])
    poll_until(job, lambda: bool(job.notes))
    job.close()
    assert job.state is State.CANCELLED
    job.close()
    job.cancel()
    assert job.poll() is State.CANCELLED


def test_a_missing_program_is_named(tmp_path: Path) -> None:
    with pytest.raises(JobError, match=r"cannot run .*no such hgs: No such file"):
        Job([str(tmp_path / "no such hgs")])


def test_a_file_that_is_no_program_is_named(tmp_path: Path) -> None:
    (tmp_path / "hgs").write_text("text")
    with pytest.raises(JobError, match=r"cannot run .*hgs: Permission denied"):
        Job([str(tmp_path / "hgs")])


def test_the_executable_is_the_preferred_one_or_the_one_on_path(
    make_program: MakeProgram, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = make_program("hgs", "")
    monkeypatch.setenv("PATH", str(program.parent))
    assert find_executable() == str(program)
    assert find_executable(f" {program} ") == str(program)
    with pytest.raises(JobError, match="other/hgs is no program that can be run; correct the path"):
        find_executable("/other/hgs")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(JobError, match="'hgs' is not on PATH; install hgs_toolkit"):
        find_executable()
