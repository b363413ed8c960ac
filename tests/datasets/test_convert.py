"""What a converted set shows is where its labels say it is, whatever format it came from."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from hgs_toolkit.cameras import Cameras, yaw_pitch_radius
from hgs_toolkit.datasets.check import check_dataset
from hgs_toolkit.datasets.convert import Converted, Framing, convert_scenes
from hgs_toolkit.datasets.eg3d import PosedImages, open_dataset
from hgs_toolkit.datasets.sources import read_scenes
from hgs_toolkit.datasets.sources.bare import AssumedPoses
from hgs_toolkit.datasets.world import KEEP_WORLD, PlacementOptions
from hgs_toolkit.errors import DataError
from hgs_toolkit.imaging.images import save_png
from tests.datasets.photographs import (
    BALLS,
    DISTANCE,
    SUBJECT,
    Photographs,
    colmap,
    colmap_binary,
    gaussian_splatting,
    nerf_synthetic,
    nerfstudio,
)

CENTERED: dict[str, Any] = {"cx": 80.0, "cy": 60.0}

FORMATS: list[tuple[str, Callable[[Photographs, Path], None], dict[str, Any]]] = [
    ("nerf-synthetic", nerf_synthetic, CENTERED),
    ("nerfstudio", nerfstudio, {"fy": 190.0}),
    ("nerfstudio-distorted", nerfstudio, {"k": -0.3}),
    ("3d-gs", gaussian_splatting, CENTERED | {"fy": 210.0}),
    ("colmap-simple-pinhole", colmap("SIMPLE_PINHOLE"), {}),
    ("colmap-pinhole", colmap("PINHOLE"), {"fy": 190.0}),
    ("colmap-simple-radial", colmap("SIMPLE_RADIAL"), {"k": 0.4}),
    ("colmap-opencv", colmap("OPENCV"), {"k": -0.3}),
    ("colmap-binary", colmap_binary, {"k": -0.3}),
]
every_format = pytest.mark.parametrize(
    ("write", "lens"), [pytest.param(write, lens, id=name) for name, write, lens in FORMATS]
)


def converted(
    source: Path, out: Path, world: PlacementOptions | None = None, **framing: Any
) -> tuple[PosedImages, Converted]:
    made = convert_scenes(read_scenes(source), out, world or PlacementOptions(), Framing(**framing))
    return open_dataset(out), made


def spots(image: np.ndarray[Any, np.dtype[np.uint8]]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Centres (3, 2) of the light in each channel, in image widths."""
    light = image[..., :3].astype(np.float64)
    v, u = np.mgrid[0 : image.shape[0], 0 : image.shape[1]] + 0.5
    total = light.sum(axis=(0, 1))
    return np.stack([(light * w[..., None]).sum(axis=(0, 1)) / total / image.shape[0] for w in (u, v)], axis=1)


def projected(label: Any, points: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Where a label's camera sees points (n, 3): (n, 2) in image widths."""
    camera = Cameras.from_labels(torch.as_tensor(label).double())
    homogeneous = torch.cat([torch.as_tensor(points), torch.ones(len(points), 1)], dim=1).double()
    inside = (homogeneous @ camera.viewmats.mT)[:, :3] @ camera.intrinsics.mT
    return (inside[:, :2] / inside[:, 2:]).numpy()


@every_format
@pytest.mark.parametrize("crop", ["principal", "center", "pad"])
def test_every_ball_is_where_the_label_projects_it(
    tmp_path: Path, write: Callable[[Photographs, Path], None], lens: dict[str, Any], crop: str
) -> None:
    photographs = Photographs.take(**lens)
    (tmp_path / "source").mkdir()
    write(photographs, tmp_path / "source")
    dataset, _ = converted(tmp_path / "source", tmp_path / "set.zip", crop=crop, resolution=96)
    assert len(dataset) == 8
    offset = (BALLS - SUBJECT) * 2.7 / DISTANCE
    balls = np.stack([offset[:, 0], offset[:, 2], -offset[:, 1]], axis=1)  # z up became y up, -y the front
    for index in range(8):
        image, label = dataset.image(index), dataset.labels[index]
        assert np.abs(spots(image) - projected(label, balls)).max() < 0.5 / 96, index
        assert label[16] == pytest.approx(label[20], rel=1e-6), "one focal length, whatever shape the pixels had"
        if crop == "principal":
            assert label[[18, 21]] == pytest.approx(0.5, abs=1e-6)
    assert check_dataset(tmp_path / "set.zip").errors == []


@every_format
def test_placed_cameras_stand_around_the_origin_with_y_up(
    tmp_path: Path, write: Callable[[Photographs, Path], None], lens: dict[str, Any]
) -> None:
    photographs = Photographs.take(**lens)
    (tmp_path / "source").mkdir()
    write(photographs, tmp_path / "source")
    dataset, _ = converted(tmp_path / "source", tmp_path / "set.zip", resolution=16)
    cameras = Cameras.from_labels(torch.from_numpy(dataset.labels))
    _, pitch, radius = yaw_pitch_radius(cameras.cam_to_world)
    assert radius.numpy() == pytest.approx(2.7, abs=1e-4)
    # Sorted, since a test part of the frames comes before the training part.
    assert np.sort(np.sin(pitch.numpy())) == pytest.approx(np.sort(photographs.back[:, 2]), abs=1e-4)
    kept, _ = converted(tmp_path / "source", tmp_path / "kept.zip", KEEP_WORLD, resolution=16)
    positions = Cameras.from_labels(torch.from_numpy(kept.labels)).positions.numpy()
    assert np.sort(positions, axis=0) == pytest.approx(np.sort(photographs.position, axis=0), abs=1e-5)


def test_a_mask_becomes_alpha_and_a_background_replaces_it(tmp_path: Path) -> None:
    photographs, source = Photographs.take(**CENTERED), tmp_path / "source"
    photographs.save_images(source / "images")
    (source / "masks").mkdir()
    mask = np.zeros((photographs.height, photographs.width), np.uint8)
    mask[:, 80:] = 255
    frames = []
    for i in range(8):
        Image.fromarray(mask).save(source / f"masks/{i}.png")
        frames.append(
            {"file_path": f"images/r_{i}.png", "mask_path": f"masks/{i}.png", "transform_matrix": photographs.opengl(i)}
        )
    (source / "transforms.json").write_text(json.dumps({"fl_x": photographs.fx, "frames": frames}))
    dataset, made = converted(source, tmp_path / "alpha.zip", resolution=120)
    assert (made.mode, made.resolution) == ("RGBA", 120)
    assert (dataset.image(0)[:, :60, 3] == 0).all()
    assert (dataset.image(0)[:, 60:, 3] == 255).all()
    assert (dataset.image(0)[:, 60:, :3] == photographs.image(0)[:, 80:140]).all(), "whole pixels stay as they are"
    flat, made = converted(source, tmp_path / "white.zip", resolution=120, background=(1.0, 0.5, 0.0))
    assert made.mode == "RGB"
    assert (flat.image(0)[:, :60] == [255, 128, 0]).all()
    assert (flat.image(0)[:, 60:] == dataset.image(0)[:, 60:, :3]).all()


def test_padding_is_transparent(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    gaussian_splatting(Photographs.take(**CENTERED), tmp_path / "source")
    dataset, made = converted(tmp_path / "source", tmp_path / "set.zip", crop="pad")
    assert (made.mode, made.resolution) == ("RGBA", 160)
    alpha = dataset.image(0)[..., 3]
    assert not alpha[:20].any()
    assert not alpha[140:].any()
    assert (alpha[20:140] == 255).all()


def test_broken_images_are_errors_or_left_out_and_named(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    gaussian_splatting(Photographs.take(), source)
    (source / "images/r_1.png").unlink()
    torn = source / "images/r_4.png"
    torn.write_bytes(torn.read_bytes()[:400])
    (source / "images/r_6.jpg").write_bytes(b"GIF89a, not really")
    (source / "images/r_6.png").unlink()
    with pytest.raises(DataError, match="the image r_1, which is not in"):
        read_scenes(source)
    problems: list[str] = []
    made = convert_scenes(
        read_scenes(source, problems=problems), tmp_path / "set.zip", PlacementOptions(), Framing(), problems=problems
    )
    assert made.images == len(open_dataset(tmp_path / "set.zip")) == 5
    assert len(problems) == 3
    assert all(name in " ".join(problems) for name in ("r_1", "r_4.png", "r_6.jpg is not a readable PNG"))


def test_a_set_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    gaussian_splatting(Photographs.take(), source)
    torn = source / "images/r_7.png"
    torn.write_bytes(torn.read_bytes()[:400])
    with pytest.raises(DataError, match=r"images/r_7.png or its mask is broken"):
        converted(source, tmp_path / "set.zip")
    assert list(tmp_path.iterdir()) == [source]


@pytest.mark.parametrize("kind", ["frontal", "normal", "uniform", "turntable"])
def test_bare_pictures_get_the_poses_of_the_law_and_the_set_says_so(tmp_path: Path, kind: str) -> None:
    Photographs.take().save_images(tmp_path / "photos")
    assumed = AssumedPoses(kind, yaw=30, pitch=10, pitch_mean=5, focal=1.5, seed=4)
    scenes = read_scenes(tmp_path / "photos", assumed=assumed)
    made = convert_scenes(scenes, tmp_path / "set.zip", PlacementOptions(), Framing())
    dataset = open_dataset(tmp_path / "set.zip")
    assert np.array_equal(dataset.labels, assumed.cameras(8).labels.numpy())
    assert made.assumed == str(assumed)
    warnings = [finding.text for finding in check_dataset(tmp_path / "set.zip").findings]
    assert any(f"poses are no measurement: {assumed}" in text for text in warnings)
    yaw, pitch, _ = yaw_pitch_radius(Cameras.from_labels(torch.from_numpy(dataset.labels)).cam_to_world)
    if kind == "turntable":
        assert yaw.rad2deg() % 360 == pytest.approx(np.arange(8) * 45, abs=1e-3)
    if kind == "uniform":
        assert yaw.rad2deg().abs().max() <= 30
        assert (pitch.rad2deg() - 5).abs().max() <= 10 + 1e-4
    again = convert_scenes(scenes, tmp_path / "again.zip", PlacementOptions(), Framing())
    assert again == made
    assert (tmp_path / "again.zip").read_bytes() == (tmp_path / "set.zip").read_bytes()


def test_a_principal_point_at_the_edge_is_named(tmp_path: Path) -> None:
    """As where cx and cy are shares of the width and height, which other programs write in pixels."""
    save_png(tmp_path / "a.png", np.zeros((40, 60, 3), np.uint8))
    frame = {"file_path": "a.png", "transform_matrix": np.eye(4).tolist()}
    facts = {"w": 60, "h": 40, "fl_x": 50, "fl_y": 50, "cx": 0.5, "cy": 0.5, "frames": [frame]}
    (tmp_path / "transforms.json").write_text(json.dumps(facts))
    scenes = read_scenes(tmp_path / "transforms.json")
    with pytest.raises(DataError, match=r"a\.png: the largest square around its principal point .* has 1 pixels"):
        convert_scenes(scenes, tmp_path / "set.zip", PlacementOptions(), Framing())


def test_a_world_that_is_ours_stays_as_it_is_unless_another_is_asked_for(tmp_path: Path) -> None:
    photographs, source = Photographs.take(**CENTERED), tmp_path / "source"
    source.mkdir()
    nerfstudio(photographs, source)
    content = json.loads((source / "transforms.json").read_text())
    content |= {"hgs_world": "y_up", "frames": content["frames"][:1]}
    (source / "transforms.json").write_text(json.dumps(content))
    dataset, made = converted(source, tmp_path / "kept.zip")
    assert made.worlds[0][2] == "left as it is"
    assert dataset.labels[0, [3, 7, 11]] == pytest.approx(photographs.position[0], abs=1e-6)
    _, made = converted(source, tmp_path / "moved.zip", PlacementOptions(up="z", center=(4.0, -2.0, 1.0)))
    assert made.worlds[0][2].startswith("(4, -2, 1) became the origin, (0, 0, 1) up")


def test_a_scene_that_cannot_be_placed_is_an_error_or_left_out_and_named(tmp_path: Path) -> None:
    for name in ("many", "single"):
        (tmp_path / "source" / name).mkdir(parents=True)
        nerfstudio(Photographs.take(**CENTERED), tmp_path / "source" / name)
    file = tmp_path / "source/single/transforms.json"
    content = json.loads(file.read_text())
    file.write_text(json.dumps(content | {"frames": content["frames"][:1]}))
    with pytest.raises(DataError, match="the cameras of single look in parallel"):
        converted(tmp_path / "source", tmp_path / "set.zip")
    problems: list[str] = []
    scenes = read_scenes(tmp_path / "source")
    made = convert_scenes(scenes, tmp_path / "set.zip", PlacementOptions(), Framing(), problems=problems)
    assert (made.images, made.unplaced, [world[0] for world in made.worlds]) == (8, 1, ["many"])
    assert len(problems) == 1
    assert problems[0].startswith("the cameras of single look in parallel")


def with_mask(folder: Path, image: Image.Image, mask: Image.Image) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """The alpha of an image of 16 x 16 pixels that is converted with a mask."""
    folder.mkdir()
    image.save(folder / "a.png")
    mask.save(folder / "m.png")
    frame = {"file_path": "a.png", "mask_path": "m.png", "transform_matrix": np.eye(4).tolist()}
    (folder / "transforms.json").write_text(json.dumps({"fl_x": 20, "frames": [frame]}))
    return converted(folder, folder.with_suffix(".zip"), KEEP_WORLD)[0].image(0)[..., 3]


RAMP = np.tile(np.arange(16, dtype=np.uint8) * 17, (16, 1))
"""0 ... 255 from left to right."""


def test_masks_of_16_bits_and_with_alpha_are_read(tmp_path: Path) -> None:
    plain = Image.new("RGB", (16, 16))
    deep = Image.fromarray(RAMP.astype(np.uint16) * 257)
    assert np.array_equal(with_mask(tmp_path / "deep", plain, deep), RAMP)
    white = Image.new("RGB", (16, 16), "white")
    white.putalpha(Image.fromarray(RAMP))
    assert np.array_equal(with_mask(tmp_path / "alpha", plain, white), RAMP)
    grey = Image.fromarray(RAMP).convert("RGBA")
    assert np.array_equal(with_mask(tmp_path / "opaque", plain, grey), RAMP)


def test_a_mask_takes_away_from_alpha_and_hardens_no_edge(tmp_path: Path) -> None:
    soft = Image.new("RGB", (16, 16))
    soft.putalpha(Image.fromarray(RAMP))
    hard = np.where(RAMP >= 128, 255, 0).astype(np.uint8)
    assert np.array_equal(with_mask(tmp_path / "hard", soft, Image.fromarray(hard)), RAMP)
    assert np.array_equal(with_mask(tmp_path / "same", soft, Image.fromarray(RAMP)), RAMP)
    assert not with_mask(tmp_path / "nothing", soft, Image.new("L", (16, 16))).any()
    top = np.full((16, 16), 255, np.uint8)
    top[8:] = 0
    upper = with_mask(tmp_path / "top", soft, Image.fromarray(top))
    assert np.array_equal(upper, np.minimum(RAMP, top))


def test_a_size_that_nobody_chose_is_one_that_can_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("hgs_toolkit.datasets.convert.MAX_IMAGE_SIDE", 64)
    (tmp_path / "source").mkdir()
    gaussian_splatting(Photographs.take(**CENTERED), tmp_path / "source")
    _, made = converted(tmp_path / "source", tmp_path / "set.zip")
    assert made.resolution == 64
    assert "the smallest square has 120 pixels a side; the images are made 64" in caplog.text


def test_a_set_is_not_written_into_its_source_or_over_it(tmp_path: Path) -> None:
    Photographs.take().save_images(tmp_path / "own")
    (tmp_path / "own" / "dataset.json").write_text("{}")
    before = sorted(tmp_path.rglob("*"))
    scenes = read_scenes(tmp_path / "own", "bare", assumed=AssumedPoses("frontal"))
    for out, message in (("own/set", "lies in"), ("own", "is what the set is made of"), (".", "would be replaced")):
        with pytest.raises(DataError, match=message):
            convert_scenes(scenes, tmp_path / out, PlacementOptions(), Framing(), force=True)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(("side", "made"), [(110, 96), (96, 96), (12, 12)])
def test_images_that_nobody_sized_have_a_size_that_training_takes(side: int, made: int, tmp_path: Path) -> None:
    for index in range(4):
        Image.new("RGB", (side, side), (50 * index, 9, 9)).save(tmp_path / f"{index}.png")
    scenes = read_scenes(tmp_path, assumed=AssumedPoses("frontal"))
    assert convert_scenes(scenes, tmp_path.with_suffix(".zip"), KEEP_WORLD, Framing()).resolution == made
