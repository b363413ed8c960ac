from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest
import torch

from hgs_toolkit.config import GeneratorConfig, Hierarchy, LevelBlock
from hgs_toolkit.errors import ShapeError
from hgs_toolkit.gaussians import GaussianHierarchy
from hgs_toolkit.model import layers
from hgs_toolkit.model.generator import Generator
from hgs_toolkit.model.heads import Heads
from hgs_toolkit.rendering import render

LEAN = GeneratorConfig(
    resolution=32, z_dim=8, w_dim=12, pose_conditioned=False, view_dependent_color=False, points=16,
    channels=(16, 12, 8), level_blocks=("adain", "adain"), transformer_blocks=2, heads=2, background="none",
    head_init=(0.3,) * 5, soft_clamp=10.0, initial_opacity_logit=-1.5,
)  # fmt: skip
REFERENCE = replace(
    LEAN, pose_conditioned=True, view_dependent_color=True, level_blocks=("adaptive", "local"), neighbors=4,
    background="generator", background_points=6, background_channels=8, soft_clamp=None,
)  # fmt: skip


def make(config: GeneratorConfig = LEAN, seed: int = 0) -> Generator:
    """A generator in which every part acts (layer scales start at zero)."""
    torch.manual_seed(seed)
    generator = Generator(config)
    for parameter in generator.parameters():
        parameter.data += 0.2 * torch.randn_like(parameter)
    return generator


def latents(generator: Generator, count: int = 3) -> torch.Tensor:
    return torch.randn(count, generator.config.z_dim, generator=torch.Generator().manual_seed(5))


def shift_means(generator: Generator, level: int, amount: float) -> None:
    heads = generator.heads[level]
    assert isinstance(heads, Heads)
    heads.bias.data[:3] += amount


def assert_same_scenes(a: GaussianHierarchy, b: GaussianHierarchy, tolerance: float = 1e-5) -> None:
    for name, value in a.parameters().items():
        torch.testing.assert_close(value, getattr(b, name), atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("config", [LEAN, REFERENCE], ids=["lean", "reference"])
def test_the_scene_is_a_tree_coarse_to_fine_with_the_background_last(config: GeneratorConfig) -> None:
    scene = make(config)(latents(make(config)))
    assert scene.level_counts == [16, 64, 256]
    tree = scene.level >= 0
    assert (scene.level[tree].diff() >= 0).all()
    children = scene.parent[16:336].view(-1, 4)
    assert (children == children[:, :1]).all(), "siblings are consecutive"
    assert (~tree).sum() == (30 if config.background == "generator" else 0)
    assert (scene.parent[~tree] == -1).all()
    assert scene.anchors is not None
    assert scene.anchors.level_counts == [16, 64]


def test_the_background_can_be_left_out() -> None:
    generator = make(REFERENCE)
    w = generator.map(latents(generator))
    whole, alone = generator.synthesize(w), generator.synthesize(w, background=False)
    assert_same_scenes(whole.select(whole.level >= 0), alone)


def test_foreground_means_lie_in_the_box() -> None:
    generator = make(replace(LEAN, soft_clamp=None))
    shift_means(generator, 0, 100.0)  # anchors in a corner, children beyond it
    scene = generator(latents(generator))
    assert scene.means.abs().amax() == 1.0


@pytest.mark.parametrize("blocks", [("adain", "adain"), ("adaptive", "local"), ("local", "adaptive")])
@pytest.mark.parametrize("hierarchy", get_args(Hierarchy))
def test_every_weight_is_trained_in_every_configuration(hierarchy: Hierarchy, blocks: tuple[LevelBlock, ...]) -> None:
    generator = make(replace(REFERENCE, hierarchy=hierarchy, level_blocks=blocks))
    scene = generator(latents(generator), torch.randn(3, 25))
    assert scene.anchors is not None
    sum(value.square().sum() for cloud in (scene, scene.anchors) for value in cloud.parameters().values()).backward()
    untrained = [name for name, parameter in generator.named_parameters() if parameter.grad is None]
    assert untrained == []
    assert all(p.grad.isfinite().all() for p in generator.parameters() if p.grad is not None)


@pytest.mark.parametrize("config", [LEAN, REFERENCE], ids=["lean", "reference"])
def test_scenes_of_a_batch_do_not_see_each_other(config: GeneratorConfig) -> None:
    generator = make(config).eval()
    w = generator.map(latents(generator))
    scenes = generator.synthesize(w)
    for i in range(3):
        assert_same_scenes(scenes[i], generator.synthesize(w[i : i + 1]))


@pytest.mark.parametrize("config", [LEAN, REFERENCE], ids=["lean", "reference"])
def test_training_inference_and_pieces_give_the_same_scene(
    monkeypatch: pytest.MonkeyPatch, config: GeneratorConfig
) -> None:
    generator = make(config)
    z = latents(generator)
    trained = generator(z).detach()
    with torch.inference_mode():
        assert_same_scenes(trained, generator.eval()(z))
        monkeypatch.setattr(layers, "PIECE", 1000)
        assert_same_scenes(trained, generator(z))


def test_equal_calls_give_equal_bits() -> None:
    generator = make(REFERENCE).eval()
    z = latents(generator)
    assert_same_scenes(generator(z), generator(z), tolerance=0.0)


@pytest.mark.parametrize("blocks", [("adain", "adain"), ("adaptive", "local"), ("local", "adain")])
def test_the_slots_of_a_level_style_it_and_finer_ones_only(blocks: tuple[LevelBlock, ...]) -> None:
    generator = make(replace(REFERENCE, level_blocks=blocks)).eval()
    ws = generator.expand_ws(generator.map(latents(generator, 1)))
    scene = generator.synthesize(ws)
    for level, slots in enumerate(generator.level_slots):
        if not slots:
            continue
        mixed = ws.clone()
        mixed[:, slots.start : slots.stop] += 1.0
        changed = (generator.synthesize(mixed).sh - scene.sh).abs().amax((0, 2, 3)) > 0
        assert not changed[scene.level < level].any()
        assert changed[scene.level == level].any()


def test_slots_follow_each_other_and_the_background_has_the_last() -> None:
    generator = Generator(replace(REFERENCE, channels=(16, 12, 8, 8), level_blocks=("adaptive", "adain", "local")))
    assert generator.level_slots == (range(4), range(4, 6), range(6, 7), range(7, 7))
    assert (generator.background_slot, generator.num_ws) == (7, 8)
    assert Generator(LEAN).background_slot is None


def test_one_w_for_all_slots_is_the_same_as_one_for_each() -> None:
    generator = make(REFERENCE).eval()
    w = generator.map(latents(generator))
    assert_same_scenes(generator.synthesize(w), generator.synthesize(generator.expand_ws(w).clone()), tolerance=0.0)


def test_truncation_with_a_cutoff_spares_the_later_slots() -> None:
    generator = make(REFERENCE)
    generator.mapping.w_avg.normal_()
    z = latents(generator)
    ws = generator.map(z, psi=0.5, cutoff=3)
    assert ws.shape == (3, generator.num_ws, 12)
    torch.testing.assert_close(ws[:, 2], generator.map(z, psi=0.5))
    torch.testing.assert_close(ws[:, 3], generator.map(z))


def test_colour_alone_depends_on_the_viewing_direction_and_the_default_is_frontal() -> None:
    generator = make(REFERENCE).eval()
    w = generator.map(latents(generator))
    scene = generator.synthesize(w)
    assert_same_scenes(scene, generator.synthesize(w, torch.tensor([[0.0, 0.0, -1.0]]).expand(3, 3)), tolerance=0.0)
    aside = generator.synthesize(w, torch.tensor([[1.0, 0.0, 0.0]]).expand(3, 3))
    assert not torch.allclose(scene.sh, aside.sh)
    assert_same_scenes(scene, aside.replace(sh=scene.sh), tolerance=0.0)


@pytest.mark.parametrize("shape", [(3, 11), (3, 4, 12), (12,), (3, 6, 11)])
def test_styles_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match="expected"):
        Generator(LEAN).synthesize(torch.zeros(shape))


def test_viewing_directions_of_another_shape_are_refused() -> None:
    with pytest.raises(ShapeError, match="view_direction"):
        Generator(REFERENCE).synthesize(torch.zeros(2, 12), torch.zeros(3, 3))


def test_a_broken_weight_is_noticed_outside_training() -> None:
    generator = make(LEAN)
    shift_means(generator, 1, torch.nan)
    generator(latents(generator))
    with pytest.raises(ShapeError, match="non-finite"):
        generator.eval()(latents(generator))


def test_a_state_dict_carries_everything() -> None:
    first, second = make(REFERENCE, seed=0).eval(), make(REFERENCE, seed=1).eval()
    first.mapping.w_avg.normal_()
    second.load_state_dict(first.state_dict())
    z = latents(first)
    assert_same_scenes(first.synthesize(first.map(z, psi=0.5)), second.synthesize(second.map(z, psi=0.5)), 0.0)


def test_bfloat16_changes_little() -> None:
    generator = make(REFERENCE).eval()
    w = generator.map(latents(generator))
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        scene = generator.synthesize(w)
    assert scene.means.dtype == torch.float32
    assert (scene.means - generator.synthesize(w).means).abs().mean() < 0.01


@pytest.mark.parametrize("config", [REFERENCE, LEAN])
def test_images_in_bfloat16_are_those_of_float32(config: GeneratorConfig) -> None:
    generator = make(config).eval()
    cameras = config.poses.sample(3, torch.Generator().manual_seed(0)).reshape(3, 1)
    with torch.inference_mode():
        w = generator.map(latents(generator))
        exact = generator.synthesize(w)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rough = generator.synthesize(w)
        images = [render(scene, cameras, 48, 48)[0].clamp(0, 1) for scene in (exact, rough)]
    assert {value.dtype for value in rough.parameters().values()} == {torch.float32}
    assert -10 * (images[0] - images[1]).square().mean().log10() > 45
