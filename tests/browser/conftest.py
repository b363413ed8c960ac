"""A real Chromium without a screen, which notes what pages say and ask for."""

from __future__ import annotations

import base64
import io
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

SIZE = 256
"""Height and width of windows, pixels: without a graphics card Chromium draws slowly."""

PATIENCE = 60_000
"""Milliseconds after which a page that does nothing has failed."""

FLAGS = (
    "--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
"""WebGL on the processor, and none of the browser's own connections."""


@dataclass
class Tab:
    """A page and what it did.

    Attributes:
        page: the page, of SIZE x SIZE pixels.
        complaints: errors and warnings on its console, and uncaught exceptions.
        requests: addresses it asked for.
    """

    page: Page
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def watch(self) -> None:
        """Begin to note."""
        self.page.set_default_timeout(PATIENCE)
        self.page.on("console", lambda m: self.complaints.append(m.text) if m.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("websocket", lambda socket: self.requests.append(socket.url))

    def real_complaints(self) -> list[str]:
        """Complaints about the page: not the driver's remarks on how fast it reads pixels back."""
        return [text for text in self.complaints if "GPU stall due to ReadPixels" not in text]


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    playwright = pytest.importorskip("playwright.sync_api", reason="the extra 'browser' is not installed")
    executable = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if executable is None:
        pytest.skip("no Chromium on this machine")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=executable, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def tab(chromium: Browser) -> Iterator[Tab]:
    # Offline: what a page needs beyond this machine would fail.
    context = chromium.new_context(viewport={"width": SIZE, "height": SIZE})
    tab = Tab(context.new_page())
    tab.watch()
    yield tab
    context.close()


def pixels_of(data_url: str) -> NDArray[np.float64]:
    """A PNG as a data URL -> (H, W, 3) in 0..1."""
    data = base64.b64decode(data_url.split(",", 1)[1])
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")) / 255.0
