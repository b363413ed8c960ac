"""The engine HGS Splat (exact) does what F12 is expected to do: cameras, many objects, meshes, alpha, depth, parts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest
from mathutils import Matrix

from tests.blender.pictures import EXACT, SIZE, Array, glowing, psnr

Addon = Callable[[str], Any]
Place = Callable[..., Any]
Draw = Callable[..., Array]


def test_a_transparent_film_keeps_the_alpha(stage: Any, place: Place, draw: Draw) -> None:
    place("round")
    opaque = draw(EXACT)
    stage.render.film_transparent = True
    picture = draw(EXACT, "RGBA")
    alpha = picture[..., 3:]
    assert 0.2 < alpha.mean() < 0.8
    # Eight bits of colour and of alpha.
    assert np.abs(picture[..., :3] * alpha + 1 - alpha - opaque).max() < 2.5 / 255


def test_objects_and_instances_are_sorted_together(stage: Any, place: Place, draw: Draw, addon: Addon) -> None:
    stage.render.resolution_percentage = 50
    whole = place("round")
    wanted = draw(EXACT)
    # The same Gaussians in two objects, every other one in each, the second one moved and moved back by its object.
    splats = addon("engine.gathering").read_evaluated(whole.data)
    bpy.data.objects.remove(whole)
    away = Matrix.LocRotScale((1, 2, 3), Matrix.Rotation(0.7, 3, "Z").to_quaternion(), (2, 2, 2))
    back = np.array(away.inverted())
    for part in (0, 1):
        half = addon("core.splats").ActivatedSplats(*(getattr(splats, name)[part::2] for name in (
            "position", "scale", "rotation", "base", "harmonics")))  # fmt: skip
        if part:
            half.position = (half.position @ back[:3, :3].T + back[:3, 3]).astype(np.float32)
            half.scale = half.scale / 2  # balls, so that the rotation is as good as any
        obj = bpy.data.objects.new(f"half {part}", addon("data").splat_data(f"half {part}", half))
        upright = Matrix.Rotation(np.pi / 2, 4, "X")
        obj.matrix_world = upright @ away if part else upright
        stage.collection.objects.link(obj)
        addon("nodes.display").add_display(obj)
    assert psnr(draw(EXACT), wanted) > 55


def test_an_instance_of_a_collection_is_drawn_where_it_stands(stage: Any, place: Place, draw: Draw) -> None:
    obj = place("harmonics")
    collection = bpy.data.collections.new("splats")
    stage.collection.children.link(collection)
    stage.collection.objects.unlink(obj)
    collection.objects.link(obj)
    copy = bpy.data.objects.new("copy", None)
    copy.instance_type, copy.instance_collection = "COLLECTION", collection
    stage.collection.objects.link(copy)
    stage.view_layers[0].layer_collection.children["splats"].exclude = True  # the original
    place_of_copy = Matrix.LocRotScale((0.3, 0.1, 0.2), Matrix.Rotation(1.1, 3, "X").to_quaternion(), (0.6, 0.6, 0.6))
    copy.matrix_world = place_of_copy
    instance = draw(EXACT)
    stage.collection.objects.link(obj)
    copy.hide_render = True
    obj.matrix_world = place_of_copy @ obj.matrix_world
    np.testing.assert_allclose(instance, draw(EXACT), atol=1.5 / 255)
    assert 0.05 < (np.abs(instance - 1).max(-1) > 0.1).mean() < 0.6


def test_the_same_camera_shifted_or_cropped_shows_the_same(stage: Any, place: Place, draw: Draw) -> None:
    place("flat")
    whole = draw(EXACT)
    stage.render.use_border, stage.render.use_crop_to_border = True, True
    stage.render.border_min_x, stage.render.border_max_x = 0.25, 0.75
    stage.render.border_min_y, stage.render.border_max_y = 0.5, 0.875
    part = draw(EXACT)
    assert part.shape == (96, 128, 3)
    np.testing.assert_array_equal(part, whole[32:128, 64:192])
    stage.render.use_crop_to_border = False
    np.testing.assert_array_equal(draw(EXACT)[32:128, 64:192], whole[32:128, 64:192])
    stage.render.use_border = False
    stage.camera.data.shift_x = 32 / SIZE
    assert psnr(draw(EXACT)[:, :-32], whole[:, 32:]) > 55  # the affine map differs, far from the middle


def test_cards_and_the_exact_engine_agree_about_an_orthographic_camera(stage: Any, place: Place, draw: Draw) -> None:
    stage.render.resolution_percentage = 50
    place("flat")
    stage.camera.data.type, stage.camera.data.ortho_scale = "ORTHO", 1.5
    stage.camera.data.shift_y = 0.1
    assert psnr(draw(EXACT), draw("CYCLES")) > 38


def test_a_panorama_is_refused(stage: Any, place: Place, draw: Draw) -> None:
    place("flat")
    stage.camera.data.type = "PANO"
    with pytest.raises(RuntimeError, match="panoramic"):
        draw(EXACT)


def test_meshes_hide_gaussians_and_are_hidden(stage: Any, place: Place, draw: Draw) -> None:
    stage.render.resolution_percentage = 50
    place("round")
    alone = draw(EXACT)
    bpy.ops.mesh.primitive_cube_add(size=0.5)
    cube = bpy.context.object
    cube.data.materials.append(glowing())
    cube.data.materials[0].diffuse_color = (0.1, 0.2, 0.6, 1)
    direction = stage.camera.location.normalized()
    cube.location = 1.2 * direction  # between the camera and the Gaussians
    front, cycles = draw(EXACT), draw("CYCLES")
    blue = np.abs(cycles - (0.1, 0.2, 0.6)).max(-1) < 0.02
    assert blue.sum() > 300
    # Shaded: between 0.4 and all of the material's colour.
    shade = front[blue] / (0.1, 0.2, 0.6)
    assert shade.min() > 0.35
    assert shade.max() < 1.05
    assert psnr(front[~blue], alone[~blue]) > 35  # a pixel on the outline apart
    cube.location = -1.2 * direction
    opaque = np.abs(alone - 1).max(-1) > 0.5
    assert psnr(draw(EXACT)[opaque], alone[opaque]) > 25
    cube.location, cube.is_holdout, stage.render.film_transparent = 1.2 * direction, True, True
    assert not draw(EXACT, "RGBA")[blue][:, 3].any()


def test_under_a_scenes_view_transform_the_picture_looks_the_same(stage: Any, place: Place, draw: Draw) -> None:
    place("flat")
    stage.render.resolution_percentage = 50
    assert np.abs(draw(EXACT, colors="SCENE") - draw(EXACT, colors="EXACT")).max() < 1.5 / 255


def test_the_depth_pass_is_the_distance_along_the_camera(
    stage: Any, place: Place, addon: Addon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place("round")
    stage.render.engine, stage.render.resolution_percentage = EXACT, 25
    stage.view_layers[0].use_pass_z = True
    if hasattr(stage.render.image_settings, "media_type"):  # since 5.0
        stage.render.image_settings.media_type = "MULTI_LAYER_IMAGE"
    stage.render.image_settings.file_format = "OPEN_EXR_MULTILAYER"
    stage.render.filepath = str(tmp_path / "picture.exr")
    seen = []
    engine = addon("engine.exact_engine")
    monkeypatch.setattr(engine, "_fill", lambda target, rows: seen.append((target.name, rows)))
    bpy.ops.render.render(write_still=True)
    depths = dict(seen)["Depth"][..., 0]
    assert depths[0, 0] == pytest.approx(1e10)
    distance = stage.camera.location.length
    assert distance - 0.6 < depths[32, 32] < distance - 0.3  # the near side of a ball of radius 0.45
    assert b"Depth.Z" in (tmp_path / "picture.exr").read_bytes()[:2000]


def test_an_animation_is_drawn_frame_by_frame(stage: Any, place: Place, tmp_path: Path) -> None:
    bpy.ops.hgs.set_up_scene()
    obj = place("round")
    obj.hide_render = True
    obj.keyframe_insert("hide_render", frame=1)
    obj.hide_render = False
    obj.keyframe_insert("hide_render", frame=2)
    stage.render.engine, stage.render.resolution_percentage = EXACT, 25
    stage.frame_start, stage.frame_end = 1, 2
    stage.render.image_settings.file_format = "PNG"
    stage.render.filepath = str(tmp_path / "frame_")
    bpy.ops.render.render(animation=True)
    sizes = [path.stat().st_size for path in sorted(tmp_path.glob("frame_*.png"))]
    assert len(sizes) == 2
    assert sizes[0] < 1000 < sizes[1]  # nothing compresses well
