"""The live viewer in a real browser: it shows the scene, follows its controls and asks nobody else for anything."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from hgs_toolkit.asset import Asset, load_asset
from hgs_toolkit.exporters.table import load
from hgs_toolkit.gaussians import BACKGROUND_LEVEL, GaussianHierarchy
from hgs_toolkit.model.generator import Generator
from hgs_toolkit.sampling import sample
from hgs_toolkit.viewer.choice import FileSource, ModelSource, Source
from tests.browser.conftest import Tab

pytest.importorskip("viser", reason="the extra 'viewer' is not installed")

from hgs_toolkit.viewer.live import Viewer

pytestmark = pytest.mark.browser

Start = Callable[[Source], Viewer]
Picture = NDArray[np.float64]

VISERS_OWN = ("THREE.Clock", "computeBoundingSphere", "GPU stall due to ReadPixels")
"""Remarks of viser's client about itself: it makes them for any Gaussians, and without any for the first."""

PATIENCE = 60.0
"""Seconds."""


@pytest.fixture
def start(tab: Tab) -> Iterator[Start]:
    """A viewer that the tab is connected to, closed at the end."""
    running: list[Viewer] = []

    def run(source: Source) -> Viewer:
        running.append(Viewer(source))
        connect(tab, running[-1])
        return running[-1]

    yield run
    tab.page.goto("about:blank")
    for viewer in running:
        viewer.close()


def connect(tab: Tab, viewer: Viewer) -> None:
    tab.page.set_viewport_size({"width": 720, "height": 560})
    tab.page.goto(viewer.url)
    wait(tab, lambda: bool(viewer.server.get_clients()))


def wait(tab: Tab, done: Callable[[], bool]) -> None:
    """Until something is done, while the page goes on."""
    end = time.monotonic() + PATIENCE
    while not done():
        assert time.monotonic() < end, "nothing happened"
        tab.page.wait_for_timeout(200)


def seen(tab: Tab) -> Picture:
    """The part of the window beside the panel and the notes, (H, W, 3) in 0..1."""
    data = tab.page.screenshot(clip={"x": 0, "y": 180, "width": 380, "height": 380})
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")) / 255.0


def wait_for_change(tab: Tab, before: Picture) -> Picture:
    wait(tab, lambda: bool(abs(seen(tab) - before).mean() > 2e-3))
    tab.page.wait_for_timeout(500)
    return seen(tab)


def check(tab: Tab, label: str) -> None:
    tab.page.get_by_label(label, exact=True).click()


def complaints(tab: Tab) -> list[str]:
    return [text for text in tab.complaints if not any(known in text for known in VISERS_OWN)]


def test_levels_sizes_and_seeds_change_the_picture_and_nothing_leaves_this_machine(
    tab: Tab, start: Start, tiny_model: Generator
) -> None:
    viewer = start(ModelSource(tiny_model, "tiny"))
    first = wait_for_change(tab, np.ones((380, 380, 3)))
    check(tab, "level 0")
    without = wait_for_change(tab, first)
    check(tab, "level 0")
    again = wait_for_change(tab, without)
    assert abs(again - first).mean() < 2e-3
    viewer.scale.value = -2.0
    small = wait_for_change(tab, again)
    assert small.mean() > again.mean()  # more of the white is seen
    viewer.seeds[0].value = 5
    wait_for_change(tab, small)
    assert all(url.startswith((viewer.url, viewer.url.replace("http", "ws"), "blob:", "data:")) for url in tab.requests)
    assert complaints(tab) == []


def test_what_is_saved_is_what_is_shown(tab: Tab, start: Start, tiny_model: Generator, tmp_path: Path) -> None:
    viewer = start(ModelSource(tiny_model, "tiny"))
    viewer.seeds[0].value = 3
    viewer.levels[BACKGROUND_LEVEL].value = False  # it is around the camera, where viser clips in its own way
    assert viewer.updates.wait(60)
    tab.page.wait_for_timeout(2000)
    shown = seen(tab)  # before notes of downloads lie over it
    saved: dict[str, Path] = {}
    for kind in ("hgs", "ply", "png"):
        with tab.page.expect_download() as download:
            tab.page.get_by_text(f"save .{kind}", exact=True).click()
        saved[kind] = tmp_path / download.value.suggested_filename
        download.value.save_as(saved[kind])
    assert [path.name for path in saved.values()] == ["seed0003.hgs", "seed0003.ply", "seed0003.png"]
    scene = sample(tiny_model, [3])
    assert np.array_equal(load_asset(saved["hgs"]).scene.means, scene.means)
    np.testing.assert_allclose(load(saved["ply"]).means, scene.means, atol=1e-6)
    picture = np.asarray(Image.open(saved["png"]).convert("RGB")) / 255.0
    assert picture.shape == (560, 720, 3)
    # Viser blends in its own order and precision; the picture must lie where ours does.
    assert np.corrcoef(picture[180:, :380].ravel(), shown.ravel())[0, 1] > 0.95


def test_the_view_can_be_reset(tab: Tab, start: Start, scene: GaussianHierarchy) -> None:
    viewer = start(FileSource(Asset(scene)))
    (client,) = viewer.server.get_clients().values()

    def at_home() -> bool:
        return bool(np.allclose(client.camera.position, viewer._stand(), atol=1e-3))

    wait(tab, at_home)
    client.camera.position = (2.0, 1.0, 1.0)
    wait(tab, lambda: not at_home())
    tab.page.get_by_text("reset view", exact=True).click()
    wait(tab, at_home)


def test_a_client_that_comes_back_sees_the_scene_as_it_is_now(tab: Tab, start: Start, scene: GaussianHierarchy) -> None:
    viewer = start(FileSource(Asset(scene)))
    first = wait_for_change(tab, np.ones((380, 380, 3)))
    tab.page.goto("about:blank")
    wait(tab, lambda: not viewer.server.get_clients())
    viewer.by_level.value = True
    assert viewer.updates.wait(60)
    connect(tab, viewer)
    now = wait_for_change(tab, np.ones((380, 380, 3)))
    assert abs(now - first).mean() > 2e-3
    assert complaints(tab) == []
