"""A small random model whose scenes differ visibly, and a target made by it."""

from __future__ import annotations

import pytest
import torch

from hgs_toolkit.cameras import from_yaw_pitch
from hgs_toolkit.config import GeneratorConfig
from hgs_toolkit.inversion.target import Target
from hgs_toolkit.model.generator import Generator
from hgs_toolkit.rendering import render

CONFIG = GeneratorConfig(
    resolution=16, z_dim=8, w_dim=16, mapping_lr=1.0, pose_conditioned=False, view_dependent_color=False, points=16,
    channels=(32, 16), level_blocks=("adain",), transformer_blocks=1, heads=2, background="none", soft_clamp=10.0,
    initial_opacity_logit=1.0, bounded_color=True,
)  # fmt: skip


@pytest.fixture(scope="session")
def model() -> Generator:
    """Styles matter: the scales of its residual blocks, which start at zero, are moved."""
    torch.manual_seed(0)
    generator = Generator(CONFIG)
    with torch.no_grad():
        for name, parameter in generator.named_parameters():
            if name.endswith("style.weight"):
                parameter.add_(0.3 * torch.randn_like(parameter))
    return generator.eval().requires_grad_(False)


@pytest.fixture(scope="session")
def target(model: Generator) -> Target:
    """Scene of the latent 5, from the right and above, with coverage."""
    cameras = from_yaw_pitch(torch.tensor([0.3]), torch.tensor([0.1]))
    z = torch.randn(1, 8, generator=torch.Generator().manual_seed(5))
    images, alphas = render(model.synthesize(model.map(z)), cameras, 16, 16)
    return Target(images[0].clamp(0, 1), alphas[0], cameras)
