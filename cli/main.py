"""The table of commands of ``hgs``; each lives in a file of its own and imports heavy packages only when it runs."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Annotated

import typer

from hgs_toolkit.cli import (
    blender,
    dataset,
    demo,
    doctor,
    evaluate,
    export,
    import_snapshot,
    info,
    invert,
    mesh,
    mix,
    render,
    sample,
    share,
    synth,
    train,
    video,
    view,
)

COMMANDS: dict[str, Callable[..., None]] = {
    "demo": demo.demo,
    "train": train.train,
    "sample": sample.sample,
    "render": render.render,
    "video": video.video,
    "mix": mix.mix,
    "view": view.view,
    "share": share.share,
    "invert": invert.invert,
    "eval": evaluate.evaluate,
    "export": export.export,
    "mesh": mesh.mesh,
    "import": import_snapshot.import_snapshot,
    "info": info.info,
    "doctor": doctor.doctor,
}
"""Commands in the order of the help text."""

GROUPS: dict[str, typer.Typer] = {
    "blender": blender.app,
    "dataset": dataset.app,
    "synth": synth.app,
}
"""Commands with commands of their own."""

app = typer.Typer(
    name="hgs",
    help="Hierarchical Gaussian GANs: train, sample, render and export 3D Gaussians on any machine.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from hgs_toolkit.version import program_name

        typer.echo(program_name())
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


for _name, _command in COMMANDS.items():
    app.command(_name)(_command)
for _name, _group in GROUPS.items():
    app.add_typer(_group, name=_name)


def main() -> None:
    """Entry of the console script; a polite kill (SIGTERM) stops a command as cleanly as Ctrl-C."""
    # Before torch loads OpenMP: its threads otherwise spin while they wait. Where other programs want the cores too,
    # a training step took 1.5 to 14 times as long (four pairs of runs on two busy cores; not tried on idle ones).
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    app()
