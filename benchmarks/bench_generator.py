"""The generator against the same network written plainly, its memory at 512², and bfloat16.

    python benchmarks/bench_generator.py [--rounds 5]

Prints seconds a scene of both at the 256² reference configuration with their largest difference, seconds a training
step of the lean configuration, peak memory of one 512² scene, and what bfloat16 autocast costs and changes.
"""

from __future__ import annotations

import argparse
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import torch
from plain_generator import Splats, synthesize

from hgs_toolkit.config import GeneratorConfig
from hgs_toolkit.gaussians import GaussianHierarchy
from hgs_toolkit.model.generator import Generator

REFERENCE_512 = GeneratorConfig(
    resolution=512, channels=(512, 512, 256, 128, 128, 128),
    level_blocks=("adaptive", "adaptive", "local", "local", "local"),
)  # fmt: skip
LEAN = GeneratorConfig(
    resolution=32, z_dim=64, w_dim=128, pose_conditioned=False, view_dependent_color=False, points=64,
    channels=(192, 128, 64, 48), level_blocks=("adain",) * 3, transformer_blocks=3, soft_clamp=10.0,
    head_init=(0.3,) * 5, background="none",
)  # fmt: skip


def make(config: GeneratorConfig) -> Generator:
    """A generator whose layer scales are not zero, so that every part counts."""
    torch.manual_seed(0)
    generator = Generator(config)
    for name, parameter in generator.named_parameters():
        if name.endswith(("style.weight", "layer_scale")):
            parameter.data += 0.1 * torch.randn_like(parameter)
    return generator


def seconds(rounds: int, *functions: Callable[[], object]) -> list[tuple[float, float]]:
    """Best wall and best processor seconds of each function, called in turn; processor time ignores other programs."""
    best = [(float("inf"), float("inf"))] * len(functions)
    for _ in range(rounds):
        for i, function in enumerate(functions):
            wall, cpu = time.perf_counter(), time.process_time()
            function()
            took = (time.perf_counter() - wall, time.process_time() - cpu)
            best[i] = (min(best[i][0], took[0]), min(best[i][1], took[1]))
    return best


def largest_difference(ours: GaussianHierarchy, plain: Splats) -> float:
    """Over all parameters of all Gaussians."""
    pairs = (
        (ours.means, plain.means), (ours.log_scales, plain.log_scales), (ours.quats, plain.quats),
        (ours.sh[:, :, 0], plain.colors), (ours.opacity_logits, plain.opacity_logits[..., 0]),
    )  # fmt: skip
    return max(float((a - b).abs().max()) for a, b in pairs)


def compare_with_plain(rounds: int) -> None:
    generator = make(GeneratorConfig()).eval()
    w = torch.randn(1, 512)
    with torch.inference_mode():
        ours, plain = generator.synthesize(w), synthesize(generator, w)
        times = seconds(rounds, lambda: generator.synthesize(w), lambda: synthesize(generator, w))
    for name, (wall, cpu) in zip(("ours", "plain"), times, strict=True):
        print(f"256² reference, {ours.num_gaussians} Gaussians, {name:5}: {wall:.3f} s, {cpu:.3f} s of processor time")
    (wall, cpu), (plain_wall, plain_cpu) = times
    print(f"  ratio {plain_wall / wall:.2f} (processor {plain_cpu / cpu:.2f}); largest difference "
          f"{largest_difference(ours, plain):.1e}")  # fmt: skip


def measure_bfloat16(rounds: int) -> None:
    generator = make(GeneratorConfig()).eval()
    w = torch.randn(1, 512)

    def run(bfloat16: bool) -> GaussianHierarchy:
        with torch.autocast("cpu", dtype=torch.bfloat16) if bfloat16 else nullcontext():
            return generator.synthesize(w)

    with torch.inference_mode():
        exact, rough = run(False), run(True)
        (full, _), (half, _) = seconds(rounds, lambda: run(False), lambda: run(True))
    moved, recolored = (rough.means - exact.means).abs(), (rough.sh - exact.sh).abs()
    print(f"256² in bfloat16: {half:.3f} s against {full:.3f} s; means move by {moved.mean():.1e} on average, "
          f"{moved.max():.1e} at most; SH colour by {recolored.mean():.1e}, {recolored.max():.1e}")  # fmt: skip


def measure_training(rounds: int) -> None:
    generator = make(LEAN)
    z = torch.randn(16, LEAN.z_dim)

    def step() -> None:
        scene = generator(z)
        sum(value.square().mean() for value in scene.parameters().values()).backward()
        generator.zero_grad()

    step()
    [(wall, cpu)] = seconds(rounds, step)
    print(f"lean, batch 16, {sum(LEAN.level_counts)} Gaussians, forward and backward: {wall:.3f} s, {cpu:.3f} s of "
          "processor time")  # fmt: skip


def report_memory(plainly: bool) -> None:
    """For a process of its own: peak resident memory of making a generator and one 512² scene."""
    with torch.inference_mode():
        generator = Generator(REFERENCE_512).eval()
        before, w = peak_gigabytes(), torch.randn(1, 512)
        if plainly:
            synthesize(generator, w)
        else:
            generator.synthesize(w)
    count = sum(REFERENCE_512.level_counts)
    print(f"512² reference, {count} foreground Gaussians, {'plain' if plainly else 'ours'}: peak memory "
          f"{peak_gigabytes():.2f} GB, {before:.2f} GB of it before the scene")  # fmt: skip


def peak_gigabytes() -> float:
    """From /proc, since a child's ru_maxrss starts at its parent's."""
    status = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in status if line.startswith("VmHWM")).split()[1]) / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--memory", choices=["ours", "plain"], help="only the memory of one 512² scene, in this process"
    )
    options = parser.parse_args()
    if options.memory:
        report_memory(options.memory == "plain")
        return
    print(f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    compare_with_plain(options.rounds)
    measure_training(options.rounds)
    for which in ("ours", "plain"):
        subprocess.run([sys.executable, __file__, "--memory", which], check=True)
    measure_bfloat16(2)


if __name__ == "__main__":
    main()
