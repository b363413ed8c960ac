"""How large things may grow: a function fits on a screen, a file holds one idea, a folder can be read at a glance."""

from __future__ import annotations

import ast
import statistics
import subprocess
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

MAX_FILES = 20
"""Files of Python that a folder may hold; ``cli`` has a file a command."""

MAX_LINES, MEDIAN_LINES = 350, 120
"""Lines a file may have, and the median over all files outside ``tests``."""

MAX_STATEMENT_LINES = 60
"""Lines of a function without its signature and docstring; kernels, which must be one function, may have more."""

KERNELS = "hgs_toolkit/rendering/cpu"


def sources() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True)
    names = [Path(name) for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]
    return [name for name in names if name.parts[0] != "tests"]


def statement_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    first = function.body[1] if ast.get_docstring(function) and len(function.body) > 1 else function.body[0]
    return (function.end_lineno or 0) - first.lineno + 1


def test_no_folder_holds_more_files_than_can_be_read_at_a_glance() -> None:
    counts = Counter(str(name.parent) for name in sources() if name.name != "__init__.py")
    assert {folder: count for folder, count in counts.items() if count > MAX_FILES and folder != "cli"} == {}


def test_files_are_short() -> None:
    lines = {str(name): len((ROOT / name).read_text(encoding="utf-8").splitlines()) for name in sources()}
    assert {name: count for name, count in lines.items() if count > MAX_LINES} == {}
    assert statistics.median(lines.values()) <= MEDIAN_LINES


def test_functions_fit_on_a_screen() -> None:
    long = {}
    for name in sources():
        for node in ast.walk(ast.parse((ROOT / name).read_text(encoding="utf-8"))):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or str(name.parent) == KERNELS:
                continue
            if (count := statement_lines(node)) > MAX_STATEMENT_LINES:
                long[f"{name}:{node.name}"] = count
    assert long == {}
