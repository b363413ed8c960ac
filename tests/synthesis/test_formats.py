"""Every format, read by the programs it is made for."""

from __future__ import annotations

import importlib
import io
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hgs_toolkit.cameras import LABEL_SIZE
from hgs_toolkit.config import Config
from hgs_toolkit.datasets.eg3d import open_dataset
from hgs_toolkit.synthesis.containers import create, read
from hgs_toolkit.synthesis.formats import FORMATS
from hgs_toolkit.synthesis.formats.coco import run_lengths
from hgs_toolkit.synthesis.plan import SynthPlan
from tests.synthesis.blobs import annotated_views, balls, plan_of
from tests.synthesis.conftest import Make

BALL = (0.2, 0.15, 0.1)


def write_shard(plan: SynthPlan, path: Path) -> Path:
    """A shard whose scenes are all the same ball."""
    with create(path) as put:
        writer = FORMATS[plan.settings.format].writer(plan, put)
        for number in plan.scenes(0):
            for sample in annotated_views(plan, balls(BALL), number):
                writer.add(sample)
        writer.finish()
    return path


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("which", ["usual", "all", "rgb"])
def test_a_shard_holds_the_files_that_are_foretold(name: str, which: str, plain_config: Config, tmp_path: Path) -> None:
    form = FORMATS[name]
    annotations = {"usual": [], "all": list(form.annotations), "rgb": ["rgb"]}[which]
    plan = plan_of(plain_config, format=name, count=3, views=2, annotations=annotations)
    written = [name for name, _ in read(write_shard(plan, tmp_path / f"s{form.suffix}"))]
    assert sorted(written) == sorted(form.names(plan, 0))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # webdataset leaves files open
def test_tar_shards_are_read_by_webdataset(make: Make, tmp_path: Path) -> None:
    webdataset = pytest.importorskip("webdataset", reason="a development dependency")
    make(tmp_path / "set", format="wds", count=6, views=3, shard_images=9)
    shards = str(tmp_path / "set" / "shards" / "{000000..000001}.tar")
    samples = list(webdataset.WebDataset(shards, shardshuffle=False).decode("rgb8"))
    assert [sample["__key__"] for sample in samples] == [f"{index:08d}" for index in range(18)]
    for index, sample in enumerate(samples):
        assert sample["rgb.png"].shape == (16, 16, 3)
        assert sample["json"]["index"] == index
        assert (sample["json"]["seed"], sample["json"]["view"]) == divmod(index, 3)
        assert len(sample["json"]["camera"]["eg3d_label"]) == LABEL_SIZE
        assert sample["latent.npy"].shape == (16,)
        assert {"alpha.png", "depth.png", "normal.png", "level.png", "mask.png"} <= sample.keys()


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools with numpy 2
def test_boxes_and_masks_are_read_by_pycocotools(make: Make, tmp_path: Path) -> None:
    coco = pytest.importorskip("pycocotools.coco", reason="a development dependency")
    make(tmp_path / "set", format="coco", count=7, views=2, shard_images=4, annotations=["mask", "bbox", "alpha"])
    dataset = coco.COCO(tmp_path / "set" / "annotations.json")
    mask_tools = importlib.import_module("pycocotools.mask")
    assert sorted(dataset.getImgIds()) == list(range(1, 15))
    assert [category["name"] for category in dataset.loadCats(dataset.getCatIds())] == ["plain"]
    found = dataset.loadAnns(dataset.getAnnIds())
    assert found
    for annotation in found:
        (image,) = dataset.loadImgs(annotation["image_id"])
        picture = tmp_path / "set" / image["file_name"]
        alpha = np.asarray(Image.open(picture.parent / picture.name.replace("rgb", "alpha")))
        mask = dataset.annToMask(annotation)
        assert np.array_equal(mask, alpha >= 127.5)
        assert annotation["area"] == mask.sum() == mask_tools.area(dataset.annToRLE(annotation))
        assert annotation["bbox"] == mask_tools.toBbox(dataset.annToRLE(annotation)).tolist()


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools with numpy 2
@pytest.mark.parametrize("fill", [0.0, 0.3, 1.0])
def test_run_lengths_are_those_of_pycocotools(fill: float) -> None:
    mask_tools = pytest.importorskip("pycocotools.mask", reason="a development dependency")
    mask = np.random.default_rng(0).random((7, 11)) < fill
    decoded = mask_tools.decode(mask_tools.frPyObjects(run_lengths(mask), 7, 11))
    assert np.array_equal(decoded, mask)


def test_transforms_are_read_by_trimesh_as_cameras_that_see_the_ball(plain_config: Config, tmp_path: Path) -> None:
    """trimesh's cameras follow OpenGL; the brightest pixel's ray must hit the ball from every side."""
    trimesh = pytest.importorskip("trimesh.scene")
    cameras = {"poses": {"yaw_spread": 2.0, "yaw_limit": 3.0, "focal": 1.5}, "focal_jitter": 0.2}
    plan = plan_of(plain_config, format="transforms", views=6, count=1, size=64, cameras=cameras)
    (folder,) = write_shard(plan, tmp_path / "shard").iterdir()
    scene = json.loads((folder / "transforms.json").read_text())
    assert len(scene["frames"]) == 6
    for frame in scene["frames"]:
        alpha = np.asarray(Image.open(folder / frame["file_path"]))[..., 3]
        camera = trimesh.Camera(resolution=(scene["w"], scene["h"]), focal=(frame["fl_x"], frame["fl_y"]))
        view = trimesh.Scene(camera=camera, camera_transform=np.array(frame["transform_matrix"]))
        origins, directions, pixels = view.camera_rays()
        ray = int(alpha[::-1][pixels[:, 1], pixels[:, 0]].argmax())  # trimesh counts rows from below
        offset = np.array(BALL) - origins[ray]
        distance = np.linalg.norm(np.cross(offset, directions[ray]))
        assert distance < 2 * np.linalg.norm(offset) / frame["fl_x"]


def test_the_depth_of_transforms_puts_the_ball_where_it_is(plain_config: Config, tmp_path: Path) -> None:
    plan = plan_of(plain_config, format="transforms", views=4, size=64, count=1, annotations=["depth"])
    (folder,) = write_shard(plan, tmp_path / "shard").iterdir()
    scene = json.loads((folder / "transforms.json").read_text())
    for frame in scene["frames"]:
        depth = np.asarray(Image.open(folder / frame["depth_file_path"])) * scene["depth_unit_scale_factor"]
        alpha = np.asarray(Image.open(folder / frame["file_path"]))[..., 3]
        row, column = np.unravel_index(alpha.argmax(), alpha.shape)
        z = depth[row, column]
        x = (column + 0.5 - frame["cx"]) / frame["fl_x"] * z
        y = (row + 0.5 - frame["cy"]) / frame["fl_y"] * z
        world = np.array(frame["transform_matrix"]) @ [x, -y, -z, 1]
        np.testing.assert_allclose(world[:3], BALL, atol=0.06)


def test_an_eg3d_zip_says_how_many_views_show_a_subject(make: Make, tmp_path: Path) -> None:
    make(tmp_path / "set", count=4, views=3, shard_images=6, format="eg3d")
    images = open_dataset(tmp_path / "set" / "dataset.zip")
    assert (len(images), images.views_per_subject) == (12, 3)
    make(tmp_path / "single", count=4, format="eg3d")
    assert open_dataset(tmp_path / "single" / "dataset.zip").facts == {}


def test_an_eg3d_zip_is_a_training_set_with_alpha(make: Make, tmp_path: Path) -> None:
    outcome = make(tmp_path / "set", format="eg3d", count=9, views=2, shard_images=4)
    assert outcome.dataset == tmp_path / "set" / "dataset.zip"
    dataset = open_dataset(outcome.dataset)
    assert (len(dataset), dataset.resolution, dataset.has_alpha) == (18, 16, True)
    assert len(np.unique(dataset.labels, axis=0)) == 18
    assert sorted(os.listdir(tmp_path / "set")) == ["dataset.zip", "manifest.json", "plan.json"]


def test_a_background_of_the_models_own_is_in_the_picture(make: Make, background_file: Path, tmp_path: Path) -> None:
    make(tmp_path / "set", model=background_file, count=2, shard_images=16)
    shard = dict(read(tmp_path / "set" / "shards" / "000000"))
    levels = np.asarray(Image.open(io.BytesIO(shard["00000000.level.png"])))
    assert (levels == 1).any()
    alpha: Any = np.asarray(Image.open(io.BytesIO(shard["00000000.alpha.png"])))
    assert alpha[levels == 1].mean() < 128


def test_transforms_say_the_exposure_of_each_view_and_whose_the_world_is(plain_config: Config, tmp_path: Path) -> None:
    plan = plan_of(plain_config, format="transforms", views=3, count=1, size=16, exposure=0.7)
    (folder,) = write_shard(plan, tmp_path / "shard").iterdir()
    scene = json.loads((folder / "transforms.json").read_text())
    exposures = [frame["exposure"] for frame in scene["frames"]]
    assert exposures == [view.planned.exposure for view in annotated_views(plan, balls(BALL), 0)]
    assert scene["hgs_world"] == "y_up"
