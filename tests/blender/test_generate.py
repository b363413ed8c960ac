"""Generate and the seeds browser: from an order to objects, with a script in the place of hgs."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest

Addon = Callable[[str], Any]

ROOT = Path(__file__).resolve().parents[2]

FAKE = """
import json, os, shutil, sys, time
options = dict(word.split("=", 1) for word in sys.argv[1:] if "=" in word)
out = options["--out"]
if os.environ.get("FAKE_HANG"):
    print(json.dumps({"event": "progress", "text": "hanging", "done": 1, "total": 4}), flush=True)
    time.sleep(1000)
if os.environ.get("FAKE_ERROR"):
    print(json.dumps({"event": "error", "text": os.environ["FAKE_ERROR"]}), flush=True)
    sys.exit(1)
scenes = []
for seed in (3, 11):
    files = {}
    for kind in ("hgs", "png"):
        name = f"seed{seed:04d}.{kind}"
        shutil.copy(os.path.join(os.path.dirname(__file__), name), os.path.join(out, name))
        files[kind] = os.environ.get("FAKE_NAME", name)
        print(json.dumps({"event": "file", "path": os.path.join(out, name)}), flush=True)
    scenes.append({"seed": seed, "gaussians": 340, "files": files})
with open(os.path.join(out, "manifest.json"), "w") as file:
    json.dump({"psi": 0.5, "generator": "fake", "command": sys.argv[1:], "scenes": scenes}, file)
"""


def save_png(path: Path) -> None:
    image = bpy.data.images.new("thumbnail", 32, 32)
    image.filepath_raw, image.file_format = str(path), "PNG"
    image.save()
    bpy.data.images.remove(image)


@pytest.fixture
def hgs(addon: Addon, make_splats: Callable[..., Any], save_hgs: Callable[..., None], tmp_path: Path) -> Iterator[Path]:
    """A program in a folder with spaces that makes the seeds 3 and 11; the preferences name it."""
    folder = tmp_path / "a folder with spaces"
    folder.mkdir()
    for seed in (3, 11):
        save_hgs(folder / f"seed{seed:04d}.hgs", make_splats(seed))
        save_png(folder / f"seed{seed:04d}.png")
    path = folder / "my hgs"
    path.write_text(f"#!{sys.executable}\n" + textwrap.dedent(FAKE))
    path.chmod(0o755)
    preferences = addon("ui.preferences").preferences(bpy.context)
    preferences.executable, preferences.output, preferences.timeout = str(path), str(tmp_path / "all batches"), 60
    yield path
    preferences = addon("ui.preferences").preferences(bpy.context)  # others, if the extension was disabled meanwhile
    preferences.executable, preferences.output = "", ""


def refusal(operator: Callable[..., Any], **options: Any) -> str:
    """The report with which an operator refuses."""
    with pytest.raises(RuntimeError) as caught:
        operator(**options)
    return str(caught.value)


def test_generating_makes_a_batch_and_shows_it_in_the_browser(addon: Addon, hgs: Path, tmp_path: Path) -> None:
    scene = bpy.context.scene
    scene.hgs_generate.seeds, scene.hgs_generate.psi = "3, 11", 0.5
    assert bpy.ops.hgs.generate() == {"FINISHED"}
    folder = tmp_path / "all batches" / "batch-0001"
    assert scene.hgs_seeds.folder == str(folder)
    command = json.loads((folder / "manifest.json").read_text())["command"]
    assert command[0] == "sample"
    assert {"--seeds=3,11", "--psi=0.5", f"--out={folder}", "--json-progress"} <= set(command)
    browser = addon("ui.seeds").open_browser(scene.hgs_seeds)
    assert [item[:2] for item in browser.items] == [("3", "Seed 3"), ("11", "Seed 11")]
    assert [tuple(preview.image_size) for preview in browser.previews.values()] == [(32, 32), (32, 32)]


def save_model_header(path: Path, names: list[str]) -> None:
    """A model of the toolkit as far as Blender reads it: the header that names its classes."""
    facts = json.dumps({"config": {"generator": {"classes": {"names": names, "vectors": []}}}})
    header = json.dumps({"__metadata__": {"hgs_model": facts}}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header)


def test_the_class_is_ordered_of_a_model_that_has_classes_only(addon: Addon, hgs: Path, tmp_path: Path) -> None:
    settings = bpy.context.scene.hgs_generate
    settings.model, settings.kind = str(tmp_path / "model.safetensors"), " table "
    save_model_header(tmp_path / "model.safetensors", ["chair", "table"])
    propose = addon("ui.generate")._class_names
    assert propose(settings, bpy.context, "") == ["chair", "table"]
    assert propose(settings, bpy.context, "TAB") == ["table"]
    assert bpy.ops.hgs.generate() == {"FINISHED"}
    assert "--class=table" in ordered(bpy.context.scene.hgs_seeds.folder)
    (tmp_path / "model.safetensors").unlink()
    save_model_header(tmp_path / "plain.safetensors", [])
    settings.model = str(tmp_path / "plain.safetensors")
    assert bpy.ops.hgs.generate() == {"FINISHED"}
    assert not any(word.startswith("--class") for word in ordered(bpy.context.scene.hgs_seeds.folder))


def ordered(folder: str) -> list[str]:
    """The arguments that the program got."""
    command: list[str] = json.loads((Path(folder) / "manifest.json").read_text())["command"]
    return command


def test_seeds_are_imported_and_morphed_into(addon: Addon, hgs: Path, make_splats: Callable[..., Any]) -> None:
    scene = bpy.context.scene
    bpy.ops.hgs.generate()
    scene.hgs_seeds.seed = "3"
    assert bpy.ops.hgs.import_seed() == {"FINISHED"}
    obj = bpy.context.object
    get = addon("data").get_values
    np.testing.assert_allclose(get(obj.data, "scale"), make_splats(3).scale, rtol=1e-6)
    scene.hgs_seeds.seed, scene.hgs_seeds.frames = "11", 10
    assert bpy.ops.hgs.morph_to_seed() == {"FINISHED"}
    assert bpy.context.object == obj
    assert len(scene.objects) == 1
    # Without what draws it: points of a mesh object are drawn as another kind of geometry.
    obj.modifiers.remove(addon("nodes.display").display_of(obj))
    scene.frame_set(6)
    mixed = get(obj.evaluated_get(bpy.context.evaluated_depsgraph_get()).data, "position")
    wanted = (make_splats(3).position + make_splats(11).position) / 2
    np.testing.assert_allclose(mixed, wanted, rtol=0, atol=1e-5)


def test_all_seeds_come_side_by_side(addon: Addon, hgs: Path) -> None:
    bpy.ops.hgs.generate()
    bpy.ops.hgs.import_seed(every=True)
    assert sorted(obj.location.x for obj in bpy.context.scene.objects) == [0.0, 1.5]
    assert len({obj.rotation_euler.x for obj in bpy.context.scene.objects}) == 1


def test_without_an_own_folder_batches_go_to_the_extensions(addon: Addon, hgs: Path) -> None:
    addon("ui.preferences").preferences(bpy.context).output = ""
    bpy.ops.hgs.generate()
    user = bpy.utils.extension_path_user(addon("ui.preferences").EXTENSION)
    assert Path(bpy.context.scene.hgs_seeds.folder).is_relative_to(user)
    assert Path(user).is_relative_to(os.environ["BLENDER_USER_RESOURCES"])


def test_a_failure_is_reported_in_hgs_words_and_leaves_no_folder(
    hgs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_ERROR", "no model was named and none ships")
    assert "no model was named and none ships" in refusal(bpy.ops.hgs.generate)
    assert list((tmp_path / "all batches").iterdir()) == []
    assert bpy.context.scene.hgs_seeds.folder == ""


def test_a_missing_program_is_reported(
    addon: Addon, hgs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    preferences = addon("ui.preferences").preferences(bpy.context)
    preferences.executable = str(tmp_path / "no hgs")
    assert "no hgs is no program that can be run" in refusal(bpy.ops.hgs.generate)
    preferences.executable = ""
    monkeypatch.setenv("PATH", "")
    assert "'hgs' is not on PATH; install hgs_toolkit" in refusal(bpy.ops.hgs.generate)
    assert not (tmp_path / "all batches").exists()


def test_odd_orders_are_reported(hgs: Path, tmp_path: Path) -> None:
    bpy.context.scene.hgs_generate.seeds = "1; rm -rf /"
    assert "expected numbers and ranges" in refusal(bpy.ops.hgs.generate)
    bpy.context.scene.hgs_generate.seeds = "1"
    bpy.context.scene.hgs_generate.model = str(tmp_path / "gone")
    assert "gone does not exist" in refusal(bpy.ops.hgs.generate)
    assert not (tmp_path / "all batches").exists()


@pytest.mark.parametrize("name", ["../../outside.hgs", "/etc/passwd", "a\\b.hgs"])
def test_a_manifest_that_leads_elsewhere_is_reported_and_nothing_imported(
    name: str, addon: Addon, hgs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_NAME", name)
    assert "expected plain names, nothing was read" in refusal(bpy.ops.hgs.generate)
    scene = bpy.context.scene
    scene.hgs_seeds.folder = str(addon("ui.generate").current.folder)
    assert addon("ui.seeds").open_browser(scene.hgs_seeds).items[0][0] == "NONE"
    assert "expected plain names" in refusal(bpy.ops.hgs.import_seed)
    assert "expected plain names" in refusal(bpy.ops.hgs.reload_seeds)
    assert not scene.objects


def test_a_batch_whose_files_are_broken_or_gone_is_reported(addon: Addon, hgs: Path) -> None:
    bpy.ops.hgs.generate()
    scene = bpy.context.scene
    folder = Path(scene.hgs_seeds.folder)
    (folder / "seed0003.hgs").write_bytes(b"short")
    assert "seed0003.hgs: it is truncated or no .hgs file" in refusal(bpy.ops.hgs.import_seed)
    (folder / "seed0003.hgs").unlink()
    bpy.ops.hgs.reload_seeds()
    assert "seed 3 has no file to import" in refusal(bpy.ops.hgs.import_seed)
    assert not scene.objects


def test_import_all_brings_what_it_can_as_one_undo_step_and_names_what_is_broken(
    addon: Addon, hgs: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    bpy.ops.hgs.generate()
    folder = Path(bpy.context.scene.hgs_seeds.folder)
    (folder / "seed0003.hgs").write_bytes(b"short")
    bpy.ops.ed.undo_push(message="before")
    assert bpy.ops.hgs.import_seed("EXEC_DEFAULT", True, every=True) == {"FINISHED"}
    assert [(obj.name, obj.location.x) for obj in bpy.context.scene.objects] == [("seed0011", 0.0)]
    assert "1 of 2 seeds were not imported: seed0003.hgs: it is truncated" in capfd.readouterr().out
    bpy.ops.ed.undo()
    assert not bpy.context.scene.objects
    (folder / "seed0011.hgs").unlink()
    bpy.ops.hgs.reload_seeds()
    words = refusal(bpy.ops.hgs.import_seed, every=True)
    assert "seed0003.hgs: it is truncated" in words
    assert "seed 11 has no file to import" in words
    assert not bpy.context.scene.objects


def save_batch(folder: Path, seeds: list[int], hgs: Path) -> str:
    """A batch whose seeds all have the Gaussians of seed 3; its folder."""
    folder.mkdir(exist_ok=True)
    for seed in seeds:
        (folder / f"{seed}.hgs").write_bytes((hgs.parent / "seed0003.hgs").read_bytes())
    scenes = [{"seed": seed, "files": {"hgs": f"{seed}.hgs"}} for seed in seeds]
    (folder / "manifest.json").write_text(json.dumps({"scenes": scenes}))
    return str(folder)


def test_another_batch_has_its_first_seed_chosen(addon: Addon, hgs: Path, tmp_path: Path) -> None:
    settings = bpy.context.scene.hgs_seeds
    settings.folder = save_batch(tmp_path / "large", list(range(16)), hgs)
    settings.seed = "9"
    settings.folder = save_batch(tmp_path / "small", [20, 21, 22, 23], hgs)
    assert settings.seed == "20"
    assert bpy.ops.hgs.import_seed() == {"FINISHED"}
    assert bpy.context.object.name == "20"


def test_a_batch_that_has_shrunk_keeps_the_chosen_seed_or_asks_for_one(addon: Addon, hgs: Path, tmp_path: Path) -> None:
    settings = bpy.context.scene.hgs_seeds
    settings.folder = save_batch(tmp_path / "batch", list(range(16)), hgs)
    settings.seed = "9"
    save_batch(tmp_path / "batch", [7, 9], hgs)
    bpy.ops.hgs.reload_seeds()
    assert settings.seed == "9"
    settings.folder = save_batch(tmp_path / "batch", list(range(16)), hgs)
    bpy.ops.hgs.reload_seeds()
    settings.seed = "9"
    save_batch(tmp_path / "batch", [7, 8], hgs)
    opened = addon("ui.seeds").open_browser(settings)
    opened.open(settings.folder)  # as a file does that was saved before
    assert "is no longer in the batch" in refusal(bpy.ops.hgs.import_seed)
    assert bpy.ops.hgs.import_seed(every=True) == {"FINISHED"}
    bpy.ops.hgs.reload_seeds()
    assert settings.seed == "7"


def start(addon: Addon) -> Any:
    """Start as the button does where there is an event loop: return at once."""
    return addon("ui.generate").start(bpy.context)


def tick_until(addon: Addon, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        addon("ui.generate").tick()
        time.sleep(0.01)


def test_the_timer_follows_a_generation_to_its_end(addon: Addon, hgs: Path) -> None:
    generation = start(addon)
    assert not bpy.ops.hgs.generate.poll()
    assert addon("ui.generate").tick() in (addon("ui.generate").POLL_SECONDS, None)
    tick_until(addon, lambda: not generation.running)
    assert addon("ui.generate").tick() is None
    assert bpy.context.scene.hgs_seeds.folder == str(generation.folder)
    assert bpy.ops.hgs.generate.poll()


def test_cancel_stops_it(addon: Addon, hgs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_HANG", "1")
    assert not bpy.ops.hgs.cancel_generation.poll()
    generation = start(addon)
    tick_until(addon, lambda: generation.job.fraction == 0.25)
    assert bpy.ops.hgs.cancel_generation() == {"FINISHED"}
    tick_until(addon, lambda: not generation.running)
    assert "cancelled" in generation.problem
    assert list((tmp_path / "all batches").iterdir()) == []


def test_disabling_the_extension_ends_a_running_program(
    addon: Addon, hgs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_HANG", "1")
    generation = start(addon)
    module = addon("ui.preferences").EXTENSION
    bpy.ops.preferences.addon_disable(module=module)
    assert generation.job._process.poll() is not None
    assert not hasattr(bpy.types.Scene, "hgs_generate")
    bpy.ops.preferences.addon_enable(module=module)


def test_the_real_hgs_makes_a_batch_that_imports(
    addon: Addon, hgs: Path, tmp_path: Path, make_splats: Callable[..., Any]
) -> None:
    """Slow parts of the real program are a tiny untrained model, made here, and 16-pixel thumbnails."""
    python = Path(os.environ.get("HGS_PYTHON", ROOT / ".venv" / "bin" / "python"))
    if not python.exists():
        pytest.skip("HGS_PYTHON does not name a Python with hgs_toolkit, and .venv is missing")
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    model = tmp_path / "tiny model.safetensors"
    code = (ROOT / "tests" / "blender" / "make_tiny_model.py").read_text()
    subprocess.run([python, "-c", code, str(model)], check=True, env=environment, timeout=300)
    program = tmp_path / "real hgs"
    program.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{python}" -m hgs_toolkit.cli "$@"\n')
    program.chmod(0o755)
    addon("ui.preferences").preferences(bpy.context).executable = str(program)
    scene = bpy.context.scene
    scene.hgs_generate.model, scene.hgs_generate.seeds, scene.hgs_generate.size = str(model), "3,5", 16
    assert bpy.ops.hgs.generate() == {"FINISHED"}
    browser = addon("ui.seeds").open_browser(scene.hgs_seeds)
    assert [item[0] for item in browser.items] == ["3", "5"]
    assert [tuple(preview.image_size) for preview in browser.previews.values()] == [(16, 16), (16, 16)]
    bpy.ops.hgs.import_seed()
    assert bpy.context.object.get("hgs_seed") == 3
    scene.hgs_seeds.seed = "5"
    assert bpy.ops.hgs.morph_to_seed() == {"FINISHED"}
