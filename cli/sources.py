"""Input of commands: splat files, ``MODEL@SEED``, models, texts of levels and colours."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hgs_toolkit.errors import ConfigError, DataError

if TYPE_CHECKING:
    import torch

    from hgs_toolkit.asset import Asset
    from hgs_toolkit.cli.console import Reporter
    from hgs_toolkit.gaussians import GaussianHierarchy
    from hgs_toolkit.model.generator import Generator

Color = tuple[float, float, float]
"""RGB in 0..1."""

OTHER_ARCHIVES = (".rar", ".7z", ".tar", ".gz", ".tgz", ".xz", ".bz2")
"""Suffixes of archives that datasets are not written as."""

ASSET_HELP = "A splat file (.hgs, .ply, ...) or MODEL@SEED or MODEL@SEED:CLASS; @SEED alone samples the default model."


def _finite(value: float) -> float:
    """Refuse NaN, which no bound of an option does."""
    if math.isnan(value):
        raise typer.BadParameter("nan is not a number.")
    return value


AssetArgument = Annotated[str, typer.Argument(metavar="ASSET", help=ASSET_HELP, show_default=False)]
ModelArgument = Annotated[
    Path | None,
    typer.Argument(
        metavar="[MODEL]",
        help="A model.safetensors, a run folder, or a name that 'hgs models' lists; by default critters128.",
        show_default=False,
    ),
]
ModelAndOut = Annotated[
    list[Path],
    typer.Argument(metavar="[MODEL] OUT", help="A model (by default critters128), then the file to write."),
]
Psi = Annotated[
    float,
    typer.Option(
        "--psi",
        min=-2,
        max=2,
        callback=_finite,
        help="Truncation of sampled scenes: 0 is the average scene, 1 the full variety.",
    ),
]
ClassName = Annotated[
    str | None,
    typer.Option(
        "--class",
        metavar="NAME",
        help="Class of the scenes, such as chair or floppy+hat; by default each seed draws its own.",
        show_default=False,
    ),
]
Zoom = Annotated[float, typer.Option("--zoom", min=0.05, max=100, help="Factor on the size of the asset in view.")]
Levels = Annotated[
    str | None, typer.Option("--levels", help="Keep these levels, such as 0-3; all by default.", show_default=False)
]
Background = Annotated[
    str,
    typer.Option("--background", help="A colour (name or #rrggbb), 'transparent', or 'auto': white, or black for "
                                      "scenes with background Gaussians."),
]  # fmt: skip
DropInvalid = Annotated[
    bool,
    typer.Option("--drop-invalid", help="Leave out Gaussians with NaN or infinite values instead of refusing the file.",
                 show_default=False),
]  # fmt: skip


@dataclass(frozen=True)
class DrawableModel:
    """A model ready to be drawn.

    Attributes:
        model: the generator, on ``device``.
        device: where to draw.
        background: colour behind its scenes.
    """

    model: Generator
    device: torch.device
    background: Color | None


@dataclass(frozen=True)
class DrawableScene:
    """An asset ready to be shown.

    Attributes:
        asset: the whole asset, as it was read or sampled.
        scene: its Gaussians of the wanted levels.
        background: colour behind it; None for transparent.
    """

    asset: Asset
    scene: GaussianHierarchy
    background: Color | None


def open_model(
    report: Reporter, path: Path | None, device: str, background: str, *, draws: bool = True
) -> DrawableModel:
    """The model at ``path`` (None: the one that ships); the rasteriser of ``device`` is compiled if it ``draws``."""
    from hgs_toolkit.model_files import model_config

    model_config(path)  # says what is wrong with the file before torch is imported
    from hgs_toolkit.checkpoint import load_model
    from hgs_toolkit.cli.kernels import compile_kernels
    from hgs_toolkit.devices import choose_device

    target = choose_device(device)
    model = load_model(path, target)
    # Scenes with a background of their own were trained over black.
    natural = (0.0, 0.0, 0.0) if model.background_slot is not None else (1.0, 1.0, 1.0)
    color = parse_background(background, natural)
    if draws:
        compile_kernels(report, target)
    return DrawableModel(model, target, color)


def open_scene(
    text: str, psi: float, device: str, levels: str | None, background: str, drop_invalid: bool = False,
    root: int | None = None,
) -> DrawableScene:  # fmt: skip
    """The asset that ``text`` means, with the texts of ``--levels`` and ``--background`` applied.

    Args:
        root: index in the whole scene of the Gaussian of which alone, with all below it, the levels are chosen.
    """
    wanted = parse_levels(levels)
    check_background(background)
    asset = open_asset(text, psi, device, drop_invalid=drop_invalid)
    from hgs_toolkit.exporters.table import chosen_levels
    from hgs_toolkit.imaging.looks import subtree
    from hgs_toolkit.imaging.scene_images import natural_background

    color = parse_background(background, natural_background(asset.scene))
    whole = asset.scene if root is None else subtree(asset.scene, root)
    return DrawableScene(asset, chosen_levels(whole, wanted), color)


def is_sampled(text: str) -> bool:
    """Whether ``text`` means a scene of a model, MODEL@SEED: it has an @ and is no name of something that exists."""
    return "@" in text and not Path(text).exists()


def check_asset(text: str) -> None:
    """Raise what :func:`open_asset` raises for a file or model that is missing or of an unknown kind, without torch."""
    from hgs_toolkit.exporters.table import check_source
    from hgs_toolkit.model_files import model_config
    from hgs_toolkit.ranges import parse_seeds

    if is_sampled(text):
        model, _, seeds = text.rpartition("@")
        seeds, _, name = seeds.partition(":")
        parse_seeds(seeds)
        config = model_config(Path(model) if model else None)
        if name:
            config.generator.classes.parse(name)
    else:
        check_source(Path(text))


RUN_FILES = ("config.yaml", "plan.yaml")
"""Files by which the folder of a run is known: of one stage, or of several."""


def check_data(path: Path) -> None:
    """Raise a DataError if there is no dataset at ``path``, as far as names tell; nothing is read."""
    if not path.exists():
        raise DataError(f"{path} does not exist; expected a folder or a zip archive")
    if (path / "model.safetensors").is_file() and any((path / name).is_file() for name in RUN_FILES):
        raise DataError(f"{path} is the folder of a run; expected a dataset, meshes or images")


def check_data_out(out: Path, *, force: bool) -> None:
    """Raise an HgsError if no dataset can be written to ``out``: another archive than .zip, or a name in use."""
    from hgs_toolkit.files import refuse_overwrite

    if out.suffix.lower() in OTHER_ARCHIVES:
        raise ConfigError(f"{out} has the suffix '{out.suffix}'; expected a .zip archive or a folder")
    refuse_overwrite(out, force=force)


def open_asset(
    text: str, psi: float, device: str, frame: str | None = None, sh_degree: int | None = None,
    drop_invalid: bool = False,
) -> Asset:  # fmt: skip
    """The asset that ``text`` means: a file, read as ``table.load`` does, or a scene of a model.

    A sampled scene whose model sees the camera gets colour harmonics of ``sh_degree``, if that is 1 or more.

    Raises:
        HgsError: if there is no such file or model, or it cannot be read.
    """
    from hgs_toolkit.exporters.table import read_asset

    if is_sampled(text):
        model, _, seed = text.rpartition("@")
        return _sampled(Path(model) if model else None, seed, psi, device, sh_degree or 0)
    return read_asset(text, frame, drop_invalid=drop_invalid)


def _sampled(model_path: Path | None, seed: str, psi: float, device: str, sh_degree: int) -> Asset:
    from hgs_toolkit.model_files import model_config
    from hgs_toolkit.ranges import parse_seeds

    seed, _, class_name = seed.partition(":")
    seeds = parse_seeds(seed)
    if len(seeds) > 1:
        raise ConfigError(f"'@{seed}' names {len(seeds)} seeds; expected one, 'hgs sample' makes many")
    name = model_config(model_path).name
    from hgs_toolkit.checkpoint import load_model
    from hgs_toolkit.sampling import sample_assets

    model = load_model(model_path, device)
    asset = next(sample_assets(model, seeds, psi, name=name, classes=class_name or None))
    if not (sh_degree and model.config.view_dependent_color):
        return asset
    from hgs_toolkit.view_color import fit_view_color

    return replace(asset, scene=fit_view_color(model, asset.scene, sh_degree)[0])


def model_and_out(paths: list[Path]) -> tuple[Path | None, Path]:
    """The two paths of ``[MODEL] OUT``; None for the default model.

    Raises:
        BadParameter: if there are more.
    """
    if len(paths) > 2:
        raise typer.BadParameter(f"{len(paths)} paths; expected [MODEL] OUT")
    return (paths[0] if len(paths) == 2 else None), paths[-1]


def parse_levels(text: str | None) -> list[int] | None:
    """Levels of ``--levels``; None where it was not given."""
    from hgs_toolkit import ranges

    return None if text is None else ranges.parse_levels(text)


def parse_background(text: str, natural: Color) -> Color | None:
    """The colour of ``--background``: ``natural`` for 'auto', None for 'transparent'."""
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


def check_background(text: str, *, opaque: str = "") -> None:
    """Refuse a text that is no background; with ``opaque``, the name of an output, also 'transparent'.

    Raises:
        ConfigError: naming what is wrong.
    """
    parse_background(text, (1.0, 1.0, 1.0))
    if opaque and text == "transparent":
        raise ConfigError(f"{opaque} has no transparency; choose a colour for --background")


def parse_angles(text: str, option: str) -> list[float]:
    """Degrees of a list such as ``0,90,-30``.

    Raises:
        BadParameter: naming the option and the text that is not a number.
    """
    try:
        angles = [float(part) for part in text.split(",")]
    except ValueError:
        angles = [math.nan]
    if not all(abs(angle) <= 360 for angle in angles):
        raise typer.BadParameter(f"'{text}' is no list of degrees such as 0,90,-30.", param_hint=f"'{option}'")
    return angles


def parse_classes(model: Path | None, text: str | None, seeds: int) -> str | list[str] | None:
    """The class of all scenes, or one for each, of a text such as ``chair`` or ``chair,table``; without torch.

    Raises:
        BadParameter: naming a class that the model at ``model`` does not have, or if there is neither one name nor
            one for each of the ``seeds``.
    """
    check_class(model, None)
    if text is None:
        return None
    names = [name.strip() for name in text.split(",")]
    for name in names:
        check_class(model, name)
    if len(names) not in (1, seeds):
        raise typer.BadParameter(
            f"{len(names)} classes for {seeds} seeds; expected one, or one for each.", param_hint="'--class'"
        )
    return names[0] if len(names) == 1 else names


def check_class(model: Path | None, name: str | None, option: str = "--class") -> None:
    """Refuse a class that the model at ``model`` (None: the one that ships) does not have, without torch.

    Raises:
        BadParameter: naming the option, the wrong class and the right ones.
    """
    from hgs_toolkit.model_files import model_config

    prior = model_config(model).generator.classes
    if name is None:
        return
    try:
        prior.parse(name)
    except ConfigError as error:
        raise typer.BadParameter(str(error), param_hint=f"'{option}'") from None


def parse_names(text: str, known: Sequence[str], option: str) -> list[str]:
    """Names of a list such as ``kid,fid``, each of ``known``.

    Raises:
        BadParameter: naming the option, the wrong name and the right ones.
    """
    names = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    for name in names:
        if name not in known:
            right = ", ".join(f"'{one}'" for one in known)
            raise typer.BadParameter(f"'{name}' is not one of {right}.", param_hint=f"'{option}'")
    return names
