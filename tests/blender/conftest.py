"""The extension inside the real Blender (the module ``bpy``), without a window and without the user's configuration.

``make test-blender`` runs this folder with a Python that has ``bpy``; any other passes it over.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import math
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

HAS_BPY = importlib.util.find_spec("bpy") is not None
collect_ignore_glob = [] if HAS_BPY else ["test_*.py"]

ROOT = Path(__file__).resolve().parents[2]
REPOSITORY = "user_default"
GOLDENS, PICTURE_SIZE = Path(__file__).with_name("goldens.npz"), 256
MODULE = f"bl_ext.{REPOSITORY}.hgs_toolkit"

if HAS_BPY:
    # Before bpy is imported: it asks for these folders only once.
    RESOURCES = tempfile.TemporaryDirectory(prefix="hgs-blender-")
    os.environ["BLENDER_USER_RESOURCES"] = RESOURCES.name


def write_hgs(path: Path, splats: Any) -> None:
    """A .hgs file of activated Gaussians: what the toolkit writes, in the ten lines that it takes."""
    with np.errstate(divide="ignore"):
        opacity = splats.base[:, 3]
        logits = np.log(opacity / (1 - opacity))
    arrays = {
        "means": splats.position, "log_scales": np.log(splats.scale), "quats": splats.rotation,
        "sh": np.concatenate([splats.base[:, None, :3], splats.harmonics], 1), "opacity_logits": logits,
        "level": splats.level, "parent": splats.parent,
    }  # fmt: skip
    header: dict[str, Any] = {"__metadata__": {"hgs": json.dumps({"format_version": 1, "seed": 3})}}
    data = b""
    for name, array in arrays.items():
        whole = name in ("level", "parent")
        blob = array.astype("<i4" if whole else "<f4").tobytes()
        header[name] = {"dtype": "I32" if whole else "F32", "shape": array.shape,
                        "data_offsets": [len(data), len(data) + len(blob)]}  # fmt: skip
        data += blob
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packed extension."""
    from hgs_toolkit.blender import package

    return package(tmp_path_factory.mktemp("archive"))


@pytest.fixture(scope="session")
def installed(archive: Path) -> str:
    """The extension, installed from its archive and enabled; the name of its module."""
    import bpy

    assert bpy.utils.resource_path("USER").startswith(RESOURCES.name)
    bpy.ops.extensions.package_install_files(filepath=str(archive), repo=REPOSITORY, enable_on_install=True)
    assert MODULE in bpy.context.preferences.addons
    return MODULE


@pytest.fixture
def addon(installed: str) -> Callable[[str], Any]:
    """``addon("nodes.morph")``: a module of the enabled extension, in a new empty file."""
    import bpy

    bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)
    if MODULE not in bpy.context.preferences.addons:  # factory settings have no extensions enabled
        bpy.ops.preferences.addon_enable(module=MODULE)
    return lambda name: importlib.import_module(f"{MODULE}.{name}")


@pytest.fixture
def make_splats(addon: Callable[[str], Any]) -> Callable[..., Any]:
    """``make_splats(seed=1)``: 340 random Gaussians in a tree of three levels that every seed shares."""
    module = addon("core.splats")

    def make(seed: int = 0, counts: tuple[int, ...] = (20, 80, 240), degree: int = 0) -> Any:
        random, count = np.random.default_rng(seed), sum(counts)

        def normal(*shape: int) -> np.ndarray:
            return random.standard_normal((count, *shape)).astype(np.float32)

        starts = np.cumsum((0, *counts))
        level = np.repeat(np.arange(len(counts)), counts).astype(np.int32)
        parent = [
            -1 if lvl == 0 else starts[lvl - 1] + place * counts[lvl - 1] // counts[lvl]
            for lvl, size in enumerate(counts)
            for place in range(size)
        ]
        return module.splats_from_stored(
            normal(3) * 0.3, normal(3) * 0.3 - 3, normal(4), normal((degree + 1) ** 2, 3), normal(), level=level,
            parent=np.array(parent, np.int32), frame="y_up",
        )  # fmt: skip

    return make


@pytest.fixture
def make_object(addon: Callable[[str], Any], make_splats: Callable[..., Any]) -> Callable[..., Any]:
    """``make_object(seed=1)``: those Gaussians as an object in the scene."""
    import bpy

    def make(seed: int = 0, **options: Any) -> Any:
        name = f"seed {seed}"
        obj = bpy.data.objects.new(name, addon("data").splat_data(name, make_splats(seed, **options)))
        bpy.context.scene.collection.objects.link(obj)
        bpy.context.view_layer.objects.active = obj
        return obj

    return make


@pytest.fixture
def save_hgs() -> Callable[[Path, Any], None]:
    """``save_hgs(path, splats)``."""
    return write_hgs


@pytest.fixture(scope="session")
def goldens() -> Any:
    with np.load(GOLDENS) as arrays:
        return dict(arrays)


@pytest.fixture
def stage(addon: Callable[[str], Any], goldens: Any) -> Any:
    """An empty white scene with the goldens' camera, set up for splats by :func:`draw`."""
    import bpy
    from mathutils import Matrix

    scene = bpy.context.scene
    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    camera.data.sensor_width, camera.data.lens = 36, 72  # focal length 2 picture widths
    upright = Matrix.Rotation(math.pi / 2, 4, "X")
    camera.matrix_world = upright @ Matrix(goldens["camera"].tolist()) @ Matrix.Diagonal((1, -1, -1, 1))
    scene.collection.objects.link(camera)
    scene.camera = camera
    scene.render.resolution_x = scene.render.resolution_y = PICTURE_SIZE
    scene.cycles.device = "CPU"
    scene.world = bpy.data.worlds.new("white")
    if scene.world.node_tree is None:  # since 5.0 it is always there
        scene.world.use_nodes = True
    scene.world.node_tree.nodes["Background"].inputs[0].default_value = (1, 1, 1, 1)
    return scene


@pytest.fixture
def place(addon: Callable[[str], Any], goldens: Any) -> Callable[..., Any]:
    """``place("flat")``: a golden's Gaussians as an object that is drawn."""

    import bpy

    def make(kind: str) -> Any:
        parts = [goldens[f"{kind}_{name}"] for name in ("means", "log_scales", "quats", "sh", "opacity_logits")]
        data = addon("data").splat_data(kind, addon("core.splats").splats_from_stored(*parts, frame="y_up"))
        obj = bpy.data.objects.new(kind, data)
        obj.rotation_euler.x = math.pi / 2
        bpy.context.scene.collection.objects.link(obj)
        addon("nodes.display").add_display(obj)
        return obj

    return make


@pytest.fixture
def draw(stage: Any, tmp_path: Path) -> Callable[..., np.ndarray]:
    """``draw("CYCLES")``: the picture (H, W, channels) in 0..1 after the operator set the scene up, with options."""
    import bpy

    def render(engine: str, channels: str = "RGB", **options: Any) -> np.ndarray:
        assert bpy.ops.hgs.set_up_scene(**options) == {"FINISHED"}
        stage.render.engine = engine
        stage.render.image_settings.file_format, stage.render.image_settings.color_mode = "PNG", channels
        stage.render.filepath = str(tmp_path / "picture.png")
        bpy.ops.render.render(write_still=True)
        image = bpy.data.images.load(stage.render.filepath)
        image.colorspace_settings.name, image.alpha_mode = "Non-Color", "CHANNEL_PACKED"
        width, height = image.size
        pixels = np.empty(width * height * 4, np.float32)
        image.pixels.foreach_get(pixels)
        bpy.data.images.remove(image)
        return pixels.reshape(height, width, 4)[::-1, :, : len(channels)]

    return render
