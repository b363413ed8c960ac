"""Tables that ``hgs train`` prints instead of training: the presets and the settings."""

from __future__ import annotations

import typer

from hgs_toolkit.cli.console import reporting


def print_presets(wanted: bool) -> None:
    """Callback of --list: print the presets and end."""
    if not wanted:
        return
    with reporting() as report:
        from hgs_toolkit.model_files import PRETRAINED
        from hgs_toolkit.settings_io import load_preset, preset_names

        rows = []
        for name in preset_names():
            config = load_preset(name)
            generator = config.generator
            size = f"{sum(generator.level_counts):,} Gaussians, {generator.resolution} px"
            trained = (PRETRAINED.parent / f"{name}.safetensors").is_file()
            rows.append([name, size, "yes" if trained else "no", config.description])
        report.table(["preset", "size", "a model of this name ships", "description"], rows)
    raise typer.Exit


def print_settings(wanted: bool) -> None:
    """Callback of --settings: print every setting and end."""
    if not wanted:
        return
    with reporting() as report:
        from hgs_toolkit.cli.settings_table import list_settings

        rows = [[one.key, one.kind, one.default, one.meaning] for one in list_settings()]
        report.table(["key", "type", "default", "meaning"], rows)
    raise typer.Exit
