"""The generator against the same network written plainly, its memory at 512², and bfloat16.

    python benchmarks/bench_generator.py [--rounds 5]

Prints seconds a scene of both at the 256² reference configuration with their largest difference, seconds a training
step of the lean configuration, peak memory of one 512² scene, the time of the matrix products alone, what a batch
saves, and what bfloat16 autocast costs and changes in pictures.
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
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from hgs_toolkit.checkpoint import load_model
from hgs_toolkit.config import GeneratorConfig
from hgs_toolkit.gaussians import GaussianHierarchy
from hgs_toolkit.model.generator import Generator
from hgs_toolkit.rendering import render
from hgs_toolkit.sampling import latents

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from experiments.plain_generator import Splats, synthesize

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


class Products(TorchDispatchMode):
    """Notes the shapes of all matrix products that are computed within."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.shapes: list[list[torch.Size]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.overloadpacket in (torch.ops.aten.mm, torch.ops.aten.addmm, torch.ops.aten.bmm, torch.ops.aten.baddbmm):
            self.shapes.append([argument.shape for argument in args[-2:]])
        return func(*args, **(kwargs or {}))

    @property
    def flops(self) -> float:
        """Multiplications and additions."""
        return sum(2.0 * a.numel() * b[-1] for a, b in self.shapes)


def account(rounds: int) -> None:
    """The matrix products of both, and the time that ours take when nothing else is done."""
    generator, w = make(GeneratorConfig()).eval(), torch.randn(1, 512)
    with torch.no_grad():
        with Products() as ours:
            generator.synthesize(w)
        with Products() as plain:
            synthesize(generator, w)
        # Operands of a piece are just made and still in the cache when they are multiplied: one pair for each shape.
        operands = {str(shapes): [torch.randn(shape) for shape in shapes] for shapes in ours.shapes}
        pairs = [operands[str(shapes)] for shapes in ours.shapes]
        (wall, cpu), _, (plain_wall, plain_cpu) = seconds(
            rounds, lambda: [a @ b for a, b in pairs], lambda: generator.synthesize(w), lambda: synthesize(generator, w)
        )
    print(f"matrix products: {ours.flops / 1e9:.1f} GFLOP, plain {plain.flops / 1e9:.1f}; ours alone take "
          f"{wall:.3f} s, {cpu:.3f} s of processor time, so that no ratio above {plain_wall / wall:.2f} "
          f"(processor {plain_cpu / cpu:.2f}) can be had")  # fmt: skip


def measure_batch(rounds: int) -> None:
    """What a scene costs when several are made at once."""
    generator = make(GeneratorConfig()).eval()
    w = torch.randn(4, 512)
    with torch.inference_mode():
        (one, one_cpu), (four, four_cpu) = seconds(
            rounds, lambda: generator.synthesize(w[:1]), lambda: generator.synthesize(w)
        )
    print(f"256² a scene, alone and in a batch of 4: {one:.3f} and {four / 4:.3f} s, processor {one_cpu:.3f} and "
          f"{four_cpu / 4:.3f} s")  # fmt: skip


def measure_bfloat16(rounds: int, model: Path | None) -> None:
    """Time and what changes in the pictures, for the reference configuration and for a trained model."""
    bfloat16_of("reference 256², random weights", make(GeneratorConfig()).eval(), rounds)
    if model is not None:
        bfloat16_of(str(model.name), load_model(model, "cpu"), rounds)


def bfloat16_of(name: str, generator: Generator, rounds: int, scenes: int = 8) -> None:
    config = generator.config
    w = generator.map(latents(range(scenes), config.z_dim), psi=0.7)
    cameras = config.poses.sample(scenes, torch.Generator().manual_seed(0)).with_focal(config.render_focal)

    def run(row: slice, bfloat16: bool) -> GaussianHierarchy:
        with torch.autocast("cpu", dtype=torch.bfloat16) if bfloat16 else nullcontext():
            return generator.synthesize(w[row], cameras[row].forward)

    def pictures(bfloat16: bool) -> torch.Tensor:
        size = config.resolution
        rows = [slice(i, i + 1) for i in range(scenes)]
        scenes_of = [render(run(row, bfloat16), cameras[row].reshape(1, 1), size, size)[0] for row in rows]
        return torch.cat(scenes_of).clamp(0, 1)

    with torch.inference_mode():
        psnr = -10 * (pictures(True) - pictures(False)).square().flatten(1).mean(1).log10()
        one = slice(0, 1)
        (full, full_cpu), (half, half_cpu) = seconds(rounds, lambda: run(one, False), lambda: run(one, True))
    print(f"{name} in bfloat16: {half:.3f} s against {full:.3f} s (processor {half_cpu:.3f} against {full_cpu:.3f}), "
          f"pictures of {scenes} scenes differ by {psnr.mean():.1f} dB PSNR, {psnr.min():.1f} at least")  # fmt: skip


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
    parser.add_argument("--model", type=Path, help="a trained model, whose pictures in bfloat16 are compared, too")
    options = parser.parse_args()
    if options.memory:
        report_memory(options.memory == "plain")
        return
    print(f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    compare_with_plain(options.rounds)
    measure_training(options.rounds)
    for which in ("ours", "plain"):
        subprocess.run([sys.executable, __file__, "--memory", which], check=True)
    account(options.rounds)
    measure_batch(options.rounds)
    measure_bfloat16(options.rounds, options.model)


if __name__ == "__main__":
    main()
