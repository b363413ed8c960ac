"""Tables that ``hgs train`` prints instead of training: the presets."""

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
            rows.append([name, size, "ships with the package" if trained else "no", config.description])
        report.table(["preset", "size", "trained", "description"], rows)
    raise typer.Exit
