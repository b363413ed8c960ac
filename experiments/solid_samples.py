"""How many samples of a model `hgs mesh` makes one solid piece of, and what Khronos' validator says of the files.

    python experiments/solid_samples.py [--model RUN_OR_FILE] [--seeds 100] [--resolution 128] [--faces 0] [...]

A solid is watertight, wound the same way and outward everywhere (its volume is positive) and in one part, as it is
written, with the default ``--keep largest``. The first ``--validate`` (10) meshes are written as .glb with vertex
colours and checked by gltf-validator (node; `make test-oracles` installs it). 0 triangles keep all.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import tempfile
import time
from collections import Counter
from pathlib import Path
from statistics import mean, pstdev
from typing import Any

from hgs_toolkit.checkpoint import load_model
from hgs_toolkit.exporters.meshes.meshing import mesh
from hgs_toolkit.exporters.meshes.placement import MeshPlacement
from hgs_toolkit.exporters.meshes.report import describe_mesh
from hgs_toolkit.exporters.meshes.table import write_mesh
from hgs_toolkit.sampling import sample_assets

NODE = Path(__file__).resolve().parents[1] / "tests" / "oracles" / "node"

REQUIRED_SHARE = 0.9


def faults(report: dict[str, Any]) -> list[str]:
    """What keeps a mesh from being a solid, by name."""
    found = {
        "not watertight": not report["watertight"],
        "wound both ways": not report["consistent_winding"],
        "normals inward": report["volume"] <= 0,
        f"{report['parts']} parts": report["parts"] != 1,
    }
    return [name for name, holds in found.items() if holds]


def remarks(path: Path) -> tuple[int, int]:
    """Errors and warnings of gltf-validator."""
    command = [shutil.which("node") or "node", "validate_gltf.mjs", str(path)]
    issues = json.loads(subprocess.run(command, cwd=NODE, capture_output=True, text=True, check=True).stdout)
    return issues["numErrors"], issues["numWarnings"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="a run folder or model.safetensors; that of the package if not given")
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--resolution", type=int, default=128)
    parser.add_argument("--faces", type=int, default=0)
    parser.add_argument("--validate", type=int, default=10)
    args = parser.parse_args()
    validated = args.validate if (NODE / "node_modules").exists() else 0
    tally: Counter[str] = Counter()
    volumes: list[float] = []
    outsets: list[float] = []
    solid, errors, warnings, start = 0, 0, 0, time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        for seed, asset in enumerate(sample_assets(load_model(args.model, "cpu"), range(args.seeds))):
            checked = seed < validated
            made = mesh(
                asset.scene, resolution=args.resolution, faces=args.faces, color="vertex" if checked else "none"
            )
            report = describe_mesh(made, MeshPlacement())
            solid += bool(report["solid"])
            volumes.append(report["volume"])
            outsets.append(report["outset"])
            if found := faults(report):
                tally.update(found)
                print(f"seed {seed}: {', '.join(found)}", flush=True)
            tally["with handles or holes (Euler number below 2)"] += report["euler_number"] < 2
            if checked:
                write_mesh(Path(folder) / "a.glb", made, overwrite=True)
                own = remarks(Path(folder) / "a.glb")
                errors, warnings = errors + own[0], warnings + own[1]
    print(f"{solid} of {args.seeds} are one solid piece (required: {REQUIRED_SHARE:.0%}); "
          f"{time.perf_counter() - start:.0f} s")  # fmt: skip
    print(f"volume {mean(volumes):.3f} (deviation {pstdev(volumes):.3f}), outset {mean(outsets):.2f}")
    print(*(f"{count} {name}" for name, count in sorted(tally.items()) if count), sep="\n")
    print(f"gltf-validator, {validated} files: {errors} errors, {warnings} warnings" if validated else
          "gltf-validator is not installed (make test-oracles)")  # fmt: skip


if __name__ == "__main__":
    main()
