"""From the command ``hgs view`` to the first picture in a browser, against ``import torch`` alone, in turn in one run.

    python benchmarks/bench_view_start.py [--rounds 3] [--save picture.png]

Headless Chromium waits beforehand; the picture is there when the scene covers half of the middle of the page.
Processor time is that of the command (and of ``python -c 'import torch'``), the wall clock includes the browser.
"""

from __future__ import annotations

import argparse
import io
import os
import resource
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Error, Page, sync_playwright

FLAGS = ("--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--disable-background-networking")
WIDTH, HEIGHT = 960, 540
"""Pixels of the page; the panel at its right stays clear of the middle."""
LONGEST = 180.0
"""Seconds after which no picture is expected any more."""


@dataclass(frozen=True)
class Timing:
    """Seconds of the processor and by the clock."""

    cpu: float
    wall: float


def import_torch() -> Timing:
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, "-c", "import torch"], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Timing(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, time.perf_counter() - start)


def spent(process: int) -> float:
    """Processor seconds of a running process, all its threads."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def first_picture(page: Page, save: Path | None) -> Timing:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    start = time.perf_counter()
    command = [sys.executable, "-m", "hgs_toolkit.cli", "view", "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            while not reached(page, port):
                running(process, start)
            while not drawn(page):
                running(process, start)
            found = Timing(spent(process.pid), time.perf_counter() - start)
            if save:
                page.screenshot(path=save)
            return found
        finally:
            process.terminate()


def running(process: subprocess.Popen[bytes], start: float) -> None:
    if process.poll() is not None or time.perf_counter() - start > LONGEST:
        raise SystemExit("no picture: hgs view ended or took too long")
    time.sleep(0.02)


def reached(page: Page, port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            pass
    except OSError:
        return False
    page.goto(f"http://127.0.0.1:{port}", wait_until="commit")
    return True


def drawn(page: Page) -> bool:
    """Whether the scene is there: half of the middle of the page differs from its white background."""
    try:
        shot = Image.open(io.BytesIO(page.screenshot())).convert("L")
    except Error:  # while WebGL is being set up
        return False
    middle = np.asarray(shot)[HEIGHT // 2 - 40 : HEIGHT // 2 + 40, WIDTH // 2 - 40 : WIDTH // 2 + 40]
    return float((middle < 235).mean()) > 0.5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--save", type=Path, help="what the page showed when the last picture was there")
    arguments = parser.parse_args()
    chromium = shutil.which("chromium")
    if chromium is None:
        parser.error("no Chromium here; apt-get install chromium")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=list(FLAGS))
        print("| import torch, CPU s (wall) | first picture | ratio of CPU | of wall |\n|---|---|---|---|")
        for _ in range(arguments.rounds):
            page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
            torch, view = import_torch(), first_picture(page, arguments.save)
            page.close()
            print(
                f"| {torch.cpu:.2f} ({torch.wall:.1f}) | {view.cpu:.2f} ({view.wall:.1f}) "
                f"| {view.cpu / torch.cpu:.2f} | {view.wall / torch.wall:.2f} |",
                flush=True,
            )
        browser.close()


if __name__ == "__main__":
    main()
