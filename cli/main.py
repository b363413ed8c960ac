"""The table of commands of ``hgs``; each lives in a file of its own, which is imported when the command is used."""

from __future__ import annotations

import os
import signal
from typing import Annotated

import typer

from hgs_toolkit.cli.usage import HELP_OPTIONS, root_group
from hgs_toolkit.memory import collect_after_start_up

COMMANDS = {
    "demo": "demo:demo",
    "train": "train:train",
    "sample": "sample:sample",
    "render": "render:render",
    "video": "video:video",
    "mix": "mix:mix",
    "view": "view:view",
    "share": "share:share",
    "invert": "invert:invert",
    "eval": "evaluate:evaluate",
    "export": "export:export",
    "mesh": "mesh:mesh",
    "import": "import_snapshot:import_snapshot",
    "models": "models:models",
    "info": "info:info",
    "doctor": "doctor:doctor",
}
"""Module and function of each command, in the order of the help text."""

GROUPS = {
    "blender": "blender:app",
    "dataset": "dataset:app",
    "runs": "runs:app",
    "synth": "synth:app",
}
"""Module and typer application of each command that has commands of its own."""

app = typer.Typer(
    name="hgs",
    cls=root_group(COMMANDS | GROUPS),
    help="Hierarchical Gaussian GANs: train, sample, render and export 3D Gaussians on any machine.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings=HELP_OPTIONS,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from hgs_toolkit import __version__

        typer.echo(f"hgs_toolkit {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Entry of the console script; SIGTERM stops a command as cleanly as Ctrl-C."""
    # This must be set before torch loads OpenMP, whose threads otherwise spin while they wait. Where other programs
    # want the cores too, a training step took 1.5 to 14 times as long (four pairs of runs on two busy cores).
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    collect_after_start_up()
    app()
