"""The exact engine in 3D views: the camera's own picture, and which picture is drawn when. The screen is a stand-in."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import bpy
import numpy as np
import pytest

from tests.blender.pictures import EXACT, SIZE, Array, through_the_camera

Addon = Callable[[str], Any]


@pytest.fixture
def view(stage: Any, addon: Addon) -> Callable[[], Any]:
    """What a 3D view would show that looks through the stage's camera."""
    return lambda: addon("engine.exact_viewport").ViewportCamera(*through_the_camera(stage, SIZE), SIZE, SIZE)


@pytest.mark.parametrize("kind", ["PERSP", "ORTHO"])
def test_a_view_through_the_camera_is_the_picture(
    stage: Any, place: Callable[..., Any], draw: Callable[..., Array], addon: Addon, view: Callable[[], Any], kind: str
) -> None:
    place("round")
    stage.camera.data.type, stage.camera.data.shift_x = kind, 0.1
    wanted = draw(EXACT)
    pictures, whole = addon("engine.exact_viewport"), addon("engine.exact_engine").whole_picture
    depsgraph = bpy.context.evaluated_depsgraph_get()  # the viewport's, with points in place of cards
    picture = pictures.view_picture(whole, depsgraph, view(), 1)
    np.testing.assert_allclose(picture[..., :3].clip(0, 1), wanted, atol=1.5 / 255)
    # A coarse one begins in the lower left corner and reaches over the opposite edges.
    coarse = pictures.view_picture(whole, depsgraph, view(), 6)
    side = -(-SIZE // 6)
    assert coarse.shape == (side, side, 4)
    left, low = np.arange(side - 2) * 6, SIZE - 6 * (np.arange(side - 2) + 1)
    means = np.array([[wanted[y : y + 6, x : x + 6].mean((0, 1)) for x in left] for y in low[::-1]])
    assert np.abs(coarse[2:, : side - 2, :3] - means).mean() < 0.03


def test_a_matrix_of_projection_means_the_cameras_lens(stage: Any, addon: Addon, view: Callable[[], Any]) -> None:
    gathering = addon("engine.gathering")
    for kind in ("PERSP", "ORTHO"):
        stage.camera.data.type = kind
        stage.camera.data.clip_start, stage.camera.data.clip_end = 0.5, 20
        found = gathering.lens_of_matrix(np.array(view().projection), SIZE, SIZE)
        depsgraph = bpy.context.evaluated_depsgraph_get()
        lens = gathering.lens_of(stage.camera.evaluated_get(depsgraph), depsgraph, SIZE, SIZE)
        assert found.orthographic is lens.orthographic is (kind == "ORTHO")
        for name in ("fx", "fy", "cx", "cy", "near", "far"):
            assert getattr(found, name) == pytest.approx(getattr(lens, name), rel=1e-3)


class Screen:
    """A 3D view whose pictures take as long as the clock is told: what was drawn, and what timers wait."""

    def __init__(self, module: Any, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
        self.drawn: list[int] = []
        self.timers: list[Callable[[], None]] = []
        self.asked, self.now = 0, 0.0
        self.picture = module.ViewportPicture(lambda depsgraph, matrix, lens: None)

        def view_picture(draw: Any, depsgraph: Any, view: Any, step: int) -> None:
            self.drawn.append(step)
            self.now += seconds / step**2

        def register(timer: Callable[[], None], first_interval: float) -> None:
            assert first_interval > 0
            self.timers.append(timer)

        monkeypatch.setattr(module, "view_picture", view_picture)
        monkeypatch.setattr(module, "_texture", lambda pixels: SimpleNamespace(width=1, height=1))
        monkeypatch.setattr(module, "time", SimpleNamespace(perf_counter=lambda: self.now))
        monkeypatch.setattr(
            module, "bpy", SimpleNamespace(app=SimpleNamespace(timers=SimpleNamespace(register=register)))
        )

    def tag_redraw(self) -> None:
        self.asked += 1

    def show(self, name: str) -> None:
        self.picture.refresh(self, None, (name,))

    def rest(self) -> None:
        waiting, self.timers = self.timers, []
        for timer in waiting:
            timer()


def test_a_view_at_rest_gets_finer_until_nothing_is_left(addon: Addon, monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen(addon("engine.exact_viewport"), monkeypatch, seconds=0.5)
    for _ in range(4):
        screen.show("front")
        screen.show("front")  # Blender draws for many reasons; nothing is computed again
        screen.rest()
    assert screen.drawn == [6, 3, 1]
    assert screen.asked == 2


def test_a_view_that_moves_stays_coarse_and_so_does_one_that_would_take_too_long(
    addon: Addon, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = Screen(addon("engine.exact_viewport"), monkeypatch, seconds=0.5)
    screen.show("front")
    screen.show("side")
    screen.rest()  # the timer of the view that is gone is worth nothing
    assert screen.asked == 1
    assert screen.drawn == [6, 6]
    screen.picture.forget()
    screen.show("side")
    assert screen.drawn == [6, 6, 6]

    slow = Screen(addon("engine.exact_viewport"), monkeypatch, seconds=20.0)
    for _ in range(3):
        slow.show("front")
        slow.rest()
    assert slow.drawn == [6, 3]


def test_view_exactly_chooses_the_engine(addon: Addon) -> None:
    addon("engine.exact_engine")
    assert bpy.ops.hgs.view_exactly() == {"FINISHED"}
    assert bpy.context.scene.render.engine == EXACT
