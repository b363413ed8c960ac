"""A generator whose levels become wider makes the same scenes, and learns with all of its new channels."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from hgs_toolkit.config import Config, GeneratorConfig
from hgs_toolkit.errors import CheckpointError
from hgs_toolkit.model.generator import Generator
from hgs_toolkit.training.networks import Networks, new_networks
from hgs_toolkit.training.stages.growing import grow
from hgs_toolkit.training.stages.widening import widen

NETWORK = GeneratorConfig(
    resolution=32, z_dim=8, w_dim=12, points=16, heads=2, channels=(16, 12, 8), level_blocks=("adain", "adain"),
    transformer_blocks=2, neighbors=4, background="none",
)  # fmt: skip
KINDS = {
    "adain": NETWORK,
    "edges among near points": replace(NETWORK, level_blocks=("adaptive", "adaptive")),
    "edges among siblings": replace(NETWORK, level_blocks=("local", "local")),
    "colour by the view": replace(NETWORK, view_dependent_color=True, pose_conditioned=True),
    "a background": replace(NETWORK, background="generator", background_points=10, background_channels=8),
    "one width": replace(NETWORK, channels=(16, 16, 8)),
}


def _trained(config: GeneratorConfig) -> Generator:
    """Every weight off its start, where scales of residual blocks are zero."""
    torch.manual_seed(1)
    generator = Generator(config)
    with torch.no_grad():
        for value in generator.parameters():
            value.add_(0.3 * torch.randn_like(value))
    return generator


def _scene(generator: Generator) -> torch.Tensor:
    z = torch.randn(3, NETWORK.z_dim, generator=torch.Generator().manual_seed(0))
    scene = generator(z, view_direction=torch.tensor([[0.0, 0.6, -0.8]]).expand(3, 3))
    parts = (scene.means, scene.log_scales, scene.quats, scene.sh.flatten(2), scene.opacity_logits.unsqueeze(-1))
    return torch.cat(parts, dim=-1)


@pytest.mark.parametrize("channels", [(24, 20, 14), (24, 12, 8), (16, 12, 9)], ids=["all", "the first", "the last"])
@pytest.mark.parametrize("config", KINDS.values(), ids=KINDS)
def test_a_wider_generator_makes_the_same_scenes(config: GeneratorConfig, channels: tuple[int, ...]) -> None:
    channels = tuple(max(pair) for pair in zip(channels, config.channels, strict=True))
    old, new = _trained(config), Generator(replace(config, channels=channels))
    assert not torch.allclose(_scene(new), _scene(old), atol=0.1)
    widen(old, new)
    torch.testing.assert_close(_scene(new), _scene(old), atol=2e-5, rtol=2e-5)


@pytest.mark.parametrize("config", KINDS.values(), ids=KINDS)
def test_every_new_channel_learns(config: GeneratorConfig) -> None:
    old = _trained(config)
    new = Generator(replace(config, channels=(24, 20, 14)))
    widen(old, new)
    optimizer = torch.optim.Adam(new.parameters(), lr=0.01)
    before = {name: value.detach().clone() for name, value in new.named_parameters()}
    for _ in range(6):  # what is zero reads first what others make, then is read
        optimizer.zero_grad()
        _scene(new).square().sum().backward()
        optimizer.step()
    others = ("view_embedding", "background")  # of no level's width
    shared = "weight_out.bias"  # a softmax over the edges does not see it
    still = [
        name for name, value in new.named_parameters() if not name.startswith(others) and not name.endswith(shared)
        and (value == before[name]).reshape(len(value), -1).all(1).any()
    ]  # fmt: skip
    assert still == []


def test_levels_become_wider_while_growing(tiny: Config) -> None:
    generator, discriminator = new_networks(tiny)
    average = {name: value * 0.5 for name, value in generator.state_dict().items()}
    networks = Networks(tiny, generator.state_dict(), average, discriminator.state_dict())
    wide = replace(tiny, generator=replace(tiny.generator, channels=tuple(2 * c for c in tiny.generator.channels)))
    grown = grow(networks, wide)
    for weights, wider in ((networks.generator, grown.generator), (average, grown.ema)):
        old, new = Generator(tiny.generator), Generator(wide.generator)
        old.load_state_dict(weights)
        new.load_state_dict(wider)
        z = torch.randn(2, tiny.generator.z_dim, generator=torch.Generator().manual_seed(0))
        torch.testing.assert_close(new(z).means, old(z).means, atol=2e-5, rtol=2e-5)
    with pytest.raises(CheckpointError, match="at least the same widths"):
        grow(grown, tiny)


def test_levels_that_come_to_one_width_are_refused_by_name() -> None:
    with pytest.raises(CheckpointError, match=r"levels\.0\.upsampling\.skip .* different generator\.channels"):
        widen(Generator(NETWORK), Generator(replace(NETWORK, channels=(16, 16, 8))))
