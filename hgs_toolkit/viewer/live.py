"""The live viewer: controls in a browser, scenes that follow them."""

from __future__ import annotations

import contextlib
import io
import math
import tempfile
import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hgs_toolkit.asset import Asset, save_asset
from hgs_toolkit.conventions import MAX_LEVELS
from hgs_toolkit.exporters.table import export
from hgs_toolkit.gaussians import BACKGROUND_LEVEL
from hgs_toolkit.imaging.camera_paths import frame_scene
from hgs_toolkit.imaging.images import save_png
from hgs_toolkit.viewer.choice import BESIDE, BETWEEN, Choice, Source, chosen_asset, shown_scene
from hgs_toolkit.viewer.latest import LatestOnly
from hgs_toolkit.viewer.server import LOCALHOST, start_server
from hgs_toolkit.viewer.splats import picture_of, splats_of

if TYPE_CHECKING:
    import viser

SPLATS = "/scene"
"""Name of the Gaussians in the client's scene tree."""

LARGEST_SEED = 99_999
"""Largest seed that the number field takes; 'hgs sample' takes larger ones."""

SEEDS_CLASS = "the seed's"
"""Entry of the choice of a class that lets the seed draw it."""

LARGEST_PSI = 1.2

SLIDER_RANGE = 3.0
"""Standard deviations a latent slider reaches to either side."""

PLAY_SECONDS = 6.0
"""Seconds of one turn from A to B and back."""

PLAY_STEP = 1 / 20
"""Seconds, at least, between two scenes while playing."""


class Viewer:
    """A running viewer; :meth:`close` ends it.

    Attributes:
        server: the viser server.
        source: where the scenes come from.
        updates: the thread that follows the controls; ``updates.wait()`` waits until the scene is up to date.
    """

    def __init__(
        self, source: Source, host: str = LOCALHOST, port: int | None = None, start: Choice | None = None
    ) -> None:
        """Serve ``source``; arguments as of :func:`start_server`, and what the controls say at first."""
        self.source = source
        self._start = start or Choice()
        first, second = (source.asset(self._start, place) for place in (0.0, 1.0))
        self.server = start_server(host, port)
        name = f"[{host}]" if ":" in host else host
        self.url = f"http://{name}:{self.server.get_port()}"
        self.updates = LatestOnly(self._show, lambda error: self._say(f"**{error}**"))
        self.server.gui.configure_theme(show_logo=False, show_share_button=False)
        self.server.scene.set_up_direction("+y")
        self._aim(first)
        self.status = self.server.gui.add_markdown("")
        self._add_scene_controls()
        self._add_look_controls(sorted({*first.scene.level.tolist(), *second.scene.level.tolist()}))
        self._add_buttons()
        self.updates.request()
        self._closing = threading.Event()
        self._player = threading.Thread(target=self._play, name="hgs-viewer-play", daemon=True)
        self._player.start()

    def close(self) -> None:
        """Stop following and serving."""
        self._closing.set()
        self._player.join()
        self.updates.close()
        with contextlib.redirect_stdout(io.StringIO()):  # viser says so there
            self.server.stop()

    def choice(self) -> Choice:
        """What the controls say now."""
        return Choice(
            view=self.view.value,
            seeds=(int(self.seeds[0].value), int(self.seeds[1].value)) if self.seeds else (0, 1),
            classes=(self._chosen_class(0), self._chosen_class(1)),
            blend=self.blend.value if self.blend else 0.0,
            psi=self.psi.value if self.psi else 1.0,
            sliders=tuple(slider.value for slider in self.sliders),
            hidden=frozenset(level for level, box in self.levels.items() if not box.value),
            scale=2.0**self.scale.value,
            opaque=self.opaque.value,
            by_level=self.by_level.value,
        )

    def _chosen_class(self, index: int) -> str:
        """The class of A (0) or B (1); empty where the seed draws it."""
        text = self.classes[index].value if self.classes else SEEDS_CLASS
        return "" if text == SEEDS_CLASS else str(text)

    def _aim(self, first: Asset) -> None:
        """Set the first camera, which 'reset view' returns to: the asset's own, or one that frames a foreign file."""
        self._target, self._distance = (0.0, 0.0, 0.0), first.metadata.radius
        if not first.metadata.generator:
            center, self._distance = frame_scene(first.scene, first.metadata.focal)
            x, y, z = center.tolist()
            self._target = (x, y, z)
        camera = self.server.initial_camera
        camera.fov = 2 * math.atan(0.5 / first.metadata.focal)
        camera.look_at, camera.position = self._target, self._stand()
        camera.up = (0.0, 1.0, 0.0)

    def _stand(self) -> tuple[float, float, float]:
        x, y, z = self._target
        return x, y, z + self._distance

    def _add_scene_controls(self) -> None:
        gui, source = self.server.gui, self.source
        self.seeds: list[Any] = []
        self.classes: list[Any] = []
        self.sliders: list[Any] = []
        self.blend: Any = None
        self.psi: Any = None
        self.playing: Any = None
        with gui.add_folder("Scene"):
            self.view = self._watched(gui.add_dropdown("show", tuple(source.views), initial_value=source.views[0]))
            if not source.sliders:
                return
            for name, seed in zip(("seed A", "seed B"), self._start.seeds, strict=True):
                self.seeds.append(self._watched(gui.add_number(name, seed, min=0, max=LARGEST_SEED, step=1)))
            for name in ("class of A", "class of B") if source.classes else ():
                choices = (SEEDS_CLASS, *source.classes)
                self.classes.append(self._watched(gui.add_dropdown(name, choices, initial_value=SEEDS_CLASS)))
            self.psi = self._watched(
                gui.add_slider("psi", 0.0, LARGEST_PSI, 0.05, min(max(self._start.psi, 0.0), LARGEST_PSI))
            )
            self.blend = self._watched(gui.add_slider("A to B", 0.0, 1.0, 0.01, 0.5))
            self.playing = gui.add_checkbox("play A to B", False)
        with gui.add_folder("Latent", expand_by_default=False):
            for index in range(source.sliders):
                slider = gui.add_slider(f"direction {index + 1}", -SLIDER_RANGE, SLIDER_RANGE, 0.05, 0.0)
                self.sliders.append(self._watched(slider))
            gui.add_button("back to the seed").on_click(lambda _: self._zero_sliders())

    def _add_look_controls(self, levels: list[int]) -> None:
        gui = self.server.gui
        with gui.add_folder("Look"):
            self.levels = {
                level: self._watched(
                    gui.add_checkbox("background" if level == BACKGROUND_LEVEL else f"level {level}", True)
                )
                for level in levels[: MAX_LEVELS + 1]
            }
            self.scale = self._watched(gui.add_slider("size of splats, 2^", -4.0, 1.0, 0.05, 0.0))
            self.opaque = self._watched(gui.add_checkbox("opacity one", False))
            self.by_level = self._watched(gui.add_checkbox("colours by level", False))

    def _add_buttons(self) -> None:
        gui = self.server.gui
        gui.add_button("reset view").on_click(lambda event: self._reset_view(event.client))
        with gui.add_folder("Save"):
            for kind in ("hgs", "ply", "png"):
                gui.add_button(f"save .{kind}").on_click(partial(self._save, kind))

    def _watched(self, control: Any) -> Any:
        control.on_update(lambda _: self.updates.request())
        return control

    def _show(self) -> None:
        """Send the scene the controls ask for."""
        scene = shown_scene(self.source, self.choice())
        splats = splats_of(scene)
        with self.server.atomic():
            if not scene.num_gaussians:
                self.server.scene.remove_by_name(SPLATS)
            else:
                self.server.scene.add_gaussian_splats(
                    SPLATS, splats.centers, splats.covariances, splats.rgbs, splats.opacities
                )
        self._say(f"{scene.num_gaussians:,} Gaussians")

    def _say(self, text: str) -> None:
        self.status.content = text

    def _play(self) -> None:
        """Move the slider between A and B to and fro while 'play' is on."""
        phase = 0.0
        while not self._closing.wait(PLAY_STEP):
            if self.playing is None or not self.playing.value or self.blend is None:
                continue
            if self.view.value != BETWEEN:
                self.view.value = BETWEEN
            phase += PLAY_STEP / PLAY_SECONDS
            self.blend.value = round(0.5 - 0.5 * math.cos(2 * math.pi * phase), 3)
            self.updates.request()
            self.updates.wait(timeout=1.0)

    def _zero_sliders(self) -> None:
        for slider in self.sliders:
            slider.value = 0.0
        self.updates.request()

    def _reset_view(self, client: viser.ClientHandle | None) -> None:
        """Return to the first camera, for the client that asked, or for all."""
        for one in self.server.get_clients().values() if client is None else [client]:
            with one.atomic():
                one.camera.up_direction = (0.0, 1.0, 0.0)
                one.camera.position = self._stand()
                one.camera.look_at = self._target

    def _save(self, kind: str, event: Any) -> None:
        """Send a file to the client that asked: the whole scene, or an image of what they see."""
        client: viser.ClientHandle | None = event.client
        if client is None:
            return
        try:
            name, content = self._file(client, kind)
            client.send_file_download(name, content, save_immediately=True)
        except Exception as error:  # a callback has no caller: tell the person who clicked
            client.add_notification("could not be saved", str(error), color="red")

    def _file(self, client: viser.ClientHandle, kind: str) -> tuple[str, bytes]:
        choice = self.choice()
        asset = chosen_asset(self.source, choice)
        stem = "scene" if asset.metadata.seed is None else f"seed{asset.metadata.seed:04d}"
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"{stem}.{kind}"
            if kind == "png":
                scene = shown_scene(self.source, choice)
                save_png(path, picture_of(scene, client.camera, asset.metadata.rasterize_mode))
            elif kind == "hgs":
                save_asset(path, asset)
            else:
                export(asset.scene, path, metadata=asset.metadata, extras=True)
            return ("both" + path.suffix if kind == "png" and choice.view == BESIDE else path.name), path.read_bytes()
