"""Options that were typed: those that would change nothing are refused rather than ignored."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import typer

from hgs_toolkit.cli.sources import is_sampled

NEEDS = {"source_frame": "file", "drop_invalid": "file", "jobs": "folder", "psi": "MODEL@SEED"}
"""What an option of commands that take an asset is about, by the name of its parameter."""


def is_given(context: typer.Context, name: str) -> bool:
    """Whether the user typed the option of the parameter ``name``; not so if the command has none."""
    source = context.get_parameter_source(name)
    return source is not None and source.name != "DEFAULT"


def refuse_given(context: typer.Context, names: list[str], why: str) -> None:
    """Refuse the options of the parameters ``names``, which would change nothing.

    Raises:
        BadParameter: naming those that were typed.
    """
    if typed := [f"--{name.replace('_', '-')}" for name in names if is_given(context, name)]:
        raise typer.BadParameter(f"{why}, so nothing would change; leave it out", param_hint=", ".join(typed))


def refuse_no_names(**lists: Sequence[str] | None) -> None:
    """Refuse lists of names, by parameter, that were typed and name nothing, such as ``,``; None was not typed.

    Raises:
        BadParameter: naming the option of the first.
    """
    for name, names in lists.items():
        if names is not None and not names:
            raise typer.BadParameter("it names nothing; name one at least, or leave it out", param_hint=f"'--{name}'")


def refuse_unused(context: typer.Context, *assets: str) -> None:
    """Refuse options that change nothing of what ``assets`` are; raises as :func:`refuse_given`."""
    files = [asset for asset in assets if not is_sampled(asset)]
    there = {"file"} if files else set()
    there |= {"folder"} if any(Path(asset).is_dir() for asset in files) else set()
    there |= {"MODEL@SEED"} if len(files) < len(assets) else set()
    for needed in sorted(set(NEEDS.values()) - there):
        names = [name for name, what in NEEDS.items() if what == needed]
        refuse_given(context, names, f"{' and '.join(assets)} {'is' if len(assets) == 1 else 'are'} no {needed}")
