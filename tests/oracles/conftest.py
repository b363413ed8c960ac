"""Programs that others wrote, run on our files: what starts them, and when their tests are skipped.

Those that pip installs run with every ``make test``. The others carry ``@pytest.mark.oracle``; ``make test-oracles``
installs them and sets HGS_ORACLES, with which a missing program is a failure instead of a skip.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

NODE = Path(__file__).parent / "node"
"""The folder of package.json and of our own scripts."""

SPLAT_TRANSFORM = "node_modules/@playcanvas/splat-transform/bin/cli.mjs"

TIMEOUT = 300
"""Seconds after which a program counts as hung."""

RunNode = Callable[..., str]


def missing(what: str) -> None:
    """Skip the test, or fail it where ``make test-oracles`` promised the program."""
    reason = f"{what} is not installed; make test-oracles installs it"
    if os.environ.get("HGS_ORACLES"):
        pytest.fail(reason)
    pytest.skip(reason)


def run_node(script: str, *arguments: str | Path) -> str:
    """Run a script of the node folder; gives what it printed, fails with its errors."""
    command = ["node", script, *map(str, arguments)]
    done = subprocess.run(command, cwd=NODE, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    assert done.returncode == 0, f"{script} failed: {done.stderr or done.stdout}"
    return done.stdout


@pytest.fixture(scope="session")
def node() -> RunNode:
    """:func:`run_node`, where node and the packages are installed."""
    if shutil.which("node") is None or not (NODE / "node_modules" / ".package-lock.json").is_file():
        missing("node with the packages of tests/oracles/node")
    return run_node


@pytest.fixture(scope="session")
def splat_transform(node: RunNode) -> RunNode:
    """``splat_transform(*arguments)``: PlayCanvas' converter, quiet, overwriting, on the CPU."""
    return lambda *arguments: node(SPLAT_TRANSFORM, "-q", "-w", "-g", "cpu", *arguments)
