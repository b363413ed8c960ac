"""The lean discriminator: precision, the camera's projection, variance at the start."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from hgs_toolkit.config import DiscriminatorConfig
from hgs_toolkit.model import precision
from hgs_toolkit.model.precision import autocast_dtype, cpu_flags, multiplies_bfloat16
from hgs_toolkit.model.residual_discriminator import ResidualDiscriminator
from hgs_toolkit.pose_prior import PosePrior

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Networks this small spend their time on waking threads, ten times over on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def make(resolution: int, channels: tuple[int, ...], **settings: object) -> ResidualDiscriminator:
    torch.manual_seed(0)
    values = {"kind": "residual", "resolution": resolution, "channels": channels, "pose": "projection"} | settings
    return ResidualDiscriminator(DiscriminatorConfig(**values))  # type: ignore[arg-type]


def smooth_images(size: int, resolution: int) -> Tensor:
    coarse = torch.randn(size, 3, 4, 4, generator=torch.Generator().manual_seed(1))
    return functional.interpolate(coarse, size=resolution, mode="bilinear").tanh()


def labels(size: int) -> Tensor:
    return PosePrior().sample(size, torch.Generator().manual_seed(2)).labels


def test_bfloat16_inside_gives_float32_logits_near_those_of_float32() -> None:
    exact, coarse = (make(16, (8, 16, 16), precision=p) for p in ("float32", "bfloat16"))
    images = smooth_images(4, 16)
    expected, actual = exact(images, labels(4)).logits, coarse(images, labels(4)).logits
    assert actual.dtype == torch.float32
    assert not torch.equal(actual, expected)
    torch.testing.assert_close(actual, expected, rtol=0.05, atol=0.05)


def test_bfloat16_has_a_finite_double_backward_near_that_of_float32() -> None:
    gradients = []
    for kind in ("float32", "bfloat16"):
        discriminator = make(16, (8, 16, 16), precision=kind, channels_last=True)
        images = smooth_images(4, 16).requires_grad_(True)
        (gradient,) = torch.autograd.grad(discriminator(images, labels(4)).logits.sum(), images, create_graph=True)
        assert gradient.dtype == torch.float32
        gradient.square().sum().backward()
        grads = [p.grad.flatten() for p in discriminator.parameters() if p.grad is not None]
        gradients.append(torch.cat(grads))
    assert functional.cosine_similarity(gradients[0], gradients[1], dim=0) > 0.98


def test_auto_means_bfloat16_exactly_where_the_hardware_multiplies_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for native, expected in ((True, torch.bfloat16), (False, None)):
        monkeypatch.setattr(precision, "multiplies_bfloat16", lambda device, native=native: native)
        assert autocast_dtype("auto", CPU) == expected
        assert autocast_dtype("bfloat16", CPU) == torch.bfloat16
        assert autocast_dtype("float32", CPU) is None


def test_the_probe_of_this_machine_agrees_with_its_flags() -> None:
    flags = cpu_flags()
    if not flags:
        pytest.skip("this system does not list its CPU's flags")
    assert multiplies_bfloat16(CPU) == bool(flags & {"avx512_bf16", "amx_bf16"})


def test_flags_are_read_from_the_first_processor_and_missing_files_have_none(tmp_path: Path) -> None:
    listing = tmp_path / "cpuinfo"
    listing.write_text("processor\t: 0\nflags\t\t: fpu avx2 avx512_bf16\n\nprocessor\t: 1\nflags\t\t: fpu\n")
    assert cpu_flags(listing) == {"fpu", "avx2", "avx512_bf16"}
    assert cpu_flags(tmp_path / "nowhere") == frozenset()


def test_a_camera_moves_the_logit_only_with_projection() -> None:
    images, (first, second) = smooth_images(1, 16), labels(2).split(1)
    with_pose, without = make(16, (8, 16, 16)), make(16, (8, 16, 16), pose="none")
    assert (with_pose(images, first).logits - with_pose(images, second).logits).abs() > 1e-3
    assert torch.equal(without(images, first).logits, without(images, second).logits)


def test_a_focal_length_moves_the_logit_too() -> None:
    discriminator, images, wide = make(16, (8, 16, 16)), smooth_images(1, 16), labels(1)
    narrow = wide.clone()
    narrow[:, [16, 20]] *= 2
    assert (discriminator(images, wide).logits - discriminator(images, narrow).logits).abs() > 1e-3


def test_cameras_are_embedded_at_unit_root_mean_square() -> None:
    discriminator = make(16, (8, 16, 16))
    assert discriminator.camera is not None
    embedded = discriminator.camera(labels(8))
    torch.testing.assert_close(embedded.square().mean(dim=1), torch.ones(8))


@pytest.mark.parametrize("downsample", ["average", "blur"])
@pytest.mark.parametrize("channels", [(16, 32, 32, 32), (8, 16, 16, 32, 32, 32, 32)], ids=["32px", "256px"])
def test_features_neither_vanish_nor_explode_at_the_start(channels: tuple[int, ...], downsample: str) -> None:
    resolution = 4 * 2 ** (len(channels) - 1)
    discriminator = make(resolution, channels, downsample=downsample, mbstd_group=0)
    scales: list[float] = []
    for block in discriminator.blocks:
        block.register_forward_hook(lambda module, args, out: scales.append(out.square().mean().sqrt().item()))
    discriminator(smooth_images(8, resolution), labels(8))
    assert len(scales) == len(channels) - 1
    assert all(0.2 < scale < 2.0 for scale in scales), scales
