"""Sampling: seeds fix scenes, truncation contracts, paths pass through their seeds, mixing stays in its levels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hgs_toolkit.conventions import MAX_SEED
from hgs_toolkit.errors import ConfigError, ShapeError
from hgs_toolkit.model.generator import Generator
from hgs_toolkit.ranges import parse_seeds
from hgs_toolkit.sampling import interpolate, latents, mix, sample, sample_w, slerp


@pytest.mark.parametrize(
    ("text", "seeds"),
    [("7", [7]), ("0-3", [0, 1, 2, 3]), ("1,5,9-12", [1, 5, 9, 10, 11, 12]), ("5, 3-4,4", [5, 3, 4]), ("2-2", [2])],
)
def test_seeds_are_read_in_their_order_without_repetition(text: str, seeds: list[int]) -> None:
    assert parse_seeds(text) == seeds


@given(st.lists(st.integers(0, MAX_SEED), min_size=1, max_size=20, unique=True))
def test_any_list_of_seeds_survives_its_text(seeds: list[int]) -> None:
    assert parse_seeds(",".join(map(str, seeds))) == seeds


@pytest.mark.parametrize(
    "text", ["", "a", "1-", "-1", "5-2", "1,,2", "0-4294967296", "99999999999", "1.5", "0-2000000"]
)
def test_other_texts_are_refused_with_an_example_or_limit(text: str) -> None:
    with pytest.raises(ConfigError, match=r"expected for example 0-3|backwards or beyond|more than"):
        parse_seeds(text)


def test_a_seeds_latent_is_that_of_the_stylegan_scripts() -> None:
    # Fixed numbers: a stream that changed would silently change everybody's seeds.
    np.testing.assert_allclose(latents([42], 3)[0], [0.49671414, -0.13826430, 0.64768857], atol=1e-7)
    np.testing.assert_allclose(latents([1, 42], 8)[1], latents([42], 8)[0])


def test_a_seed_gives_the_same_scene_whatever_it_is_sampled_with(tiny_model: Generator) -> None:
    together = sample(tiny_model, [3, 1, 2])
    alone = sample(tiny_model, [1])
    for name, value in alone.parameters().items():
        assert torch.equal(together[1].parameters()[name], value), name
    assert together.batch == 3
    assert not torch.equal(together.means[0], together.means[1])


def test_psi_zero_is_the_average_scene_and_psi_one_untruncated(tiny_model: Generator) -> None:
    average = sample_w(tiny_model, [1, 2], psi=0.0)
    assert torch.equal(average[0], average[1])
    assert torch.equal(sample_w(tiny_model, [4], psi=1.0), tiny_model.map(latents([4], 8)))


def test_a_cutoff_truncates_the_first_slots_only(tiny_model: Generator) -> None:
    ws = sample_w(tiny_model, [1], psi=0.5, cutoff=2)
    assert torch.equal(ws[:, :2], sample_w(tiny_model, [1], psi=0.5).unsqueeze(1).expand(-1, 2, -1))
    assert torch.equal(ws[:, 2], sample_w(tiny_model, [1], psi=1.0))


def test_nothing_to_sample_is_refused(tiny_model: Generator) -> None:
    with pytest.raises(ConfigError, match="no seeds given"):
        sample(tiny_model, [])
    with pytest.raises(ConfigError, match="seed -1; expected 0 to"):
        sample(tiny_model, [-1])


@pytest.mark.parametrize("space", ["w", "z"])
def test_a_path_passes_through_its_seeds(space: str, tiny_model: Generator) -> None:
    path = interpolate(tiny_model, [5, 6, 7], steps=4, psi=0.8, space=space)
    assert path.shape == (9, 16)
    torch.testing.assert_close(path[::4], sample_w(tiny_model, [5, 6, 7], psi=0.8))


def test_a_loop_comes_back_without_repeating_its_first_frame(tiny_model: Generator) -> None:
    path = interpolate(tiny_model, [5, 6], steps=8, loop=True)
    assert path.shape == (16, 16)
    steps = (path - path.roll(1, 0)).norm(dim=-1)
    torch.testing.assert_close(steps, steps[:1].expand(16))


def test_paths_that_cannot_be_are_refused(tiny_model: Generator) -> None:
    with pytest.raises(ConfigError, match="at least 2 seeds"):
        interpolate(tiny_model, [1], steps=4)
    with pytest.raises(ConfigError, match="expected w or z"):
        interpolate(tiny_model, [1, 2], steps=4, space="x")


@given(st.integers(0, 1000), st.floats(0, 1))
def test_an_arc_between_unit_vectors_stays_on_the_sphere(seed: int, fraction: float) -> None:
    a, b = torch.nn.functional.normalize(latents([seed, seed + 1], 5), dim=-1)
    torch.testing.assert_close(slerp(a, b, torch.tensor([fraction])).norm(), torch.tensor(1.0))


def test_an_arc_moves_at_constant_speed_and_parallel_ends_are_no_trouble() -> None:
    a, b = latents([0, 1], 6)
    points = slerp(a / a.norm(), b / b.norm(), torch.linspace(0, 1, 9)[:, None])
    lengths = (points[1:] - points[:-1]).norm(dim=-1)
    torch.testing.assert_close(lengths, lengths[:1].expand(8))
    torch.testing.assert_close(slerp(a, a, torch.tensor([0.3])), a)


def test_mixing_the_finest_level_leaves_the_coarser_gaussians_alone(tiny_model: Generator) -> None:
    coarse, styles = (sample_w(tiny_model, [seed], psi=1.0) for seed in (1, 2))
    mixed = tiny_model.synthesize(mix(tiny_model, coarse, styles, [2]))
    original = tiny_model.synthesize(coarse)
    same = (mixed.means == original.means).all(-1)[0]
    assert same[mixed.level < 2].all()
    assert not same[mixed.level == 2].any()


def test_mixing_no_level_or_all_gives_one_of_the_two(tiny_model: Generator) -> None:
    coarse, styles = (sample_w(tiny_model, [seed], psi=1.0) for seed in (1, 2))
    everything = mix(tiny_model, coarse, styles, [0, 1, 2])
    background = tiny_model.background_slot
    assert background is not None
    assert torch.equal(everything[:, :background], tiny_model.expand_ws(styles)[:, :background])
    assert torch.equal(everything[:, background], coarse)


@pytest.mark.parametrize("levels", [[], [3], [0, -1]])
def test_levels_without_styles_are_refused(levels: list[int], tiny_model: Generator) -> None:
    w = sample_w(tiny_model, [1])
    with pytest.raises(ShapeError, match=r"this model has styles at the levels \[0, 1, 2\]"):
        mix(tiny_model, w, w, levels)


def test_a_path_in_place_of_a_model_is_told_what_is_expected() -> None:
    with pytest.raises(ConfigError, match=r"the model is 'runs/x'; expected a generator: hgs_toolkit.load_model"):
        sample("runs/x", [0])  # type: ignore[arg-type]
