"""Train on this machine for some minutes, and go on where the last piece ended.

    python gpu/train.py FOLDER [--minutes 8] [--preset critters64-at64] [--dry]

The critters are drawn on the machine at the first piece. A time limit or SIGTERM ends a piece with its state saved, as
``hgs train`` does. Untested on hardware.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from pathlib import Path

from hgs_toolkit.metrics import lite0
from hgs_toolkit.settings_io import load_preset

PIXELS_ALONE = ("discriminator.kind=residual", "training.r1_gamma=0.04", "training.r2_gamma=0.04")
"""Settings without heads on pretrained features."""

IMAGES, DRY_IMAGES = 20_000, 24

DRY_SETTINGS = (
    "training.batch=4", "training.kimg=0.008", "training.tick_kimg=0.004", "training.grid=2", "training.metric_kimg=0",
)  # fmt: skip


def main() -> int:
    """The command line; the exit status is that of the command that failed, or 0."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--preset", default=None)
    parser.add_argument("--resolution", type=int, default=None)
    parser.add_argument("--dry", action="store_true")
    arguments = parser.parse_args()
    preset = arguments.preset or ("critters32" if arguments.dry else "critters64-at64")
    resolution = arguments.resolution or (32 if arguments.dry else 64)
    data, run = arguments.folder / "critters.zip", arguments.folder / "run"
    arguments.folder.mkdir(parents=True, exist_ok=True)
    if not data.exists():
        count = DRY_IMAGES if arguments.dry else IMAGES
        made = hgs(
            "dataset", "demo", "--kind", "critters", "--count", str(count), "--resolution", str(resolution),
            "--out", str(data),
        )  # fmt: skip
        if made:
            return made
    device = ("--device", "cpu" if arguments.dry else "cuda")
    piece = ("--data", str(data), "--out", str(run), "--minutes", f"{arguments.minutes:g}", *device)
    if (run / "state.pt").exists():
        return hgs("train", *piece, "--resume")
    settings: tuple[str, ...] = DRY_SETTINGS if arguments.dry else ("training.batch=64",)
    if load_preset(preset).discriminator.kind == "projected" and not lite0.is_installed():
        settings += PIXELS_ALONE
    return hgs("train", *piece, "--preset", preset, *(word for setting in settings for word in ("--set", setting)))


def hgs(*arguments: str) -> int:
    """Run a command of the toolkit; SIGTERM is passed on to it, and it is waited for."""
    process = subprocess.Popen([sys.executable, "-m", "hgs_toolkit.cli", *arguments], env=os.environ)
    before = signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    try:
        return process.wait()
    finally:
        signal.signal(signal.SIGTERM, before)


if __name__ == "__main__":
    sys.exit(main())
