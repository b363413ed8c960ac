"""Training on a GPU: nothing mixes devices, and a step rarely waits for it. Pretended: see ``pretend.py``."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from hgs_toolkit.cameras import from_yaw_pitch
from hgs_toolkit.config import Config
from hgs_toolkit.datasets.eg3d import PosedImages, open_dataset
from hgs_toolkit.datasets.eg3d_writer import open_writer
from hgs_toolkit.metrics.extractors import make_extractor
from hgs_toolkit.pose_prior import PosePrior
from hgs_toolkit.settings_io import config_from_dict
from hgs_toolkit.training.distributed import World
from hgs_toolkit.training.inputs.prefetching import DeviceImages
from hgs_toolkit.training.loop import GPU_SECONDS, RunProgress, train
from hgs_toolkit.training.trainer import Trainer

MOST_WAITS = {"r3": 3, "gsgan": 4}
"""Waits for the device in a step: one for each update of a network, one for all figures."""

MOST_UPLOADS = 30
"""Copies to the device in a step: the batch, and constants of the networks."""

GENERATOR: dict[str, Any] = {
    "resolution": 16, "z_dim": 8, "w_dim": 16, "pose_conditioned": False, "view_dependent_color": False, "points": 16,
    "channels": [32, 16], "level_blocks": ["adain"], "transformer_blocks": 1, "heads": 2, "soft_clamp": 10.0,
    "background": "none",
}  # fmt: skip
R3: dict[str, Any] = {
    "name": "r3",
    "generator": GENERATOR,
    "discriminator": {"kind": "residual", "resolution": 16, "channels": [8, 16, 16], "pose": "projection"},
    "training": {
        "batch": 4, "kimg": 0.012, "loss": "relativistic", "r1_gamma": 0.1, "r2_gamma": 0.1, "penalty_interval": 2,
        "penalty_step": "merged", "share_fakes": True, "pose_weight": 0.0, "knn_neighbors": 4, "background": "random",
        "blur_kimg": 0.02, "blur_sigma": 2.0, "tick_kimg": 0.008, "grid": 2, "augment": {"mirror": 0.5, "color": 0.5},
    },
}  # fmt: skip
GSGAN: dict[str, Any] = {
    "name": "gsgan",
    "generator": GENERATOR | {
        "pose_conditioned": True, "view_dependent_color": True, "level_blocks": ["adaptive"], "neighbors": 4,
        "background": "generator", "background_points": 8, "background_channels": 8, "soft_clamp": None,
    },
    "discriminator": {"kind": "stylegan2", "resolution": 16, "channel_base": 256, "channel_max": 16, "pose_dim": 8},
    "training": {
        "batch": 4, "kimg": 0.012, "penalty_interval": 2, "knn_neighbors": 4, "background_kimg": 0.0,
        "tick_kimg": 0.008, "grid": 2, "random_pose": 0.5,
    },
}  # fmt: skip


@pytest.fixture(params=[R3, GSGAN], ids=["r3", "gsgan"])
def config(request: pytest.FixtureRequest) -> Config:
    return config_from_dict(request.param)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> PosedImages:
    """12 images of noise with alpha, 16 pixels."""
    path = tmp_path_factory.mktemp("noise") / "noise.zip"
    rng = np.random.default_rng(0)
    with open_writer(path) as writer:
        for label in PosePrior().sample(12, torch.Generator().manual_seed(0)).labels.numpy():
            writer.add(rng.integers(0, 256, (16, 16, 4), np.uint8), label)
    return open_dataset(path)


def test_a_step_mixes_no_devices_waits_rarely_and_does_what_it_does_on_the_cpu(
    config: Config, images: PosedImages, gpu: ModuleType
) -> None:
    here, there = Trainer(config), Trainer(config, World(device=torch.device("cuda", 0)))
    expected = [here.train_step(images) for _ in range(3)]
    counts: list[tuple[Counter[str], Counter[str]]] = []
    for step in range(3):
        gpu.WAITS.clear()
        gpu.UPLOADS.clear()
        figures = there.train_step(images)
        counts.append((gpu.WAITS.copy(), gpu.UPLOADS.copy()))
        assert figures == pytest.approx(expected[step], rel=0.02, abs=0.02)
    for waits, uploads in counts:
        assert waits.total() <= MOST_WAITS[config.name], waits
        assert uploads.total() <= MOST_UPLOADS, uploads


@pytest.mark.usefixtures("gpu")
def test_a_whole_run_with_ticks_measurement_and_resume_stays_on_the_device(
    images: PosedImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hgs_toolkit.training.ticks.tick_extractor", lambda: make_extractor("randconv"))
    # However slow this machine is, its ticks are nearer to each other than that.
    monkeypatch.setitem(GPU_SECONDS, "tick", 86_400.0)
    settings = R3 | {"training": R3["training"] | {"metric_kimg": 0.008, "metric_images": 4}}
    world, config = World(device=torch.device("cuda", 0)), config_from_dict(settings)
    measures_algorithms: list[bool] = []

    def watch(_: RunProgress) -> None:
        measures_algorithms.append(torch.backends.cudnn.benchmark)

    run = train(config, images, tmp_path / "run", world=world, report=watch)
    assert all(measures_algorithms), "every step has the shapes of the one before"
    assert not torch.backends.cudnn.benchmark, "what is not training has others"
    lines = run.read_log()
    assert [line["step"] for line in lines] == [3], "a GPU's ticks are seconds apart, but for the last"
    assert "kid_randconv" in lines[-1]
    longer = config_from_dict(settings | {"training": settings["training"] | {"kimg": 0.02, "tick_seconds": 0}})
    resumed = train(longer, images, tmp_path / "run", world=world, resume=True)
    assert [line["step"] for line in resumed.read_log()] == [3, 4, 5]


@pytest.mark.usefixtures("gpu")
def test_images_on_the_device_are_those_of_the_dataset(images: PosedImages) -> None:
    on_device = DeviceImages.if_they_fit(images, torch.device("cuda", 0))
    assert on_device is not None
    for order in (np.array([3, 1, 3]), np.array([1, 0, 11])):
        pixels, labels = on_device.batch(order)
        expected_pixels, expected_labels = images.batch(order)
        assert pixels.device.type == "cuda"
        assert torch.equal(pixels.cpu(), expected_pixels)
        assert torch.equal(labels, expected_labels)
    assert DeviceImages.if_they_fit(images, torch.device("cpu")) is None


@pytest.mark.usefixtures("gpu")
def test_too_many_images_for_the_device_stay_where_they_are(
    images: PosedImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda *_: (4 * 12 * 16 * 16 * 4 - 1, 2**30))
    assert DeviceImages.if_they_fit(images, torch.device("cuda", 0)) is None


@pytest.mark.usefixtures("gpu")
def test_features_come_from_the_device_and_are_those_of_the_cpu() -> None:
    pixels = torch.rand(3, 16, 16, 3, generator=torch.Generator().manual_seed(0))
    extractor = make_extractor("randconv")
    expected = extractor.features(pixels)
    on_device = extractor.to(torch.device("cuda", 0))
    assert on_device.device.type == "cuda"
    np.testing.assert_allclose(on_device.features(pixels), expected, rtol=1e-6)
    np.testing.assert_allclose(on_device.features(pixels.to("cuda")), expected, rtol=1e-6)


@pytest.mark.usefixtures("gpu")
def test_cameras_are_made_where_their_angles_are() -> None:
    yaw = torch.tensor([0.1, 0.2])
    cameras = from_yaw_pitch(yaw.to("cuda"), yaw.to("cuda"), 2.7, 2.5)
    assert cameras.labels.device.type == "cuda"
    assert torch.equal(cameras.labels.cpu(), from_yaw_pitch(yaw, yaw, 2.7, 2.5).labels)


def test_the_pretended_device_refuses_what_cuda_refuses(gpu: ModuleType) -> None:
    there, here = torch.ones(3, device="cuda"), torch.ones(3)
    with pytest.raises(RuntimeError, match="same device"):
        there + here
    with pytest.raises(TypeError, match="copy the tensor to host memory first"):
        there.numpy()
    with pytest.raises(RuntimeError, match="generator"):
        torch.randn(3, device="cuda", generator=torch.Generator())
    before = gpu.WAITS.total()
    assert float(there.sum()) == 3.0
    assert gpu.WAITS.total() == before + 1
