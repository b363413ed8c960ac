"""Stand-ins for programs: small scripts in a folder whose name has spaces."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

MakeProgram = Callable[..., Path]


@pytest.fixture
def make_program(tmp_path: Path) -> MakeProgram:
    """``make_program("hgs", code)``: an executable Python script; ``say(event, **facts)`` writes a JSON line."""

    def make(name: str, code: str) -> Path:
        folder = tmp_path / "a folder with spaces"
        folder.mkdir(exist_ok=True)
        path = folder / name
        header = f"""\
            #!{sys.executable}
            import json, os, signal, subprocess, sys, time
            def say(event, **facts):
                print(json.dumps({{"event": event}} | facts), flush=True)
            """
        path.write_text(textwrap.dedent(header) + textwrap.dedent(code))
        path.chmod(0o755)
        return path

    return make
