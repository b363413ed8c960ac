"""The pictures of docs/viewing.md: the live viewer and the shared page, in headless Chromium.

    python tools/picture_viewing.py [--model MODEL] [--docs docs]

Needs Chromium and the extras "viewer" and "dev".
"""

from __future__ import annotations

import argparse
import io
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the browser is started as the tests do

from hgs_toolkit.checkpoint import load_model
from hgs_toolkit.model.generator import Generator
from hgs_toolkit.model_files import find_model, read_header
from hgs_toolkit.sampling import sample
from hgs_toolkit.viewer.choice import BESIDE, Choice, ModelSource
from hgs_toolkit.viewer.live import Viewer
from hgs_toolkit.viewer.page import PageSettings, save_page
from tests.browser.conftest import FLAGS

SEEDS = (0, 1)
"""Side by side in the viewer; the first one's page is shown."""

VIEWER_WINDOW, PAGE_WINDOW = (1040, 560), (900, 560)
ASIDE, AWAY = 0.53, 1.25
"""How far to the right the viewer's camera stands, so that the panel covers nothing; its distance by the usual one."""

PATIENCE, REST = 60_000, 8000
"""Milliseconds until a page must be there, and from then until its Gaussians are sorted."""

QUALITY = 88


@contextmanager
def window(size: tuple[int, int]) -> Iterator[Page]:
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=list(FLAGS))
        page = browser.new_page(viewport={"width": size[0], "height": size[1]})
        page.set_default_timeout(PATIENCE)
        yield page
        browser.close()


def viewer(model: Generator, name: str) -> bytes:
    """A screenshot (PNG) of two seeds side by side."""
    source = ModelSource(model, name)
    with closing(Viewer(source, start=Choice(view=BESIDE, seeds=SEEDS))) as running, window(VIEWER_WINDOW) as page:
        running.view.value = BESIDE
        running.updates.wait(PATIENCE / 1000)
        page.goto(running.url)
        page.get_by_text("reset view", exact=True).wait_for()
        page.wait_for_timeout(REST)
        warning = page.get_by_role("alert")  # that no graphics card draws
        if warning.count():
            warning.get_by_role("button").first.click()
        for client in running.server.get_clients().values():
            x, y, z = client.camera.position
            client.camera.position, client.camera.look_at = (x + ASIDE, y, z * AWAY), (x + ASIDE, y, 0.0)
        page.wait_for_timeout(REST)
        return page.screenshot()


def shared_page(model: Generator) -> bytes:
    """A screenshot (PNG) of the page that ``hgs share`` makes."""
    with tempfile.TemporaryDirectory() as name, window(PAGE_WINDOW) as page:
        path = Path(name) / "page.html"
        poses = model.config.poses
        save_page(path, sample(model, SEEDS[:1]), PageSettings(f"Critter {SEEDS[0]}", poses.focal, poses.radius))
        page.goto(path.as_uri())
        page.evaluate("hgs.then((shown) => shown.settled())")
        return page.screenshot()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="a model file or run folder; default: the model that ships")
    parser.add_argument("--docs", type=Path, default=Path("docs"), help="folder of viewing.md")
    arguments = parser.parse_args()
    model = load_model(arguments.model, "cpu")
    name = read_header(find_model(arguments.model)).config.name
    for file, picture in {"viewer": viewer(model, name), "shared_page": shared_page(model)}.items():
        path = arguments.docs / "images" / f"{file}.jpg"
        Image.open(io.BytesIO(picture)).convert("RGB").save(path, quality=QUALITY, optimize=True)
        print(path, path.stat().st_size)


if __name__ == "__main__":
    main()
