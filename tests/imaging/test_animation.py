"""Animations: as many frames as asked for, without jumps, closing on themselves."""

from __future__ import annotations

import pytest
import torch

from hgs_toolkit.cameras import frontal
from hgs_toolkit.errors import ConfigError, ShapeError
from hgs_toolkit.imaging.animation import ANIMATIONS, KINDS, AnimationSettings, animate, draw_animation, latent_loop
from hgs_toolkit.imaging.mixing_sheet import mixing_sheet
from hgs_toolkit.imaging.scene_images import ImageSettings
from hgs_toolkit.model.generator import Generator
from hgs_toolkit.sampling import sample, sample_assets, sample_w

SEEDS = [0, 1, 2, 3]


def frames(kind: str, model: Generator, direction: AnimationSettings, seeds: list[int] | None = None) -> torch.Tensor:
    return torch.stack(list(draw_animation(kind, model, seeds or SEEDS, direction)))


def jumps(pictures: torch.Tensor) -> torch.Tensor:
    """Mean absolute change from each frame to the next, and from the last to the first."""
    return (pictures.roll(-1, 0) - pictures).abs().mean((1, 2, 3))


@pytest.mark.parametrize("kind", KINDS)
def test_a_film_has_the_frames_and_size_asked_for(kind: str, tiny_model: Generator) -> None:
    pictures = frames(kind, tiny_model, AnimationSettings(frames=9, image=ImageSettings(24), levels=[1]))
    assert pictures.shape == (9, 24, 48 if kind == "levels" else 24, 3)
    assert jumps(pictures).max() > 0


def test_interpolation_has_no_jump_not_even_where_it_closes(tiny_model: Generator) -> None:
    for trajectory, limit in (("frontal", 2.0), ("ellipse", 3.0)):
        direction = AnimationSettings(frames=60, image=ImageSettings(24), psi=1.0, trajectory=trajectory)
        change = jumps(frames("interpolate", tiny_model, direction))
        assert change.max() <= limit * change.median()


def test_a_walk_through_latents_is_smooth_and_meets_its_seeds(tiny_model: Generator) -> None:
    loop = latent_loop(tiny_model, SEEDS, 300, psi=0.8)
    steps = (loop.roll(-1, 0) - loop).norm(dim=-1)
    assert steps.min() > 0
    assert steps.max() < 2 * steps.mean()  # half of the effort is length
    stops = sample_w(tiny_model, SEEDS, 0.8)
    torch.testing.assert_close(loop[0], stops[0])
    assert torch.cdist(stops, loop).min(dim=1).values.max() < steps.max()


def test_a_standstill_is_a_walk_too(tiny_model: Generator) -> None:
    assert (latent_loop(tiny_model, SEEDS, 5, psi=0.0) == sample_w(tiny_model, [0], psi=0.0)).all()


def test_mixing_keeps_what_other_levels_carry(tiny_model: Generator) -> None:
    direction = AnimationSettings(frames=6, image=ImageSettings(24), trajectory="frontal", levels=[2], mode="alpha")
    finest = frames("mix", tiny_model, direction)
    everything = frames(
        "mix", tiny_model, AnimationSettings(frames=6, image=ImageSettings(24), trajectory="frontal", levels=[0, 1, 2])
    )
    assert 0 < jumps(finest).median() < jumps(everything).median()


def test_growth_begins_with_nothing_of_the_tree_and_reaches_the_whole_scene(tiny_model: Generator) -> None:
    direction = AnimationSettings(frames=8, image=ImageSettings(24), trajectory="frontal")
    grow = frames("grow", tiny_model, direction, [5])
    whole = frames(
        "interpolate", tiny_model, AnimationSettings(frames=2, image=ImageSettings(24), trajectory="frontal"), [5, 6]
    )[0]
    torch.testing.assert_close(grow[4], whole)
    assert (grow[0] - whole).abs().max() > 0.05


def test_splats_are_smallest_in_the_middle_of_a_turn(tiny_model: Generator) -> None:
    direction = AnimationSettings(frames=8, image=ImageSettings(24), trajectory="frontal", mode="alpha")
    covered = frames("shrink", tiny_model, direction, [5]).mean((1, 2, 3))
    assert covered.argmin() == 4
    assert covered.argmax() == 0


def test_one_scene_can_be_animated_along_any_path(tiny_model: Generator) -> None:
    scene = sample(tiny_model, [5])
    cameras = frontal(1.5).expand(8)
    grow, shrink = (
        torch.stack(list(animate(scene, cameras, ImageSettings(24), animation=name))) for name in ANIMATIONS
    )
    still = torch.stack(list(animate(scene, cameras, ImageSettings(24))))
    assert (jumps(still) == 0).all()
    torch.testing.assert_close(grow[4], still[0])
    torch.testing.assert_close(shrink[0], still[0])
    assert jumps(grow).max() > 0
    assert jumps(shrink).max() > 0
    with pytest.raises(ConfigError, match="animation 'spin' is unknown; expected one of: grow, shrink"):
        next(animate(scene, cameras, ImageSettings(24), animation="spin"))


def test_panes_share_the_seeds(tiny_model: Generator) -> None:
    direction = AnimationSettings(frames=3, image=ImageSettings(16))
    both = frames("interpolate", tiny_model, AnimationSettings(frames=3, image=ImageSettings(16), panes=2))
    assert torch.equal(both[:, :, :16], frames("interpolate", tiny_model, direction, [0, 1]))
    assert torch.equal(both[:, :, 16:], frames("interpolate", tiny_model, direction, [2, 3]))


def test_the_scenes_of_a_film_have_the_classes_asked_for(class_model: Generator) -> None:
    def first(classes: str | list[str] | None) -> torch.Tensor:
        direction = AnimationSettings(frames=2, image=ImageSettings(16), classes=classes, trajectory="frontal")
        return frames("shrink", class_model, direction, [1, 2])

    tables, both, drawn = first("table"), first(["table", "chair"]), first(None)
    assert torch.equal(tables[0], both[0])
    assert not torch.equal(tables[1], both[1])
    names = [asset.metadata.class_name for asset in sample_assets(class_model, [1, 2])]
    assert torch.equal(drawn, first(names))
    with pytest.raises(ConfigError, match="2 classes for 1 seeds; expected one for each"):
        draw_animation("grow", class_model, [1], AnimationSettings(classes=["chair", "table"]))


@pytest.mark.parametrize(
    ("kind", "seeds", "panes", "message"),
    [
        ("zoom", [0, 1], 1, "kind 'zoom' is unknown; expected one of: interpolate, grow"),
        ("interpolate", [0], 1, "1 seeds; an animation of kind interpolate needs 2"),
        ("mix", [0, 1], 1, "needs 3"),
        ("grow", [0, 1, 2], 2, "3 seeds in 2 panes"),
        ("grow", list(range(242)), 2, "120 frames for 121 seeds; expected at least one frame for each seed"),
    ],
)
def test_films_that_cannot_be_are_refused(
    kind: str, seeds: list[int], panes: int, message: str, tiny_model: Generator
) -> None:
    with pytest.raises(ConfigError, match=message):
        draw_animation(kind, tiny_model, seeds, AnimationSettings(panes=panes))


def test_a_mixing_sheet_repeats_the_row_where_nothing_of_its_levels_shows(tiny_model: Generator) -> None:
    drawn: list[None] = []
    shot = ImageSettings(24)
    page = mixing_sheet(tiny_model, [0, 1], [0, 5], [2], 0.7, shot, lambda: drawn.append(None))
    assert len(drawn) == 8
    tile = 24 + 2
    top, side = page.shape[0] - 3 * tile + 2, page.shape[1] - 3 * tile + 2

    def picture(row: int, column: int) -> torch.Tensor:
        return page[top + row * tile :, side + column * tile :][:24, :24]

    assert torch.equal(picture(1, 1), picture(1, 0))  # seed 0 with the styles of seed 0
    assert torch.equal(picture(1, 0), picture(0, 1))  # seed 0 in front of its row and above its column
    assert not torch.equal(picture(1, 2), picture(1, 0))
    assert (picture(0, 0) == 1).all()
    with pytest.raises(ShapeError, match="cannot be mixed"):
        mixing_sheet(tiny_model, [0], [1], [7], 0.7, shot)
