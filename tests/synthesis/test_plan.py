import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from hgs_toolkit.config import Config
from hgs_toolkit.errors import ConfigError, DataError
from hgs_toolkit.files import write_json
from hgs_toolkit.pose_prior import PosePrior
from hgs_toolkit.synthesis.annotations import ANNOTATIONS
from hgs_toolkit.synthesis.plan import SynthPlan, read_plan
from hgs_toolkit.synthesis.planning import make_plan
from hgs_toolkit.synthesis.settings import pose_values, settings_for


@pytest.fixture
def plan_of(tiny_config: Config, plain_config: Config) -> Any:
    """``plan_of(background=True, count=5, ...)``."""

    def plan(own_background: bool = False, **values: Any) -> SynthPlan:
        model = tiny_config if own_background else plain_config
        return make_plan(settings_for(model, values), model, "0" * 64)

    return plan


@pytest.mark.parametrize(("count", "views"), [(1, 1), (10, 1), (4000, 1), (7, 40), (3, 2000), (90_000, 3)])
def test_every_scene_is_in_one_shard(plan_of: Any, count: int, views: int) -> None:
    plan = plan_of(count=count, views=views)
    scenes = [scene for shard in range(plan.shards) for scene in plan.scenes(shard)]
    assert scenes == list(range(count))
    assert plan.images == count * views


def test_shards_can_be_sized_and_are_about_64_otherwise(plan_of: Any) -> None:
    assert plan_of(count=10_000).shards == 65
    assert plan_of(count=5).shards == 1
    assert plan_of(count=1_000_000).shards == 1000
    assert plan_of(count=100, views=3, shard_images=30).shards == 10


def test_what_is_left_open_follows_the_model(plan_of: Any, plain_config: Config) -> None:
    settings = plan_of().settings
    assert (settings.size, settings.category) == (16, "plain")
    assert settings.cameras.poses == plain_config.generator.poses
    assert plan_of(cameras={"poses": {"focal": 3.0}}).settings.cameras.poses.focal == 3.0


@pytest.mark.parametrize(
    ("own_background", "format_", "background", "kind"),
    [
        (False, "folder", "auto", "color"),
        (False, "eg3d", "auto", "transparent"),
        (True, "eg3d", "auto", "model"),
        (True, "folder", "auto", "model"),
        (True, "folder", "transparent", "transparent"),
        (True, "coco", "random", "random"),
        (True, "coco", "#ff0000", "color"),
    ],
)
def test_backgrounds_mean_what_is_usual(
    plan_of: Any, own_background: bool, format_: str, background: str, kind: str
) -> None:
    assert plan_of(own_background, format=format_, background=background).background == kind


def test_a_folder_of_pictures_is_known_by_its_content(plan_of: Any, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        Image.fromarray(np.zeros((4, 6, 3), np.uint8)).save(tmp_path / name / "a.png")
    one, two = (plan_of(background=str(tmp_path / name)) for name in ("one", "two"))
    assert one.background == "pictures"
    assert one.differences(two) == []
    Image.fromarray(np.ones((4, 6, 3), np.uint8)).save(tmp_path / "two" / "a.png")
    assert [text.split(" ")[0] for text in one.differences(plan_of(background=str(tmp_path / "two")))] == ["pictures"]


def test_pictures_may_have_names_that_are_no_text(plan_of: Any, tmp_path: Path) -> None:
    picture = tmp_path / "bytes \udcff.png"
    try:
        Image.fromarray(np.zeros((4, 6, 3), np.uint8)).save(picture)
    except OSError:
        pytest.skip("this file system has names of text alone")
    assert plan_of(background=str(tmp_path)).background == "pictures"


def test_a_plan_survives_its_file(plan_of: Any, tmp_path: Path) -> None:
    plan = plan_of(count=7, views=2, annotations=["depth", "latent"], background="#102030", format="wds")
    write_json(tmp_path / "plan.json", plan.to_dict())
    assert read_plan(tmp_path / "plan.json") == plan
    assert read_plan(tmp_path / "plan.json").digest == plan.digest


def test_differences_are_named(plan_of: Any) -> None:
    ours = plan_of(count=7)
    theirs = dataclasses.replace(plan_of(count=8), model_sha256="1" * 64)
    assert [text.split(" ")[0] for text in ours.differences(theirs)] == ["model_sha256", "settings.count"]
    assert "settings.count is 7 here and 8 there" in ours.differences(theirs)
    assert ours.digest != theirs.digest


def test_annotations_have_an_order_of_their_own_and_the_picture_is_always_there(plan_of: Any) -> None:
    assert plan_of(annotations=["mask", "alpha"]).settings.annotations == ("rgb", "alpha", "mask")
    assert plan_of().settings.annotations == tuple(ANNOTATIONS)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"annotations": ["smell"]}, "annotation 'smell' is unknown; expected some of: rgb, alpha"),
        ({"format": "eg3d", "annotations": ["depth"]}, "'eg3d' does not store 'depth'; it stores rgb, alpha, camera"),
        ({"format": "eg3d", "annotations": ["alpha"], "background": "red"}, "needs --background transparent"),
        ({"background": "reddish"}, "'reddish' is neither a colour"),
        ({"count": 0}, "count is 0; expected at least 1"),
        ({"views": 0}, "views is 0"),
        ({"size": 4}, "size is 4; expected 8 to 4096 pixels"),
        ({"seed": 2**32 - 5, "count": 10}, "expected seeds from 0 to 4294967295"),
        ({"cameras": {"poses": {"radius": 0.0}}}, "cameras.poses.radius is 0.0; expected more than 0"),
        ({"cameras": {"focal_jitter": 1.0}}, "cameras.focal_jitter is 1.0"),
        ({"cameras": {"path": "spiral"}}, "cameras.path is 'spiral'; expected one of"),
        ({"camera": {}}, "unknown key 'camera' (did you mean 'cameras'?)"),
        ({"format": "video"}, "format is 'video'; expected one of"),
        ({"cameras": {"poses": {"yaw_spread": -0.1}}}, "cameras.poses.yaw_spread is -0.1; expected 0 or more"),
        ({"cameras": {"poses": {"pitch_limit": -1.0}}}, "cameras.poses.pitch_limit is -1.0; expected 0 or more"),
        (
            {"cameras": {"poses": {"radius": 2.0, "radius_spread": 2.0}}},
            "cameras.poses.radius_spread is 2.0; expected 0 to less than cameras.poses.radius, which is 2",
        ),
        ({"cameras": {"poses": {"focal": 0.3, "focal_spread": 1}}}, "cameras.poses.focal_spread is 1.0; expected"),
        ({"cameras": {"center": [0.5, 50]}}, "cameras.center is (0.5, 50.0); expected two numbers from 0 to 1"),
        ({"exposure": 10**400}, "exposure is a whole number of 1,329 bits; expected a finite number"),
        ({"views": 10**5000}, "views is a whole number of 16,610 bits; expected 1 to 65536"),
        (
            {"cameras": {"path": "orbit", "poses": {"yaw_spread": 0.1, "radius": 3.0}}},
            "the path 'orbit' has its own directions, so that cameras.poses.yaw_spread would change nothing",
        ),
    ],
)
def test_what_cannot_be_is_refused_by_name(plan_of: Any, values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        plan_of(**values)
    assert message in str(caught.value)


def test_angles_of_the_command_line_are_degrees_and_may_be_wide() -> None:
    poses = pose_values(yaw=180, pitch=None, law="uniform", radius=None, focal=3.0)["cameras"]["poses"]
    assert poses["yaw_spread"] == poses["yaw_limit"] == pytest.approx(np.pi)
    assert (poses["yaw_law"], poses["pitch_law"], poses["focal"]) == ("uniform", "uniform", 3.0)
    assert pose_values(yaw=10, pitch=None, law=None, radius=None, focal=None)["cameras"]["poses"][
        "yaw_limit"
    ] == pytest.approx(np.radians(30))
    assert pose_values(yaw=None, pitch=None, law=None, radius=None, focal=None) == {}
    with pytest.raises(ConfigError, match="law 'flat' is unknown"):
        pose_values(yaw=None, pitch=None, law="flat", radius=None, focal=None)


def test_a_law_alone_keeps_the_models_deviation(plain_config: Config) -> None:
    def poses_of(model: dict[str, Any], **asked: Any) -> PosePrior:
        generator = dataclasses.replace(plain_config.generator, poses=PosePrior(**model))
        config = dataclasses.replace(plain_config, generator=generator)
        return settings_for(config, {"cameras": {"poses": asked}}).cameras.poses

    circle = {"yaw_law": "uniform", "yaw_spread": math.pi, "yaw_limit": math.pi}
    normal = poses_of(circle, yaw_law="normal")
    assert normal.yaw_spread == pytest.approx(math.pi / 3**0.5)
    yaws, *_ = normal.draw(1000, torch.Generator().manual_seed(0))
    assert yaws.unique().numel() > 990  # hardly any is clipped
    assert poses_of(circle, yaw_law="normal", yaw_spread=0.2).yaw_spread == 0.2
    assert poses_of(circle, yaw_law="uniform").yaw_spread == math.pi
    uniform = poses_of({"yaw_spread": 0.3, "pitch_spread": 0.4, "pitch_limit": 0.5}, yaw_law="uniform",
                       pitch_law="uniform")  # fmt: skip
    assert uniform.yaw_spread == uniform.yaw_limit == pytest.approx(0.3 * 3**0.5)
    assert uniform.pitch_spread == uniform.pitch_limit == 0.5  # no farther than the model has seen


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("not json", "is no plan"),
        ("[]", "is no plan"),
        ('{"format_version": 99}', "has format version 99, expected 2"),
        ('{"format_version": 2}', "is damaged"),
        ('{"format_version": 2, "settings": {"count": "x"}}', "is damaged"),
        (f'{{"format_version": 2, "settings": {{}}, "color": [1{"0" * 400}, 0, 0]}}', "is damaged"),
    ],
)
def test_a_broken_plan_is_an_error(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "plan.json").write_text(content)
    with pytest.raises(DataError, match=message):
        read_plan(tmp_path / "plan.json")


def test_depth_fits_sixteen_bits(plan_of: Any) -> None:
    for own_background in (False, True):
        plan = plan_of(own_background)
        farthest = plan.settings.cameras.poses.radius + (3.0 if own_background else 3**0.5)
        assert 60_000 * 0.85 < farthest * plan.depth_scale <= 65_535


def test_depth_fits_sixteen_bits_where_the_distance_varies(plan_of: Any) -> None:
    poses = {"radius": 2.7, "radius_spread": 2.6}
    assert (5.3 + 3**0.5) * plan_of(cameras={"poses": poses}).depth_scale <= 65_535
    assert plan_of(cameras={"poses": poses | {"radius_spread": 0.0}}).depth_scale == 65_535 / (2.7 + 1.75) // 1


def test_the_plan_says_which_packages_made_it(plan_of: Any) -> None:
    assert json.loads(json.dumps(plan_of().to_dict()))["versions"].keys() >= {"hgs_toolkit", "torch", "pillow"}
