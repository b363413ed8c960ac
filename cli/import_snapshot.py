"""``hgs import``: a checkpoint of the reference model's authors as ours, without running anything of the file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hgs_toolkit.cli.console import Force, JsonProgress, reporting

if TYPE_CHECKING:
    from hgs_toolkit.gsgan.snapshot import ImportedCheckpoint

TRAINING_SUFFIX = ".training.safetensors"
"""Suffix, in place of ``.safetensors``, of the file that training continues from."""


def import_snapshot(
    snapshot: Annotated[
        Path, typer.Argument(metavar="FILE.pkl", help="A network-snapshot-*.pkl of GSGAN.", show_default=False)
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT.safetensors", help="The model to write.", show_default=False)],
    model_only: Annotated[
        bool, typer.Option("--model-only", help="Leave out the file that training continues from.", show_default=False)
    ] = False,
    force: Force = False,
    json_progress: JsonProgress = False,
) -> None:
    """Import a GSGAN checkpoint: OUT to sample from, and OUT's name .training.safetensors for 'hgs train --init'."""
    with reporting(json_progress) as report:
        from hgs_toolkit.checkpoint import save_weights
        from hgs_toolkit.errors import ConfigError
        from hgs_toolkit.files import refuse_overwrite
        from hgs_toolkit.gsgan.snapshot import import_gsgan
        from hgs_toolkit.training.networks import Networks, save_networks

        if out.suffix.lower() != ".safetensors":
            raise ConfigError(f"{out} has the suffix '{out.suffix}'; expected .safetensors")
        training_out = out.with_name(out.stem + TRAINING_SUFFIX)
        for path in [out] if model_only else [out, training_out]:
            refuse_overwrite(path, force=force)
        report.claim(out)
        with report.progress(f"reading {snapshot}", total=100) as task:
            found = import_gsgan(snapshot, lambda done, total: task.update(100 * done // total))
        facts = _facts(snapshot)
        save_weights(out, found.ema_state, found.config, facts, force=force)
        report.file(out)
        if not model_only:
            networks = Networks(found.config, found.generator_state, found.ema_state, found.discriminator_state)
            save_networks(training_out, networks, facts, force=force)
            report.file(training_out)
        report.note(_summary(found))


def _facts(snapshot: Path) -> dict[str, str]:
    """Where the model comes from; the authors' file names carry the thousands of images it was trained on."""
    from hgs_toolkit.files import sha256

    facts = {"imported from": snapshot.name, "imported sha256": sha256(snapshot)}
    named = re.search(r"network-snapshot-(\d{1,9})\.pkl$", snapshot.name)
    return facts | ({"kimg": str(int(named[1]))} if named else {})


def _summary(found: ImportedCheckpoint) -> str:
    generator = found.config.generator
    return (
        f"{generator.levels} levels, {sum(generator.level_counts):,} Gaussians at {generator.resolution}², "
        f"rendered with the focal length {generator.render_focal} it was trained with"
    )
