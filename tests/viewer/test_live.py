"""The live viewer's server: where it listens, what it sends, and what it survives."""

from __future__ import annotations

import contextlib
import math
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from hgs_toolkit.asset import Asset
from hgs_toolkit.checkpoint import save_model
from hgs_toolkit.cli.main import app
from hgs_toolkit.config import Config
from hgs_toolkit.errors import HgsError
from hgs_toolkit.gaussians import GaussianHierarchy
from hgs_toolkit.model.generator import Generator
from hgs_toolkit.viewer.choice import BESIDE, BETWEEN, Choice, FileSource, ModelSource, Source
from hgs_toolkit.viewer.origins import is_loopback
from hgs_toolkit.viewer.server import DEFAULT_PORT, LOCALHOST, TRIES, start_server

viser = pytest.importorskip("viser", reason="the extra 'viewer' is not installed")

from websockets.exceptions import InvalidStatus  # noqa: E402
from websockets.sync.client import connect  # noqa: E402
from websockets.sync.connection import Connection  # noqa: E402

from hgs_toolkit.viewer.live import Viewer  # noqa: E402

Start = Callable[[Source], Viewer]


@pytest.fixture
def start() -> Iterator[Start]:
    """Viewers that are closed at the end."""
    running: list[Viewer] = []

    def run(source: Source) -> Viewer:
        running.append(Viewer(source, port=free_port()))
        assert running[-1].updates.wait(60)
        return running[-1]

    yield run
    for viewer in running:
        viewer.close()


def free_port() -> int:
    with socket.create_server((LOCALHOST, 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def client_of(viewer: Viewer, origin: str | None = None) -> Connection:
    """A client that only listens; ``origin`` is the page it belongs to, if it is a browser's."""
    return connect(
        viewer.url.replace("http", "ws"), subprotocols=[f"viser-v{viser.__version__}"],  # type: ignore[list-item]
        max_size=None, compression=None, origin=origin,  # type: ignore[arg-type]
    )  # fmt: skip


def received(client: Connection, wanted: int) -> int:
    """Bytes of messages, until there are as many as wanted."""
    total = 0
    while total < wanted:
        total += len(client.recv(timeout=60))
    return total


def huge() -> GaussianHierarchy:
    count = 349_440
    return GaussianHierarchy(
        means=torch.randn(1, count, 3, generator=torch.Generator().manual_seed(0)),
        log_scales=torch.full((1, count, 3), math.log(1 / 512)),
        quats=torch.tensor([1.0, 0, 0, 0]).expand(1, count, 4),
        sh=torch.zeros(1, count, 1, 3),
        opacity_logits=torch.zeros(1, count),
    )


def test_it_listens_on_this_machine_only(start: Start, scene: GaussianHierarchy) -> None:
    viewer = start(FileSource(Asset(scene)))
    assert viewer.url.startswith("http://127.0.0.1:")
    port = viewer.server.get_port()
    addresses = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)} - {LOCALHOST}
    for address in addresses:
        if not str(address).startswith("127."):
            with pytest.raises(OSError):  # noqa: PT011
                socket.create_connection((str(address), port), timeout=2)


def test_pages_of_other_machines_are_refused(start: Start, scene: GaussianHierarchy) -> None:
    viewer = start(FileSource(Asset(scene)))
    port = viewer.server.get_port()
    for foreign in ("https://example.org", "http://localhost.example.org", f"http://example.org:{port}", "null"):
        with pytest.raises(InvalidStatus) as refusal:
            client_of(viewer, foreign)
        assert refusal.value.response.status_code == 403
    for own in (viewer.url, f"http://localhost:{port}", "http://localhost:9000", None):
        with client_of(viewer, own) as client:
            assert client.recv(timeout=60)


@pytest.mark.parametrize(
    ("host", "alone"), [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("box", False)]
)
def test_addresses_of_this_machine_alone_are_known(host: str, alone: bool) -> None:
    assert is_loopback(host) is alone


@pytest.mark.parametrize("host", ["127.0.0.2", "::1"])
def test_other_names_of_this_machine_serve_their_own_pages(host: str, scene: GaussianHierarchy) -> None:
    try:
        viewer = Viewer(FileSource(Asset(scene)), host, free_port())
    except HgsError as error:
        if "Cannot assign" in str(error):
            pytest.skip(f"this machine has no {host}")
        raise
    with contextlib.closing(viewer), client_of(viewer, viewer.url) as client:
        assert client.recv(timeout=60)


def test_no_client_can_open_the_tunnel_to_the_outside(start: Start, scene: GaussianHierarchy) -> None:
    assert start(FileSource(Asset(scene))).server.request_share_url() is None


def test_a_port_in_use_is_one_sentence(scene: GaussianHierarchy) -> None:
    with socket.create_server((LOCALHOST, 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(HgsError, match=f"port {port} of 127.0.0.1 is in use; choose another one with --port"):
            Viewer(FileSource(Asset(scene)), port=port)


def test_without_a_port_the_next_free_one_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    first = free_port()
    monkeypatch.setattr("hgs_toolkit.viewer.server.DEFAULT_PORT", first)
    with socket.create_server((LOCALHOST, first)):
        server = start_server()
        assert first < server.get_port() < first + TRIES
        monkeypatch.setattr("hgs_toolkit.viewer.server.TRIES", 1)
        with pytest.raises(HgsError, match=rf"ports {first} to {first} of 127\.0\.0\.1 are in use"):
            start_server()
    server.stop()
    assert DEFAULT_PORT == 8080


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(HgsError, match=r"cannot serve on 192\.0\.2\.1:8080"):
        start_server("192.0.2.1")


def test_a_huge_scene_reaches_a_client(start: Start) -> None:
    viewer = start(FileSource(Asset(huge())))
    with client_of(viewer) as client:
        assert received(client, 5_000_000) >= 5_000_000  # 32 bytes a Gaussian, compressed
    assert viewer.status.content == "349,440 Gaussians"


def test_a_dropped_connection_disturbs_nobody(start: Start, scene: GaussianHierarchy) -> None:
    viewer = start(FileSource(Asset(huge())))
    dropped = client_of(viewer)
    dropped.recv(timeout=60)
    dropped.socket.shutdown(socket.SHUT_RDWR)  # in the midst of the scene, without a word
    viewer.by_level.value = True
    viewer.updates.request()
    assert viewer.updates.wait(60)
    with client_of(viewer) as client:
        assert received(client, 5_000_000)
    dropped.close()


def test_controls_make_the_choice_and_the_scene_follows(start: Start, tiny_model: Generator) -> None:
    viewer = start(ModelSource(tiny_model, "tiny"))
    assert viewer.choice() == Choice(sliders=(0.0,) * len(viewer.sliders))
    whole = viewer.status.content
    viewer.seeds[0].value, viewer.seeds[1].value = 4, 7
    viewer.view.value, viewer.blend.value, viewer.psi.value = BETWEEN, 0.25, 0.5
    viewer.sliders[1].value, viewer.scale.value = -1.5, -2.0
    viewer.levels[2].value, viewer.opaque.value = False, True
    choice = viewer.choice()
    assert (choice.seeds, choice.view, choice.blend, choice.psi) == ((4, 7), BETWEEN, 0.25, 0.5)
    assert (choice.sliders[1], choice.scale, choice.hidden, choice.opaque) == (-1.5, 0.25, frozenset({2}), True)
    assert viewer.updates.wait(60)
    assert viewer.status.content != whole
    for box in viewer.levels.values():
        box.value = False
    assert viewer.updates.wait(60)
    assert viewer.status.content == "0 Gaussians"
    viewer._zero_sliders()
    assert not any(viewer.choice().sliders)


def test_the_controls_start_as_they_are_told_to(tiny_model: Generator) -> None:
    viewer = Viewer(ModelSource(tiny_model), port=free_port(), start=Choice(seeds=(5, 6), psi=0.3))
    assert (viewer.choice().seeds, viewer.choice().psi) == ((5, 6), 0.3)
    viewer.close()


def test_playing_moves_between_a_and_b(start: Start, tiny_model: Generator) -> None:
    viewer = start(ModelSource(tiny_model))
    seen: set[float] = set()
    viewer.blend.on_update(lambda _: seen.add(viewer.blend.value))
    viewer.playing.value = True
    for _ in range(200):
        viewer._closing.wait(0.05)
        if len(seen) > 3:
            break
    viewer.playing.value = False
    assert len(seen) > 3
    assert viewer.view.value == BETWEEN


def test_a_failure_is_shown_and_the_viewer_goes_on(
    start: Start, scene: GaussianHierarchy, monkeypatch: pytest.MonkeyPatch
) -> None:
    viewer = start(FileSource(Asset(scene), Asset(scene)))

    def broken(choice: Choice, place: float) -> Asset:
        raise HgsError("the scene went away")

    with monkeypatch.context() as patch:
        patch.setattr(viewer.source, "asset", broken)
        viewer.view.value = BESIDE
        assert viewer.updates.wait(60)
        assert viewer.status.content == "**the scene went away**"
    viewer.view.value = "B"
    assert viewer.updates.wait(60)
    assert viewer.status.content == "89 Gaussians"


@pytest.fixture
def model_file(tmp_path: Path, tiny_model: Generator, tiny_config: Config) -> Path:
    save_model(tmp_path / "model.safetensors", tiny_model, tiny_config)
    return tmp_path / "model.safetensors"


def test_the_command_says_where_and_ends_cleanly(model_file: Path) -> None:
    port = str(free_port())
    for what in ([str(model_file)], [str(model_file.parent)], ["seating64"], [f"{model_file}@1", f"{model_file}@2"]):
        result = CliRunner().invoke(app, ["view", *what, "--port", port, "--seconds", "0"], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        assert result.stdout == f"http://127.0.0.1:{port}\n"


@pytest.mark.skipif(sys.platform == "win32", reason="signals of this kind are POSIX")
def test_a_wait_without_measure_is_waited_for(model_file: Path) -> None:
    command = [sys.executable, "-m", "hgs_toolkit.cli", "view", str(model_file), "--seconds", "inf"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline().startswith("http://127.0.0.1:")
        time.sleep(0.5)
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=60)
    assert (child.returncode, err.splitlines()[-1]) == (0, "closed")


def test_psi_is_bounded_by_a_slider_only_where_there_is_one(model_file: Path) -> None:
    refused = CliRunner().invoke(app, ["view", str(model_file), "--psi", "1.5", "--seconds", "0"])
    assert "where the slider ends" in refused.stderr
    shown = CliRunner().invoke(app, ["view", f"{model_file}@1", "--psi", "1.5", "--seconds", "0"])
    assert shown.exit_code == 0, shown.output


@pytest.mark.skipif(sys.platform == "win32", reason="signals of this kind are POSIX")
def test_ctrl_c_closes_it(model_file: Path) -> None:
    command = [sys.executable, "-m", "hgs_toolkit.cli", "view", str(model_file), "--port", str(free_port())]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline().startswith("http://127.0.0.1:")
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=60)
    assert (child.returncode, err.splitlines()[-1]) == (0, "closed")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.hgs"], "missing.hgs does not exist"),
        (["a.hgs", "b.hgs", "c.hgs"], "3 models or assets were given"),
        (["missing.safetensors"], "missing.safetensors"),
    ],
)
def test_bad_input_is_one_sentence(arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(app, ["view", *arguments])
    assert result.exit_code == 1
    assert message in result.stderr


def test_without_the_extra_the_command_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "viser", None)
    with pytest.raises(HgsError, match=r"pip install 'hgs_toolkit\[viewer\]'"):
        start_server()
