"""Memory of a training step by preset: what a card must hold.

    python gpu/memory.py --out memory.json [--presets critters64-at64,ffhq256] [--device cuda] [--dry]

A step with its gradient penalty is made with two small batches; the straight line through the two peaks gives what the
networks and optimisers take and what each image of a batch adds. On a GPU the peak is torch's own count; on the CPU it
is that of all live tensors, in float32 where the processor has no bfloat16. What gsplat itself allocates and the
allocator's rounding are in the first and not in the second. Untested on hardware.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

from hgs_toolkit.config import Config
from hgs_toolkit.datasets.eg3d import PosedImages, open_dataset
from hgs_toolkit.datasets.eg3d_writer import open_writer
from hgs_toolkit.metrics import lite0
from hgs_toolkit.pose_prior import PosePrior
from hgs_toolkit.settings_io import load_preset
from hgs_toolkit.training.distributed import World
from hgs_toolkit.training.trainer import Trainer

PRESETS = ("critters32", "critters64-at64", "critters128-at128", "afhq256", "ffhq256", "afhq512", "ffhq512")
DRY_PRESETS = ("critters64-at16",)
BATCHES = (4, 8)
"""Sizes of the two batches: multiples of the groups that the discriminators look at together."""

DRY_BATCHES = (2, 4)
GIB = 1 << 30


class LiveTensors(TorchDispatchMode):
    """Counts the bytes of the tensors that are made within the block and still live; ``peak`` is their most."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.live = self.peak = 0
        self._known: dict[int, weakref.ref[torch.UntypedStorage]] = {}

    def add(self, tensor: torch.Tensor) -> None:
        """Count the memory of ``tensor`` unless it is counted."""
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if key in self._known:
            return

        def forget(_: object) -> None:
            self.live -= size
            del self._known[key]

        self._known[key] = weakref.ref(storage, forget)
        self.live += size
        self.peak = max(self.peak, self.live)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for value in tree_iter(made):
            if isinstance(value, torch.Tensor):
                self.add(value)
        return made


@dataclass
class Peak:
    """The most bytes that lived at once; known when the block ends."""

    bytes: int = 0


@contextmanager
def measuring(trainer: Trainer) -> Iterator[Peak]:
    """The memory of what is done in the block, with the networks and optimisers of ``trainer``."""
    peak, device = Peak(), trainer.world.device
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        yield peak
        peak.bytes = torch.cuda.max_memory_allocated(device)
        return
    counter = LiveTensors()
    for value in tree_iter(trainer.state()):
        if isinstance(value, torch.Tensor):
            counter.add(value)
    with counter:
        yield peak
    peak.bytes = counter.peak


def step_peak(config: Config, images: PosedImages, batch: int, device: torch.device) -> int:
    """Bytes at the peak of a step with its gradient penalty, after a first step that made the optimisers' moments."""
    training = dataclasses.replace(config.training, batch=batch, scenes=None)
    trainer = Trainer(dataclasses.replace(config, training=training), World(device=device))
    trainer.train_step(images)
    trainer.step = training.penalty_interval
    with measuring(trainer) as peak:
        trainer.train_step(images)
    return peak.bytes


def noise(resolution: int, folder: Path) -> PosedImages:
    """A set of few images of noise with alpha."""
    generator, path = np.random.default_rng(0), folder / f"noise{resolution}.zip"
    with open_writer(path) as writer:
        for label in PosePrior().sample(8, torch.Generator().manual_seed(0)).labels.numpy():
            writer.add(generator.integers(0, 256, (resolution, resolution, 4), np.uint8), label)
    return open_dataset(path)


def measure(preset: str, batches: tuple[int, int], device: torch.device) -> dict[str, Any]:
    """A row of the table."""
    config = load_preset(preset)
    if config.discriminator.kind == "projected" and not lite0.is_installed():
        config = dataclasses.replace(config, discriminator=config.discriminator.without_heads)
    with tempfile.TemporaryDirectory() as folder:
        images = noise(config.generator.resolution, Path(folder))
        few, many = (step_peak(config, images, batch, device) for batch in batches)
    an_image = (many - few) / (batches[1] - batches[0])
    fixed = few - an_image * batches[0]
    return {
        "preset": preset, "batch": config.training.batch, "fixed_gib": round(fixed / GIB, 3),
        "image_gib": round(an_image / GIB, 4), "batch_gib": round((fixed + an_image * config.training.batch) / GIB, 2),
    }  # fmt: skip


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--presets", default=None)
    parser.add_argument("--batches", default=None, help="two sizes, such as 4,8")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--dry", action="store_true")
    arguments = parser.parse_args()
    device = torch.device("cpu" if arguments.dry else arguments.device)
    presets = arguments.presets.split(",") if arguments.presets else DRY_PRESETS if arguments.dry else PRESETS
    batches = DRY_BATCHES if arguments.dry else BATCHES
    few, many = map(int, arguments.batches.split(",")) if arguments.batches else batches
    name = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
    rows = []
    for preset in presets:
        rows.append(measure(preset, (few, many), device))
        print(rows[-1], flush=True)
        # After every row: a card may be too small for the last ones.
        arguments.out.write_text(json.dumps({"device": name, "torch": torch.__version__, "rows": rows}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
