"""``hgs view``: a live viewer in the browser, served to this machine only unless told otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hgs_toolkit.cli.console import Device, JsonProgress, reporting
from hgs_toolkit.cli.given import refuse_unused
from hgs_toolkit.cli.sources import Psi, open_asset
from hgs_toolkit.conventions import DEFAULT_PSI

if TYPE_CHECKING:
    from hgs_toolkit.viewer.choice import Source

LONGEST = 365 * 86400.0
"""Seconds after which a viewer ends at the latest where an end was asked for: waiting has a limit of its own."""

WHAT_HELP = "A model, run folder or name (by default critters128), a splat file, or MODEL@SEED; a second one is B."


def view(
    context: typer.Context,
    what: Annotated[list[str] | None, typer.Argument(metavar="[MODEL | ASSET [ASSET]]", help=WHAT_HELP)] = None,
    port: Annotated[
        int | None,
        typer.Option("--port", min=1, max=65535, help="Port to serve on; by default the first free one from 8080 on."),
    ] = None,
    host: Annotated[
        str, typer.Option("--host", help="Address to serve on; 0.0.0.0 lets every machine of the network in.")
    ] = "127.0.0.1",
    seconds: Annotated[
        float | None, typer.Option("--seconds", min=0, help="Stop after this many seconds; by default at Ctrl-C.")
    ] = None,
    psi: Psi = DEFAULT_PSI,
    device: Device = "auto",
    json_progress: JsonProgress = False,
) -> None:
    """Look at a model or at scenes in the browser: seeds, latent sliders, levels, sizes, A and B; save them."""
    with reporting(json_progress) as report:
        import threading

        from hgs_toolkit.viewer.choice import Choice
        from hgs_toolkit.viewer.live import LARGEST_PSI, Viewer
        from hgs_toolkit.viewer.origins import is_loopback

        named = what or []
        if not _is_model(named):
            refuse_unused(context, *named)
        elif not 0 <= psi <= LARGEST_PSI:
            raise typer.BadParameter(f"{psi:g}; expected 0 to {LARGEST_PSI}, where the slider ends", param_hint="--psi")
        source = _source(named, psi, device)
        viewer = Viewer(source, host, port, Choice(psi=psi))
        try:
            if not is_loopback(host):
                report.note(f"every machine that can reach {host} can use this viewer", "warning")
            report.result(viewer.url, url=viewer.url)
            report.note("open it in a browser; Ctrl-C ends it")
            threading.Event().wait(None if seconds is None else min(seconds, LONGEST))
        except KeyboardInterrupt:
            report.note("closed")
        finally:
            viewer.close()


def _source(what: list[str], psi: float, device: str) -> Source:
    """The model that is named, or one or two assets."""
    from hgs_toolkit.checkpoint import load_model
    from hgs_toolkit.errors import ConfigError
    from hgs_toolkit.model_files import model_config
    from hgs_toolkit.viewer.choice import FileSource, ModelSource

    if len(what) > 2:
        raise ConfigError(f"{len(what)} models or assets were given; expected a model, or one or two assets")
    if _is_model(what):
        path = Path(what[0]) if what else None
        return ModelSource(load_model(path, device), model_config(path).name)
    return FileSource(*(open_asset(text, psi, device) for text in what))


def _is_model(what: list[str]) -> bool:
    """Whether a model is named, the one by default included, and not assets."""
    from hgs_toolkit.model_files import shipped_file

    if len(what) != 1:
        return not what
    path = Path(what[0])
    is_name = not path.exists() and shipped_file(path) is not None
    return path.is_dir() or path.suffix == ".safetensors" or is_name
