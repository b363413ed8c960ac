"""A copy for inference draws what its original draws, scene by scene, whatever is drawn together."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from hgs_toolkit.config import GeneratorConfig
from hgs_toolkit.model.constants import for_inference
from hgs_toolkit.model.generator import Generator

CONFIG = GeneratorConfig(
    resolution=32, z_dim=8, w_dim=16, points=24, channels=(16, 16, 8, 8), heads=2, neighbors=4, transformer_blocks=1,
    level_blocks=("adaptive", "adain", "local"), soft_clamp=10.0, background_points=12, background_channels=8,
)  # fmt: skip
"""Every kind of block, a background, and colours that depend on the view."""


@pytest.fixture(scope="module")
def generator() -> Generator:
    torch.manual_seed(0)
    made = Generator(CONFIG).eval()
    for name, parameter in made.named_parameters():
        if name.endswith(("style.weight", "layer_scale")):  # zero at first: the blocks would do nothing
            parameter.data += 0.1 * torch.randn_like(parameter)
    return made


@pytest.fixture(scope="module")
def w() -> Tensor:
    return torch.randn(3, CONFIG.w_dim, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def test_scenes_drawn_together_equal_those_the_original_draws_alone_bit_by_bit(generator: Generator, w: Tensor) -> None:
    views = torch.nn.functional.normalize(w[:, :3], dim=1)
    together = for_inference(generator).synthesize(w, views)
    for i in range(len(w)):
        alone = generator.synthesize(w[i : i + 1], views[i : i + 1])
        for name, value in alone.parameters().items():
            assert torch.equal(together.parameters()[name][i], value[0]), name


@torch.no_grad()
def test_the_copy_keeps_the_weights_of_its_first_scene_and_the_original_follows_its_own(
    generator: Generator, w: Tensor
) -> None:
    copy = for_inference(generator)
    assert for_inference(copy) is copy
    before = copy.synthesize(w[:1])
    weight = generator.get_parameter("transformer.0.mlp.expand.weight")
    kept = weight.clone()
    weight.add_(1.0)
    try:
        assert torch.equal(copy.synthesize(w[:1]).means, before.means)
        assert not torch.equal(generator.synthesize(w[:1]).means, before.means)
        assert torch.equal(for_inference(generator).synthesize(w[:1]).means, generator.synthesize(w[:1]).means)
    finally:
        weight.copy_(kept)


def test_gradients_reach_the_styles_through_a_copy_that_drew_before(generator: Generator, w: Tensor) -> None:
    copy = for_inference(generator)
    with torch.inference_mode():
        copy.synthesize(w)
    gradients = []
    for network in (generator, copy):
        styles = w.clone().requires_grad_()
        network.synthesize(styles).means.square().sum().backward()
        gradients.append(styles.grad)
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-4, atol=1e-6)


def test_a_copy_has_the_parameters_of_its_original_and_leaves_it_as_it_was(generator: Generator) -> None:
    copy = for_inference(generator)
    mine, theirs = dict(copy.named_parameters()), dict(generator.named_parameters())
    assert mine.keys() == theirs.keys()
    assert all(mine[name] is theirs[name] for name in mine)
    assert all(getattr(module, "_constants", None) is None for module in generator.modules())
