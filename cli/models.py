"""``hgs models``: the models that ship with the package."""

from __future__ import annotations

from dataclasses import asdict

from hgs_toolkit.cli.console import JsonProgress, format_bytes, reporting


def models(json_progress: JsonProgress = False) -> None:
    """List the models that ship: a name can stand wherever a command takes a model."""
    with reporting(json_progress) as report:
        from hgs_toolkit.model_files import shipped_models

        found = shipped_models()
        if report.json_lines:
            report.event("result", models=[asdict(model) for model in found])
            return
        rows = [
            [
                f"{model.name} (default)" if model.default else model.name, model.licence, format_bytes(model.size),
                f"{model.gaussians:,} Gaussians, {model.resolution} px", model.poses,
                ", ".join(f"{name} {value:g}" for name, value in model.figures.items()) or "-",
            ]
            for model in found
        ]  # fmt: skip
        report.table(["model", "licence", "file", "size", "poses", "figures"], rows)
