"""How even films are, and how far the shared page is from our rasteriser.

    python benchmarks/bench_viewing.py [--model MODEL] [--json results.json]

Films: the largest mean absolute change between two frames over the median one, the step that closes the loop included.
Page: PSNR against the CPU rasteriser in headless Chromium (SwiftShader), and bytes; left out without Chromium.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from hgs_toolkit.cameras import from_yaw_pitch
from hgs_toolkit.checkpoint import load_model
from hgs_toolkit.gaussians import GaussianHierarchy
from hgs_toolkit.imaging.animation import AnimationSettings, draw_animation
from hgs_toolkit.imaging.scene_images import ImageSettings, natural_background
from hgs_toolkit.model.generator import Generator
from hgs_toolkit.rendering import render, render_ellipsoids
from hgs_toolkit.sampling import sample
from hgs_toolkit.viewer.page import PageSettings, make_page

WALKS = ([0, 1, 2, 3], [4, 5], [6, 7, 8, 9, 10, 11])
FRAMES, FILM_SIZE = 120, 96
VIEWS = ((0.0, 0.0), (0.6, 0.3), (2.5, -0.4))
PAGE_SIZE = 256
FLAGS = ("--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--disable-background-networking")
SNAPSHOT = "([yaw, pitch]) => hgs.then((p) => { p.camera.set({ yaw, pitch }); p.changed(); return p.snapshot(); })"

Row = dict[str, object]


def walks(model: Generator) -> Iterator[Row]:
    for trajectory in ("ellipse", "frontal"):
        for seeds in WALKS:
            direction = AnimationSettings(FRAMES, ImageSettings(FILM_SIZE), trajectory=trajectory)
            pictures = torch.stack(list(draw_animation("interpolate", model, seeds, direction)))
            change = (pictures.roll(-1, 0) - pictures).abs().mean((1, 2, 3))
            ratio = float(change.max() / change.median())
            yield {"walk": f"{len(seeds)} seeds, {trajectory}", "largest / median change": round(ratio, 2)}


def pages(model: Generator) -> Iterator[Row]:
    chromium = shutil.which("chromium")
    if chromium is None:
        print("no Chromium: the page is not measured")
        return
    from playwright.sync_api import sync_playwright

    scene = sample(model, [0])
    settings = PageSettings(focal=model.config.poses.focal, radius=model.config.poses.radius)
    text = make_page(scene, settings)
    with sync_playwright() as driver, tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "page.html"
        path.write_text(text)
        browser = driver.chromium.launch(executable_path=chromium, args=list(FLAGS))
        page = browser.new_page(viewport={"width": PAGE_SIZE, "height": PAGE_SIZE})
        page.goto(path.as_uri())
        for yaw, pitch in VIEWS:
            data = page.evaluate(SNAPSHOT, [yaw, pitch]).split(",")[1]
            seen = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")) / 255
            error = np.square(seen - drawn(scene, yaw, pitch, settings)).mean()
            yield {
                "page": f"yaw {yaw}, pitch {pitch}",
                "PSNR": round(float(-10 * np.log10(error)), 1),
                "bytes": len(text),
            }
        browser.close()


def drawn(scene: GaussianHierarchy, yaw: float, pitch: float, settings: PageSettings) -> np.ndarray:
    camera = from_yaw_pitch(torch.tensor([yaw]), torch.tensor([pitch]), settings.radius or 2.7, settings.focal)
    image = render(scene, camera, PAGE_SIZE, PAGE_SIZE, natural_background(scene))[0]
    return image[0, 0].clamp(0, 1).double().numpy()


def ellipsoids(model: Generator) -> Iterator[Row]:
    """CPU time of hard ellipsoids over that of splats, one scene at 512 pixels."""
    scene, camera = sample(model, [0]), from_yaw_pitch(torch.zeros(1), torch.zeros(1), focal=model.config.poses.focal)
    seconds = []
    for draw in (render, render_ellipsoids):
        draw(scene, camera, 512, 512)
        start = time.process_time()
        draw(scene, camera, 512, 512)
        seconds.append(time.process_time() - start)
    yield {"ellipsoids / splats, CPU time": round(seconds[1] / seconds[0], 1), "ellipsoids, s": round(seconds[1], 3)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="default: the model that ships")
    parser.add_argument("--json", type=Path, help="write the rows here too")
    arguments = parser.parse_args()
    model = load_model(arguments.model, "cpu")
    rows: list[Row] = []
    with torch.no_grad():
        for row in (*walks(model), *pages(model), *ellipsoids(model)):
            print(row)
            rows.append(row)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
