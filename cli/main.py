"""The table of commands of ``hgs``; each lives in a file of its own and imports heavy packages only when it runs."""

from __future__ import annotations

import importlib
import importlib.util
import signal
from typing import Annotated

import typer

COMMANDS = ("sample", "train", "demo", "render", "export", "info", "doctor")
"""Commands in the order of the help text: function NAME of hgs_toolkit.cli.NAME."""

GROUPS = ("dataset",)
"""Commands with commands of their own: typer application ``app`` of hgs_toolkit.cli.NAME."""

app = typer.Typer(
    name="hgs",
    help="Hierarchical Gaussian GANs: train, sample, render and export 3D Gaussians on any machine.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"hgs_toolkit {version('hgs_toolkit')}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


def _register() -> None:
    for name in COMMANDS + GROUPS:
        if importlib.util.find_spec(f"hgs_toolkit.cli.{name}") is None:
            continue
        module = importlib.import_module(f"hgs_toolkit.cli.{name}")
        if name in GROUPS:
            app.add_typer(module.app, name=name)
        else:
            app.command(name)(getattr(module, name))


_register()


def main() -> None:
    """Entry of the console script; a polite kill (SIGTERM) stops a command as cleanly as Ctrl-C."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    app()
