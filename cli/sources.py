"""What commands read: splat files, ``MODEL@SEED``, models, texts of levels and colours."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hgs_toolkit.errors import ConfigError

if TYPE_CHECKING:
    from hgs_toolkit.asset import Asset
    from hgs_toolkit.model.generator import Generator

ASSET_HELP = "A splat file (.hgs, .ply, ...) or MODEL@SEED; @SEED alone samples the model that ships."

AssetArgument = Annotated[str, typer.Argument(metavar="ASSET", help=ASSET_HELP, show_default=False)]
ModelArgument = Annotated[
    Path | None,
    typer.Argument(metavar="[MODEL]", help="A model.safetensors or run folder; default: the model that ships."),
]
ModelAndOut = Annotated[
    list[Path],
    typer.Argument(metavar="[MODEL] OUT", help="A model (default: the one that ships), then the file to write."),
]
Psi = Annotated[float, typer.Option("--psi", help="Truncation: 0 the average, 1 the whole variety.")]
Levels = Annotated[
    str | None, typer.Option("--levels", help="Keep these levels, e.g. 0-3; default all.", show_default=False)
]
Background = Annotated[
    str,
    typer.Option("--background", help="A colour (name or #rrggbb), 'transparent', or 'auto' (white; black behind "
                                      "scenes with a background of their own)."),
]  # fmt: skip


def open_asset(text: str, psi: float, device: str, frame: str | None = None, sh_degree: int | None = None) -> Asset:
    """The asset that ``text`` means: a file (whose ``frame`` is as in ``table.load``), or a scene of a model.

    A sampled scene whose model sees the camera gets colour harmonics of ``sh_degree``, if that is 1 or more.

    Raises:
        HgsError: if there is no such file or model, or it cannot be read.
    """
    from hgs_toolkit.exporters.table import read_asset

    model, at, seed = text.rpartition("@")
    if at and not Path(text).exists():
        return _sampled(Path(model) if model else None, seed, psi, device, sh_degree or 0)
    return read_asset(text, frame)


def _sampled(model_path: Path | None, seed: str, psi: float, device: str, sh_degree: int) -> Asset:
    from hgs_toolkit.checkpoint import load_model, model_config
    from hgs_toolkit.sampling import parse_seeds, sample_assets

    seeds = parse_seeds(seed)
    if len(seeds) > 1:
        raise ConfigError(f"'@{seed}' names {len(seeds)} seeds; expected one, 'hgs sample' makes many")
    model = load_model(model_path, device)
    asset = next(sample_assets(model, seeds, psi, name=model_config(model_path).name))
    if not (sh_degree and model.config.view_dependent_color):
        return asset
    from hgs_toolkit.view_color import fit_view_color

    return replace(asset, scene=fit_view_color(model, asset.scene, sh_degree)[0])


def model_and_out(paths: list[Path]) -> tuple[Path | None, Path]:
    """The two paths of ``[MODEL] OUT``; None for the model that ships.

    Raises:
        BadParameter: if there are more.
    """
    if len(paths) > 2:
        raise typer.BadParameter(f"{len(paths)} paths; expected [MODEL] OUT")
    return (paths[0] if len(paths) == 2 else None), paths[-1]


def parse_levels(text: str | None) -> list[int] | None:
    """Levels of ``--levels``; None where it was not given."""
    from hgs_toolkit.gaussians import MAX_LEVELS
    from hgs_toolkit.ranges import parse_ranges

    return None if text is None else parse_ranges(text, "levels", MAX_LEVELS - 1)


def parse_background(text: str, natural: tuple[float, float, float]) -> tuple[float, float, float] | None:
    """The colour of ``--background``, RGB in 0..1: ``natural`` for 'auto', None for 'transparent'."""
    from PIL import ImageColor

    if text in ("auto", "transparent"):
        return natural if text == "auto" else None
    try:
        red, green, blue = ImageColor.getrgb(text)[:3]
    except ValueError:
        raise ConfigError(
            f"background '{text}' is no colour; expected a name, #rrggbb, 'transparent' or 'auto'"
        ) from None
    return red / 255, green / 255, blue / 255


def model_background(text: str, model: Generator) -> tuple[float, float, float] | None:
    """As :func:`parse_background` behind scenes of ``model``: 'auto' is black if it makes backgrounds, else white."""
    return parse_background(text, (0.0, 0.0, 0.0) if model.background_slot is not None else (1.0, 1.0, 1.0))
