"""The contract of every command: where things are said, and how it ends."""

from __future__ import annotations

import errno
import json
import logging
import signal
from pathlib import Path

import pytest
import typer

from hgs_toolkit.cli.console import Reporter, describe_error, facts_text, format_bytes, reporting
from hgs_toolkit.cli.training_display import stop_flag
from hgs_toolkit.errors import FormatError, HgsError

Capture = pytest.CaptureFixture[str]


def events(capsys: Capture) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def run_failing(error: BaseException, json_lines: bool = False, made: Path | None = None) -> int:
    """The exit code of a command that ends with ``error``."""
    try:
        with reporting(json_lines) as report:
            if made:
                report.file(made)
            raise error
    except typer.Exit as ended:
        return ended.exit_code


def test_results_go_to_stdout_and_talk_to_stderr(capsys: Capture, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("abc")
    with reporting() as report, report.progress("working", total=2) as task:
        task.advance()
        report.note("a word")
        report.file(tmp_path / "a")
        report.result("42", answer=42)
    captured = capsys.readouterr()
    assert captured.out == f"{tmp_path / 'a'}\n42\n"
    assert captured.err == "working ...\na word\n"


def test_json_mode_writes_one_object_a_line(capsys: Capture, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("abc")
    with reporting(json_lines=True) as report:
        with report.progress("working", total=2) as task:
            task.advance(2)
        report.file(tmp_path / "a", images=1)
        report.table(["x", "y"], [(1, "b")], title="t")
    assert events(capsys) == [
        {"event": "progress", "text": "working", "done": 0, "total": 2},
        {"event": "progress", "text": "working", "done": 2, "total": 2},
        {"event": "file", "path": str(tmp_path / "a"), "bytes": 3, "images": 1},
        {"event": "result", "title": "t", "rows": [{"x": 1, "y": "b"}]},
        {"event": "done", "files": [str(tmp_path / "a")]},
    ]


def test_many_steps_give_few_events_and_always_the_last(capsys: Capture) -> None:
    with Reporter(json_lines=True).progress("working", total=100_000) as task:
        for _ in task.counted(range(100_000)):
            pass
    lines = events(capsys)
    assert lines[-1]["done"] == 100_000
    assert len(lines) < 1000


def test_a_table_is_readable_by_people_and_never_cut(capsys: Capture) -> None:
    long = "/a/very/long/folder" * 8
    Reporter().table(["path", "size"], [(long, "[1] kB")])
    out = capsys.readouterr().out
    assert long in out
    assert "[1] kB" in out


def test_an_error_of_ours_is_one_sentence_and_exit_code_1(capsys: Capture) -> None:
    assert run_failing(FormatError("x.ply is\n broken")) == 1
    assert capsys.readouterr() == ("", "error: x.ply is broken\n")


def test_an_error_is_an_event_too_and_names_what_is_there(capsys: Capture, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    run_failing(HgsError("no"), json_lines=True, made=tmp_path / "a")
    assert events(capsys)[-1] == {"event": "error", "text": "no", "files": [str(tmp_path / "a")]}


def test_ctrl_c_says_what_is_there(capsys: Capture, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    assert run_failing(KeyboardInterrupt(), made=tmp_path / "a") == 1
    assert f"stopped; already there: {tmp_path / 'a'}" in capsys.readouterr().err
    run_failing(KeyboardInterrupt())
    assert "stopped; nothing was written" in capsys.readouterr().err


def test_a_second_ctrl_c_while_training_says_what_goes_on(capsys: Capture) -> None:
    with stop_flag(Reporter(quiet=True)) as should_stop:
        signal.raise_signal(signal.SIGINT)
        assert should_stop()
        with pytest.raises(KeyboardInterrupt) as caught:
            signal.raise_signal(signal.SIGTERM)
    assert run_failing(caught.value) == 1
    assert "stopped; --resume goes on from what was saved last" in capsys.readouterr().err


def test_a_bug_asks_to_be_reported_and_shows_its_traceback_on_request(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run_failing(ZeroDivisionError("division by zero")) == 1
    err = capsys.readouterr().err
    assert err == (
        "error: internal error (ZeroDivisionError: division by zero); HGS_DEBUG=1 shows where, please report it\n"
    )
    monkeypatch.setenv("HGS_DEBUG", "1")
    run_failing(ZeroDivisionError("division by zero"))
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (PermissionError(errno.EACCES, "Permission denied", "x.zip"), "x.zip: Permission denied"),
        (OSError("5 requested and 3 written"), "5 requested and 3 written"),
        (MemoryError(), "not enough memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "not enough memory"),
        (RuntimeError("CUDA out of memory. Tried"), "not enough memory"),
        (AssertionError(), "internal error (AssertionError: )"),
    ],
)
def test_errors_of_the_system_are_described(error: Exception, text: str) -> None:
    assert describe_error(error).startswith(text)


def test_a_reader_that_went_away_is_no_error_to_describe(capsys: Capture) -> None:
    with pytest.raises(BrokenPipeError), reporting():
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")
    assert capsys.readouterr().err == ""


def test_log_lines_of_the_library_reach_stderr_while_a_command_runs(capsys: Capture) -> None:
    logger = logging.getLogger("hgs_toolkit.anything")
    with reporting():
        logger.warning("careful: %d", 3)
        logger.debug("hidden")
    logger.warning("nobody listens")
    assert "warning: careful: 3\n" in capsys.readouterr().err
    assert not logging.getLogger("hgs_toolkit").handlers


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (999, "999 B"), (1536, "1.54 kB"), (10**7, "10 MB"), (5 * 10**12, "5 TB")]
)
def test_sizes_are_written_for_people(size: int, text: str) -> None:
    assert format_bytes(size) == text


def test_facts_stand_in_a_column() -> None:
    assert facts_text({"a": 1, "long name": "x"}) == "a:         1\nlong name: x"
    assert facts_text({}) == ""
