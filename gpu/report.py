"""Writes what a check found into its page, between two marks: card, driver, date, steps, times, memory.

    python gpu/report.py FOLDER [--page docs/results/gpu.md] [--dry]

``FOLDER`` is that of ``gpu/steps.py``. A dry run's report is written to FOLDER/gpu.md and leaves the page alone, since
it proves nothing about hardware. Untested on hardware.
"""

from __future__ import annotations

import argparse
import datetime
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
BEGIN, END = "<!-- report of make gpu-check -->", "<!-- end of the report -->"

DOCTOR_ROWS = ("hgs_toolkit", "python", "torch", "GPU", "GPU driver", "CUDA compiler", "gsplat", "renderer", "speed")
"""Rows of ``hgs doctor`` that belong in a report."""


def report(folder: Path, *, dry: bool) -> str:
    """The report of the steps in ``folder``, as Markdown."""
    steps = newest_steps(folder / "steps.jsonl")
    kind = "Dry run on the CPU: it says nothing about a GPU" if dry else "Run on the GPU named here"
    parts = [f"{kind}. {datetime.date.today().isoformat()}, {_commit()}."]
    parts.append(_table(("what", "state", "remark"), doctor_rows(folder / "doctor.log")))
    parts.append(_table(
        ("step", "state", "seconds", "last line of its log"),
        [(step["name"], step["state"], f"{step['seconds']:.1f}", _cell(step["last"])) for step in steps],
    ))  # fmt: skip
    for name, title in (("bench", "Times of one image"), ("memory", "Memory of a training step")):
        rows = _read(folder / f"{name}.json").get("rows", [])
        if rows:
            columns = tuple(rows[0])
            values = [tuple(_cell(row.get(column, "")) for column in columns) for row in rows]
            parts.append(f"{title}:\n\n{_table(columns, values)}")
    return "\n\n".join(part for part in parts if part)


def newest_steps(path: Path) -> list[dict[str, Any]]:
    """The last line of every step, in the order in which the steps were first run."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return list({line["name"]: line for line in lines}.values())


def doctor_rows(path: Path) -> list[tuple[str, str, str]]:
    """What ``hgs doctor --json-progress`` found, as far as it belongs in a report."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    events = [json.loads(line) for line in lines if line.startswith("{")]
    rows = [row for event in events for row in event.get("rows", [])]
    found = {row["what"]: (row["what"], _cell(row["state"]), _cell(row["remark"])) for row in rows}
    return [found[name] for name in DOCTOR_ROWS if name in found]


def fill(page: Path, text: str) -> None:
    """Put ``text`` between the marks of ``page``.

    Raises:
        ValueError: if the page has not both marks.
    """
    content = page.read_text(encoding="utf-8")
    before, begin, rest = content.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page} lacks the marks {BEGIN} and {END}")
    temporary = page.with_name(f"{page.name}.tmp")
    temporary.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")
    temporary.replace(page)


def _read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return found


def _commit() -> str:
    """Which version of the repository was checked."""
    done = subprocess.run(
        ("git", "rev-parse", "--short", "HEAD"), capture_output=True, text=True, cwd=ROOT, check=False
    )
    return f"commit {done.stdout.strip()}" if done.returncode == 0 else "no commit"


def _cell(value: object) -> str:
    """``value`` on one line, fit for a table, without paths of this machine but those of installed programs."""
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return re.sub(r"(?<!\S)/(?!usr/|opt/)[^\s|]+", "...", text.replace("|", " ").replace("\n", " "))


def _table(columns: tuple[str, ...], rows: list[Any]) -> str:
    if not rows:
        return ""
    lines = [columns, ("---",) * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "results" / "gpu.md")
    parser.add_argument("--dry", action="store_true")
    arguments = parser.parse_args()
    text = report(arguments.folder, dry=arguments.dry)
    page = arguments.folder / "gpu.md" if arguments.dry else arguments.page
    if arguments.dry:
        page.write_text(f"{BEGIN}\n{END}\n", encoding="utf-8")
    fill(page, text)
    print(f"the report is in {page.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
