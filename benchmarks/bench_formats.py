"""How fast and in how much memory splat files are written and read, against plain NumPy on the same bytes.

    python benchmarks/bench_formats.py [--gaussians 1000000] [--degrees 0 3] [--repeats 3] [--suffixes .ply .spz ...]

The measures are ``tofile`` of the finished table of a .ply, the same with the assembly of that table, and ``fromfile``
with each column made contiguous; all in the same process, the least time of the repeats. "Write" is the format's writer
alone; "export" adds what every export does: that all is finite, a temporary file, fsync. Memory is the peak that
tracemalloc sees above what was there (NumPy's arrays), as a multiple of the .ply's data.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from hgs_toolkit.exporters.options import ExportOptions
from hgs_toolkit.exporters.splat_format import SplatFormat
from hgs_toolkit.exporters.table import FORMATS, export, load
from hgs_toolkit.gaussians import GaussianHierarchy


def make_scene(count: int, degree: int) -> GaussianHierarchy:
    random = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(1, count, *shape, generator=random)

    return GaussianHierarchy(
        means=0.3 * normal(3), log_scales=0.3 * normal(3) - 5, quats=normal(4),
        sh=0.3 * normal((degree + 1) ** 2, 3), opacity_logits=normal(),
    )  # fmt: skip


def least(repeats: int, work: Callable[[], object]) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def peak(work: Callable[[], object]) -> int:
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    work()
    result = tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()
    return result


class Baselines:
    """Plain NumPy on the bytes of a .ply of the scene: seconds, the least of the repeats."""

    def __init__(self, scene: GaussianHierarchy, plain: Path, repeats: int) -> None:
        parts = [value[0].numpy().reshape(scene.num_gaussians, -1) for value in scene.parameters().values()]
        parts.insert(1, np.zeros((scene.num_gaussians, 3), np.float32))  # normals
        table = np.concatenate(parts, axis=1)
        self.bytes, columns = table.nbytes, table.shape[1]
        self.tofile = least(repeats, lambda: table.tofile(plain))
        self.assemble = least(repeats, lambda: np.concatenate(parts, axis=1).tofile(plain))

        def read() -> list[np.ndarray]:
            return [np.ascontiguousarray(column) for column in np.fromfile(plain, np.float32).reshape(-1, columns).T]

        self.read = least(repeats, read)


def line(row: SplatFormat, scene: GaussianHierarchy, path: Path, plain: Baselines, repeats: int) -> str:
    """The measurements of one format as a row of the table."""
    assert row.writer is not None
    writer = row.writer
    straight = least(repeats, lambda: writer(path, scene, ExportOptions()))
    through = least(repeats, lambda: export(scene, path, overwrite=True))
    loading = least(repeats, lambda: load(path))
    memory = [peak(lambda: export(scene, path, overwrite=True)) / plain.bytes, peak(lambda: load(path)) / plain.bytes]
    cells = [f"{path.stat().st_size / 1e6:.0f}", *(f"{straight / base:.2f}" for base in (plain.assemble, plain.tofile))]
    cells += [f"{through / plain.assemble:.2f}", f"{loading / plain.read:.2f}", *(f"{share:.2f}" for share in memory)]
    return f"| `{row.suffix}` | {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gaussians", type=int, default=1_000_000)
    parser.add_argument("--degrees", type=int, nargs="+", default=[0, 3])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--suffixes", nargs="+", default=[f.suffix for f in FORMATS if f.reader and f.writer])
    args = parser.parse_args()
    rows = [row for row in FORMATS if row.suffix in args.suffixes and row.writer and row.reader]
    with tempfile.TemporaryDirectory() as name:
        for degree in args.degrees:
            scene = make_scene(args.gaussians, degree)
            plain = Baselines(scene, Path(name) / "plain.bin", args.repeats)
            print(f"degree {degree}: {plain.bytes / 1e6:.0f} MB; tofile {plain.tofile:.3f} s, with assembly "
                  f"{plain.assemble:.3f} s, fromfile and columns {plain.read:.3f} s")  # fmt: skip
            print("| format | MB | write / assembly and tofile | write / tofile | export / assembly and tofile | "
                  "load / fromfile | peak writing | peak reading |")  # fmt: skip
            for row in rows:
                print(line(row, scene, Path(name) / f"a{row.suffix}", plain, args.repeats), flush=True)


if __name__ == "__main__":
    main()
