"""What holds for every discriminator, whatever its kind."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from hgs_toolkit.config import DiscriminatorConfig
from hgs_toolkit.errors import ConfigError, ShapeError
from hgs_toolkit.model.discriminator import Discriminator, make_discriminator
from hgs_toolkit.model.discriminator_base import ClassProjection, append_minibatch_std, blur
from hgs_toolkit.pose_prior import PosePrior

STYLEGAN2: dict[str, Any] = {"kind": "stylegan2", "resolution": 16, "channel_base": 128, "channel_max": 16}
RESIDUAL: dict[str, Any] = {"kind": "residual", "resolution": 16, "channels": (8, 16, 24), "pose": "projection"}
KINDS: dict[str, dict[str, Any]] = {
    "stylegan2": STYLEGAN2,
    "stylegan2 without pose": STYLEGAN2 | {"pose": "none"},
    "residual": RESIDUAL,
    "residual without pose": RESIDUAL | {"pose": "none"},
    "residual, blurred": RESIDUAL | {"downsample": "blur"},
    "residual, no minibatch statistics": RESIDUAL | {"mbstd_group": 0},
}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Networks this small spend their time on waking threads, ten times over on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def make(**settings: Any) -> Discriminator:
    torch.manual_seed(0)
    return make_discriminator(DiscriminatorConfig(**settings))


def batch(size: int = 4, resolution: int = 16, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Images (B, 3, R, R) and labels (B, 25)."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(size, 3, resolution, resolution, generator=generator) * 2 - 1
    return images, PosePrior().sample(size, generator).labels


def parameter_gradients(discriminator: Discriminator, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """Gradients of a logistic loss with R1, in one backward pass."""
    images = images.clone().requires_grad_(True)
    logits = discriminator(images, labels).logits
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    loss = functional.softplus(-logits).mean() + gradient.square().sum(dim=(1, 2, 3)).mean()
    gradients = torch.autograd.grad(loss, list(discriminator.parameters()), allow_unused=True, materialize_grads=True)
    return dict(zip(dict(discriminator.named_parameters()), gradients, strict=True))


@pytest.mark.parametrize("settings", KINDS.values(), ids=KINDS)
def test_one_float32_logit_comes_out_for_each_image(settings: dict[str, Any]) -> None:
    output = make(**settings)(*batch(6))
    assert output.logits.shape == (6,)
    assert output.logits.dtype == torch.float32
    assert output.logits.isfinite().all()


@pytest.mark.parametrize("settings", KINDS.values(), ids=KINDS)
def test_second_derivatives_are_those_that_finite_differences_see(settings: dict[str, Any]) -> None:
    discriminator = make(**settings).double()
    images, labels = (tensor.double() for tensor in batch(2))
    names = ["fromrgb.weight", "fromrgb.bias"]
    weights = [discriminator.get_parameter(name).detach().requires_grad_(True) for name in names]

    def logits(images: Tensor, *weights: Tensor) -> Tensor:
        state = dict(zip(names, weights, strict=True))
        judged: Tensor = torch.func.functional_call(discriminator, state, (images, labels))[0]
        return judged

    assert torch.autograd.gradgradcheck(logits, (images.requires_grad_(True), *weights), fast_mode=True)


@pytest.mark.parametrize("settings", KINDS.values(), ids=KINDS)
def test_loss_and_penalty_reach_every_parameter_that_makes_the_logit(settings: dict[str, Any]) -> None:
    discriminator = make(**settings)
    gradients = parameter_gradients(discriminator, *batch())
    judging = {name for name in gradients if not name.startswith(("pose_", "camera_layers"))}
    assert all(gradients[name].abs().sum() > 0 for name in judging)


@pytest.mark.parametrize("settings", KINDS.values(), ids=KINDS)
def test_channels_last_changes_the_layout_and_not_the_numbers(settings: dict[str, Any]) -> None:
    plain = make(**settings)
    laid_out = make(**settings, channels_last=True)
    laid_out.load_state_dict(plain.state_dict())
    expected = parameter_gradients(plain, *batch())
    actual = parameter_gradients(laid_out, *batch())
    for name in expected:
        torch.testing.assert_close(actual[name], expected[name], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("settings", KINDS.values(), ids=KINDS)
def test_an_outer_autocast_region_does_not_coarsen_the_logits(settings: dict[str, Any]) -> None:
    discriminator = make(**settings)
    expected = discriminator(*batch()).logits
    with torch.autocast("cpu", dtype=torch.bfloat16):
        actual = discriminator(*batch()).logits
    assert torch.equal(actual, expected)


@pytest.mark.parametrize("settings", [STYLEGAN2 | {"mbstd_group": 0}, RESIDUAL | {"mbstd_group": 0}])
def test_without_minibatch_statistics_every_image_is_judged_alone(settings: dict[str, Any]) -> None:
    discriminator = make(**settings)
    images, labels = batch(6)
    together = discriminator(images, labels).logits
    alone = torch.cat([discriminator(images[i : i + 1], labels[i : i + 1]).logits for i in range(6)])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("settings", [STYLEGAN2, RESIDUAL])
def test_minibatch_statistics_let_other_images_change_the_logit(settings: dict[str, Any]) -> None:
    discriminator = make(**settings)
    images, labels = batch(4)
    collapsed = images[:1].repeat(4, 1, 1, 1)
    varied = discriminator(images, labels).logits[0]
    assert not torch.isclose(discriminator(collapsed, labels).logits[0], varied, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("settings", KINDS.values(), ids=KINDS)
def test_a_few_steps_tell_dark_from_bright_images(settings: dict[str, Any]) -> None:
    discriminator = make(**settings)
    optimizer = torch.optim.Adam(discriminator.parameters(), lr=2e-3, betas=(0.0, 0.99))
    images, labels = batch(8)
    real, fake = images * 0.5 + 0.3, images * 0.5 - 0.3
    for _ in range(12):
        inputs = real.clone().requires_grad_(True)
        real_logits = discriminator(inputs, labels).logits
        (gradient,) = torch.autograd.grad(real_logits.sum(), inputs, create_graph=True)
        gap = real_logits - discriminator(fake, labels).logits
        loss = functional.softplus(-gap).mean() + 0.01 * gradient.square().sum(dim=(1, 2, 3)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.3
    assert (discriminator(real, labels).logits > discriminator(fake, labels).logits).all()


@pytest.mark.parametrize("settings", [STYLEGAN2, RESIDUAL])
def test_a_deep_copy_judges_the_same(settings: dict[str, Any]) -> None:
    discriminator = make(**settings, channels_last=True)
    assert torch.equal(copy.deepcopy(discriminator)(*batch()).logits, discriminator(*batch()).logits)


@pytest.mark.parametrize("settings", [STYLEGAN2, RESIDUAL])
def test_images_of_another_size_are_refused_with_both_sizes(settings: dict[str, Any]) -> None:
    images, labels = batch(resolution=32)
    with pytest.raises(ShapeError, match=r"\(4, 3, 32, 32\).*expected \(B, 3, 16, 16\)"):
        make(**settings)(images, labels)
    with pytest.raises(ShapeError, match=r"labels \(4, 16\)"):
        make(**settings)(batch()[0], labels[:, :16])


@pytest.mark.parametrize("settings", [STYLEGAN2 | {"pose": "projection"}, RESIDUAL | {"pose": "branch"}])
def test_the_other_kinds_way_of_seeing_the_pose_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=settings["pose"]):
        make(**settings)


def test_blurring_keeps_a_constant_image_and_removes_a_checkerboard() -> None:
    constant = torch.full((1, 2, 8, 8), 0.7)
    torch.testing.assert_close(blur(constant, padding=0, stride=2), torch.full((1, 2, 3, 3), 0.7))
    checkerboard = (-1.0) ** torch.arange(8)[:, None] * (-1.0) ** torch.arange(8)
    torch.testing.assert_close(blur(checkerboard[None, None], padding=0), torch.zeros(1, 1, 5, 5))


def test_the_minibatch_channel_is_the_deviation_within_the_samples_group() -> None:
    x = torch.arange(4.0)[:, None, None, None].expand(4, 3, 4, 4)  # groups of two: {0, 2} and {1, 3}
    out = append_minibatch_std(x, group=2)
    assert out.shape == (4, 4, 4, 4)
    assert torch.equal(out[:, :3], x)
    torch.testing.assert_close(out[:, 3], torch.ones(4, 4, 4))


@pytest.mark.parametrize(("batch_size", "group"), [(1, 4), (3, 4), (6, 4), (7, 4)])
def test_the_minibatch_channel_takes_any_batch_size(batch_size: int, group: int) -> None:
    out = append_minibatch_std(torch.randn(batch_size, 2, 4, 4), group)
    assert out.shape == (batch_size, 3, 4, 4)
    assert out.isfinite().all()


def test_scenes_of_no_class_do_not_drown_the_others_gradients() -> None:
    torch.manual_seed(0)
    projection = ClassProjection(8, 3, 16)
    features, classes = torch.randn(64, 8), torch.eye(3)[torch.randint(3, (64,))]
    norms, bias = [], projection.embed.bias
    assert bias is not None
    for some in (classes, classes * (torch.arange(64) % 2)[:, None]):  # half of them are `none`
        (gradient,) = torch.autograd.grad(projection(features, some).mean(), bias)
        norms.append(float(gradient.norm()))
    assert norms[1] < 5 * norms[0]
