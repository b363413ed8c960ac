"""What a forward and backward pass of the CPU rasteriser is made of, beside an earlier state of it and a peer in C++.

    python benchmarks/bench_rasterizer_shares.py [--against CHECKOUT] [--rounds 12] [--no-peer]

One thread, processor time. Every program is a process of its own (this checkout, the other one, the peer); in each
round they draw the same scenes one after the other, so that what else the machine does hits all of them alike. The
least of all rounds counts, phase by phase for the shares. "rest" is Python, torch and allocation. The peer is
benchmarks/peer/rasterizer.cpp, built with the machine's own compiler at -O3 -march=native; its images and gradients are
compared with ours first. It starts where tensors are arrays already, and its rest is nothing but NumPy's allocation.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
CASES = ((1, 20_000, 256, 0.01), (8, 5_000, 64, 0.02), (16, 5_000, 64, 0.02), (1, 150_000, 512, 0.005))
"""Scenes, Gaussians of each, pixels along a side, typical standard deviation."""

PHASES = {
    "projection": ("project", "shade_visible", "project_vjp"),
    "binning": ("find_spans", "collect_pairs"),
    "compositing": ("composite",),
    "its backward": ("composite_vjp",),
}
"""The kernels of a phase; what is in none of them is "rest"."""

Seconds = dict[str, float]


def make_inputs(case: int) -> dict[str, Any]:
    """A ball of Gaussians that fills most of the image; everything but cameras asks for gradients."""
    import torch

    from hgs_toolkit.cameras import frontal

    scenes, count, size, scale = CASES[case]
    generator = torch.Generator().manual_seed(0)
    camera = frontal(focal=1.4).expand(scenes, 1)
    inputs = {
        "means": torch.randn(scenes, count, 3, generator=generator) * 0.35,
        "quats": torch.randn(scenes, count, 4, generator=generator),
        "scales": (torch.randn(scenes, count, 3, generator=generator) * 0.5).exp() * scale,
        "opacities": torch.rand(scenes, count, generator=generator),
        "colors": torch.rand(scenes, count, 3, generator=generator),
        "backgrounds": torch.rand(scenes, 1, 3, generator=generator),
    }
    leaves = {name: value.requires_grad_() for name, value in inputs.items()}
    return leaves | {"viewmats": camera.viewmats, "Ks": camera.pixel_intrinsics(size, size)}


def kernels() -> Callable[[int], Seconds]:
    """What draws a case with the package at the head of ``sys.path`` and tells the seconds of every kernel."""
    import torch

    from hgs_toolkit.rendering import rasterize, warm_up
    from hgs_toolkit.rendering.cpu import workers

    torch.set_num_threads(1)
    spent: Seconds = {}
    run = workers.run

    def timed(kernel: Any, *args: Any) -> None:
        start = time.thread_time()
        run(kernel, *args)
        name = kernel.py_func.__name__
        spent[name] = spent.get(name, 0.0) + time.thread_time() - start

    workers.run = timed
    warm_up()
    made = {case: make_inputs(case) for case in range(len(CASES))}

    def draw(case: int) -> Seconds:
        inputs, size = made[case], CASES[case][2]
        leaves = [value for value in inputs.values() if value.requires_grad]
        spent.clear()
        start = time.thread_time()
        image, alpha = rasterize(**inputs, width=size, height=size, backend="cpu")
        middle = time.thread_time()
        weights = [torch.ones_like(image), torch.ones_like(alpha)]
        again = time.thread_time()
        torch.autograd.grad([image, alpha], leaves, weights)
        return {**spent, "whole": time.thread_time() - again + middle - start}

    return draw


@dataclass
class Peer:
    """The C++ peer's library, with a scene of each case."""

    library: ctypes.CDLL
    arrays: dict[int, dict[str, Any]]
    states: dict[int, int]

    @classmethod
    def build(cls, folder: Path) -> Peer:
        """Compile and load it."""
        from hgs_toolkit.rendering.cpu.projection import camera_table

        path, flags = folder / "peer.so", ["-O3", "-march=native", "-ffast-math", "-std=c++17", "-shared", "-fPIC"]
        subprocess.run(["g++", *flags, str(HERE / "peer" / "rasterizer.cpp"), "-o", str(path)], check=True)
        library = ctypes.CDLL(str(path))
        library.start.restype = ctypes.c_void_p
        library.seconds.restype = ctypes.POINTER(ctypes.c_double)
        arrays, states = {}, {}
        for case, (scenes, count, size, _) in enumerate(CASES):
            inputs = {name: value.detach().numpy() for name, value in make_inputs(case).items()}
            table = camera_table(inputs.pop("viewmats"), inputs.pop("Ks"), size, size).astype(np.float32)
            states[case] = library.start(scenes, count, size, size, _address(table))
            arrays[case] = inputs
        return cls(library, arrays, states)

    def draw(self, case: int) -> tuple[dict[str, Any], Seconds]:
        """Images, alphas and gradients of ones, and the seconds of every phase."""
        (scenes, _, size, _), given = CASES[case], self.arrays[case]
        state, names = ctypes.c_void_p(self.states[case]), ("means", "quats", "scales", "opacities", "colors")
        ones = np.ones((scenes, size, size, 4), np.float32)
        start = time.thread_time()
        image, alpha = np.empty((scenes, size, size, 3), np.float32), np.empty((scenes, size, size), np.float32)
        given_to = [_address(given[name]) for name in names]
        background = _address(given["backgrounds"])
        self.library.forward(state, *given_to, background, _address(image), _address(alpha))
        grads = {name: np.empty_like(given[name]) for name in (*names, "backgrounds")}
        self.library.backward(
            state, *given_to[:-1], background, _address(ones), _address(ones), *map(_address, grads.values())
        )
        whole = time.thread_time() - start
        spent = self.library.seconds(state)
        phases = ("project", "collect_pairs", "composite", "composite_vjp", "project_vjp")
        drawn = {"image": image, "alpha": alpha, **grads}
        return drawn, {**{name: spent[k] for k, name in enumerate(phases)}, "whole": whole}

    def check(self, case: int) -> None:
        """Fail unless images and gradients are ours but for rounding."""
        import torch

        from hgs_toolkit.rendering import rasterize

        inputs, size = make_inputs(case), CASES[case][2]
        image, alpha = rasterize(**inputs, width=size, height=size, backend="cpu")
        leaves = {name: value for name, value in inputs.items() if value.requires_grad}
        grads = torch.autograd.grad([image, alpha], list(leaves.values()), [torch.ones_like(v) for v in (image, alpha)])
        ours = {"image": image, "alpha": alpha, **dict(zip(leaves, grads, strict=True))}
        for name, value in self.draw(case)[0].items():
            mine = ours[name].detach().numpy().reshape(value.shape)
            difference = np.linalg.norm(value - mine) / np.linalg.norm(mine)
            if not difference < 1e-3:
                raise SystemExit(f"the peer's {name} differs by {difference:.1e} in case {CASES[case]}")


def _address(array: Any) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


def serve(role: str) -> None:
    """Answer every case's number on standard input with a line of seconds: the process of one program."""
    with tempfile.TemporaryDirectory() as folder:
        if role == "peer":
            peer = Peer.build(Path(folder))
            for case in range(len(CASES)):
                peer.check(case)
            draw: Callable[[int], Seconds] = lambda case: peer.draw(case)[1]  # noqa: E731
        else:
            draw = kernels()
        print("ready", flush=True)
        for line in sys.stdin:
            print(json.dumps(draw(int(line))), flush=True)


class Program:
    """A process that draws cases when it is asked to."""

    def __init__(self, checkout: Path, role: str) -> None:
        command = [sys.executable, str(Path(__file__).resolve()), "--serve", role, "--checkout", str(checkout)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._answer()

    def _answer(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("a program of the comparison ended; its reason stands above")
        return line

    def draw(self, case: int) -> Seconds:
        """The seconds of one pass."""
        assert self._process.stdin is not None
        print(case, file=self._process.stdin, flush=True)
        answer: Seconds = json.loads(self._answer())
        return answer

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


def phases(rounds: list[Seconds]) -> Seconds:
    """The least seconds of each phase and of the whole, and what the phases leave of it."""
    least = {name: min(r[name] for r in rounds) for name in rounds[0]}
    found = {phase: sum(least.get(name, 0.0) for name in names) for phase, names in PHASES.items()}
    return found | {"rest": max(least["whole"] - sum(found.values()), 0.0), "whole": least["whole"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--against", type=Path, help="another checkout of this repository, to compare with")
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--no-peer", action="store_true")
    parser.add_argument("--serve", choices=("kernels", "peer"), help=argparse.SUPPRESS)
    parser.add_argument("--checkout", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        sys.path.insert(0, str(options.checkout))
        serve(options.serve)
        return

    here = HERE.resolve().parent
    programs = {"ours": Program(here, "kernels")}
    if options.against:
        programs["before"] = Program(options.against.resolve(), "kernels")
    if not options.no_peer and shutil.which("g++") is None:
        print("There is no g++ on this machine: the peer in C++ is left out.")
    elif not options.no_peer:
        programs["peer"] = Program(here, "peer")
    for case, (scenes, count, size, _) in enumerate(CASES):
        rounds = [{name: program.draw(case) for name, program in programs.items()} for _ in range(options.rounds)]
        found = {name: phases([r[name] for r in rounds]) for name in programs}
        print(f"\n{scenes} x {size}^2, {count} Gaussians each: milliseconds of processor time (share)")
        for name, times in found.items():
            whole = times["whole"]
            parts = "  ".join(f"{phase} {t * 1e3:6.2f} ({t / whole:3.0%})" for phase, t in times.items())
            print(f"  {name:7} {parts}  ours / it {found['ours']['whole'] / whole:.2f}")
    for program in programs.values():
        program.close()


if __name__ == "__main__":
    main()
