"""What is taken home from a machine that is given back: at most 8 files of 16 MiB.

    python gpu/collect.py FOLDER --out COLLECTED

The average model with its weights in half precision, the log, the configuration, sample grids in one image, and the
steps' own lines. Untested on hardware.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file

MAX_FILES, MAX_BYTES = 8, 16 << 20
GRIDS = 4
"""Number of sample grids in the image, spread over the run."""


def collect(folder: Path, out: Path) -> list[Path]:
    """Copy what matters of ``folder``; the files made.

    Raises:
        FileNotFoundError: if there is no trained model.
    """
    out.mkdir(parents=True, exist_ok=True)
    run = folder / "run"
    made = [half_precision(run / "model.safetensors", out / "model.safetensors")]
    made += [Path(shutil.copy(path, out)) for path in (run / "config.yaml", run / "log.jsonl", folder / "steps.jsonl",
                                                       folder / "bench.json") if path.is_file()]  # fmt: skip
    grids = sorted((run / "samples").glob("kimg-*.png"))
    if grids:
        made.append(side_by_side([grids[i * (len(grids) - 1) // max(GRIDS - 1, 1)] for i in range(GRIDS)], out))
    large = [path.name for path in made if path.stat().st_size > MAX_BYTES]
    for name in large:
        (out / name).unlink()
        print(f"{name} is larger than {MAX_BYTES >> 20} MiB and was left out")
    return [path for path in made if path.name not in large][:MAX_FILES]


def half_precision(model: Path, to: Path) -> Path:
    """A model file with its floating-point tensors in float16; the header's entries stay."""
    with safe_open(model, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
        facts = file.metadata()
    halves = {name: value.half() if value.is_floating_point() else value for name, value in tensors.items()}
    save_file({name: value.contiguous() for name, value in halves.items()}, to, facts)
    assert all(bool(torch.isfinite(value).all()) for value in halves.values() if value.is_floating_point())
    return to


def side_by_side(grids: list[Path], out: Path) -> Path:
    """The images in one row."""
    images = [Image.open(path).convert("RGB") for path in dict.fromkeys(grids)]
    row = Image.new("RGB", (sum(image.width for image in images), max(image.height for image in images)))
    left = 0
    for image in images:
        row.paste(image, (left, 0))
        left += image.width
    row.save(out / "samples.jpg", quality=90)
    return out / "samples.jpg"


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    try:
        made = collect(arguments.folder, arguments.out)
    except OSError as error:
        print(f"nothing to collect: {error}")
        return 1
    for path in made:
        print(f"{path}  {path.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
