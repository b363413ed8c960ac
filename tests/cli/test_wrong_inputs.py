"""A table of wrong inputs: each ends in one sentence and exit code 1 or 2, and changes nothing.

Exit code 2 is wrong usage, which the words alone show; 1 is everything that depends on files, models and values.
Wrong choices of options with a fixed set of values have a table of their own in test_choices.py.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import Result

from hgs_toolkit import model_files
from hgs_toolkit.asset import Asset, AssetMetadata, save_asset
from hgs_toolkit.checkpoint import save_model
from hgs_toolkit.config import Config
from hgs_toolkit.datasets.critters.drawing import make_critters
from hgs_toolkit.exporters.table import export
from hgs_toolkit.model.generator import Generator
from tests.conftest import make_scene

Hgs = Callable[..., Result]

THERE = ("ply", "png", "html", "glb", "mp4", "json", "zip", "safetensors")
"""Suffixes of files called ``there`` that hold something of the user."""

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0\n"
POINTERS = ("pointer.ply", "pointer.safetensors", "pointer.zip", "pointer.png")
"""Pointers of Git LFS that were cloned without their files."""

SHORT = ("hgs", "spz", "splat", "sog", "glb")
"""Suffixes of splat files called ``short``, of which the second half is missing."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, tiny_config: Config) -> Iterator[Path]:
    """A working folder with good, broken and foreign files; no model ships."""
    root = tmp_path_factory.mktemp("wrong")
    scene = make_scene(background=5)
    save_asset(root / "a.hgs", Asset(scene, AssetMetadata(seed=3, psi=0.7, generator="tiny")))
    save_model(root / "run" / "model.safetensors", Generator(tiny_config.generator), tiny_config, {"kimg": "4.0"})
    make_critters(root / "set.zip", 6, 16)
    for suffix in SHORT:
        whole = root / f"a.{suffix}"
        export(scene, whole, overwrite=True)
        (root / f"short.{suffix}").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2 - 1])
    ascii_ply = "ply\nformat ascii 1.0\nelement vertex 5\nproperty float x\nend_header\n1\n"
    texts = {"short.ply": ascii_ply, "text.txt": "text", "bad.json": "{", "list.json": "[1, 2]", "noimage.png": "text",
             "bad.yaml": "generator: [", **dict.fromkeys(POINTERS, POINTER),
             "page.ply": "\n<!DOCTYPE html>\n<html></html>", "unknown.yaml": "generator: {pointz: 3}\n",
             "deep.json": "[" * 100_000}  # fmt: skip
    for name, text in (texts | {f"there.{suffix}": "mine" for suffix in THERE}).items():
        (root / name).write_text(text)
    (root / "short.zip").write_bytes((root / "set.zip").read_bytes()[:3000])
    (root / "short.safetensors").write_bytes((root / "run" / "model.safetensors").read_bytes()[:1000])
    for name in ("there/manifest.json", "models/broken.glb", "begun/config.yaml", "begun/model.safetensors"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text("mine")
    (root / "empty").mkdir()
    (root / "few").mkdir()
    for name in ("photo.png", "few/1.png", "few/2.png"):
        Image.new("RGB", (40, 40), (90, 60, 30)).save(root / name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model_files, "PRETRAINED", root / "none.safetensors")
        yield root


WRONG_INPUTS = [
    # The words alone are wrong.
    ("nonsense", 2, "No such command 'nonsense'; see 'hgs --help'"),
    ("--nonsense", 2, "No such option: --nonsense"),
    ("doctor --nonsense", 2, "No such option: --nonsense; see 'hgs doctor --help'"),
    ("sample run", 2, "Missing option '--out'; see 'hgs sample --help'"),
    ("sample run --out s --views 0", 2, "'--views'"),
    ("sample run --out s --size 4", 2, "'--size'"),
    ("sample run --out s --psi nan", 2, "'--psi'"),
    ("sample run --out s --psi 5", 2, "'--psi'"),
    ("export a.hgs b.ply --sh-degree 7", 2, "'--sh-degree'"),
    ("export a.hgs b.spz --spz-version 9", 2, "'--spz-version'"),
    ("render a.hgs b.png --size 100000", 2, "'--size'"),
    ("render a.hgs b.png --zoom 0", 2, "'--zoom'"),
    ("render a.hgs b.png --splat-scale nan", 2, "'--splat-scale'"),
    ("render a.hgs b.mp4 --frames 0", 2, "'--frames'"),
    ("render a.hgs b.mp4 --fps 0", 2, "'--fps'"),
    ("render a.hgs b.png --yaw north", 2, "'north' is no list of degrees such as 0,90,-30"),
    ("render a.hgs b.png --yaw 0 --frames 3", 2, "directions are a camera path of their own; choose one"),
    ("share a.hgs b.html --pitch 95", 2, "'--pitch' is '95'; expected at most 88; see 'hgs share --help'"),
    ("share a.hgs b.html --yaw north", 2, "'--yaw' is 'north'; expected a number; see 'hgs share --help'"),
    ("mesh a.hgs b.glb --faces -1", 2, "'--faces'"),
    ("video run a b c.mp4", 2, "4 paths; expected [MODEL] OUT"),
    ("video run b.mp4 --frames 0", 2, "'--frames'"),
    ("mix run b.png --size 9999", 2, "'--size'"),
    ("view run --port 99999", 2, "'--port'"),
    ("invert photo.png run --out o --steps 0", 2, "'--steps'"),
    ("invert photo.png run --out o --yaw nan", 2, "'--yaw'"),
    ("invert photo.png run --out o --pitch 95", 2, "'--pitch'"),
    ("invert photo.png run --out o --camera list.json --yaw 3", 2, "both were given; choose one"),
    ("eval run --data set.zip --count 0", 2, "'--count'"),
    ("eval run --scenes 0", 2, "'--scenes'"),
    ("eval run --psi nan", 2, "'--psi'"),
    ("dataset demo --out d.zip --count 0", 2, "'--count'"),
    ("dataset demo --out d.zip --resolution 2", 2, "'--resolution'"),
    ("dataset demo --out d.zip --views 0", 2, "'--views'"),
    ("view run --psi 1.5", 2, "1.5; expected 0 to 1.2, where the slider ends"),
    ("synth run --out s --count 1 --cameras orbit --pitch 60", 2, "a fixed path has its own directions"),
    ("synth run --out s --count 1 --set cameras=orbit", 1, "cameras"),
    ("synth run --out s --count 1 --workers -1", 2, "'--workers'"),
    ("runs pack run --out packed.pt", 2, "expected a name that ends with .safetensors"),
    ("runs compare run", 2, "one run was given; expected two or more"),
    ("train --data set.zip --out o --grow run", 2, "one of the two is needed to grow"),
    ("train --data set.zip --preset critters32 --config bad.yaml --out o", 2, "both were given; choose one"),
    ("train --data set.zip --preset critters32 --out o --minutes -1", 2, "-1; expected more than 0"),
    ("train --data set.zip --preset critters32 --out o --minutes nan", 2, "nan; expected more than 0"),
    ("train --data set.zip --preset critters32 --out o --seed -5", 2, "'--seed'"),
    ("train --data set.zip --preset critters32 --out o --processes 0", 2, "'--processes'"),
    ("train --data set.zip --preset critters32 --out o --processes two", 2, "'--processes'"),
    ("train --data set.zip --preset critters32 --out o --snap -1", 2, "'--snap'"),
    ("train --data set.zip --preset critters32 --out o --grow run --resume", 2, "a run grows from one beginning"),
    ("train --data set.zip --init run --resume --out o", 2, "a resumed run has its weights; choose one"),
    ("demo --out d --minutes 0", 2, "'--minutes'"),
    # Options that would change nothing.
    ("export run@0 b.ply --source-frame rdf", 2, "--source-frame: run@0 is no file, so nothing would change"),
    ("export run@0 b.ply --drop-invalid", 2, "--drop-invalid: run@0 is no file"),
    ("export run@0 b.ply --source-frame rdf --drop-invalid", 2, "--source-frame, --drop-invalid: run@0 is no file"),
    ("export run@0 b.ply --jobs 4", 2, "--jobs: run@0 is no folder"),
    ("export a.hgs b.ply --jobs 4", 2, "--jobs: a.hgs is no folder"),
    ("export a.hgs b.ply --psi 0.5", 2, "--psi: a.hgs is no MODEL@SEED, so nothing would change; leave it out"),
    ("export empty b-%s.ply --psi 0.5", 2, "--psi: empty is no MODEL@SEED"),
    ("render run@0 b.png --drop-invalid", 2, "--drop-invalid: run@0 is no file"),
    ("render a.hgs b.png --psi 0.5", 2, "--psi: a.hgs is no MODEL@SEED"),
    ("mesh run@0 b.glb --drop-invalid", 2, "--drop-invalid: run@0 is no file"),
    ("mesh a.hgs b.glb --psi 0.5", 2, "--psi: a.hgs is no MODEL@SEED"),
    ("share a.hgs b.html --psi 0.5", 2, "--psi: a.hgs is no MODEL@SEED"),
    ("view a.hgs a.spz --psi 0.5", 2, "--psi: a.hgs and a.spz are no MODEL@SEED"),
    ("blender launch a.hgs --psi 0.5", 2, "--psi: a.hgs is no MODEL@SEED"),
    ("invert photo.png run --out o --tuning-steps 5", 2, "--tuning-steps: the space 'w+' is searched without tuning"),
    ("sample run --out s --save hgs --size 64", 2, "--size: --save hgs names no png, so nothing would change"),
    ("sample run --out s --save ply,spz --views 2 --background red", 2, "--views, --background: --save ply,spz names"),
    # Samples.
    ("sample --out s", 1, "no model was named and none ships"),
    ("sample empty --out s", 1, "the folder empty holds no model.safetensors; expected a run folder"),
    ("sample pointer.safetensors --out s", 1, "pointer.safetensors is a pointer of Git LFS, not the file itself"),
    ("train --data pointer.zip --preset critters32 --out o", 1, "fetch it by: git lfs pull"),
    ("invert pointer.png run --out o", 1, "pointer.png is a pointer of Git LFS"),
    ("info pointer.ply", 1, "pointer.ply is a pointer of Git LFS"),
    ("render page.ply a.png", 1, "page.ply is a web page, which a download that failed may leave"),
    ("sample text.txt --out s", 1, "text.txt is truncated or no safetensors file"),
    ("sample a.hgs --out s", 1, "a.hgs is a safetensors file but not a model of this toolkit"),
    ("sample run --out s --seeds 5-1", 1, "'5-1' runs backwards"),
    ("sample run --out s --seeds -1", 1, "'-1' is no number or range; expected for example 0-3 or 1,5,9-12"),
    ("sample run --out s --save gif", 1, "--save names 'gif', which is no known format; known: png, hgs, ply, "),
    ("sample run --out s --save hgs,foo", 1, "--save names 'foo', which is no known format"),
    ("sample run --out s --save hgs,", 1, "--save names '', which is no known format"),
    ("sample run --out s --save ..ply", 1, "'.ply', which is no known format (did you mean 'ply'?)"),
    ("sample run --out s --save a/b.ply", 1, "--save names 'a/b.ply', which is no known format"),
    ("sample run --out s --save b.ply", 1, "--save names 'b.ply', which is no known format"),
    ("sample run --out s --save ksplat", 1, ".ksplat files can be read, not written; writable: .hgs, .ply, "),
    ("sample run --out s --save hgs --cutoff 99", 1, "--cutoff 99; this model has 5 style slots"),
    ("sample run --out s --background reddish", 1, "background 'reddish' is no colour"),
    ("sample run --out s --device cuda", 1, "no working CUDA device is here; use --device cpu or auto"),
    ("sample run --out there --seeds 0", 1, "manifest.json exists already; add --force"),
    ("sample run --out text.txt --seeds 0", 1, "cannot create the folder text.txt"),
    ("sample run --out there/manifest.json --seeds 0", 1, "cannot create the folder there/manifest.json"),
    # Splat files.
    ("export a.hgs b.foo", 1, "'.foo', which is no known format; known: .hgs, .ply, "),
    ("export a.hgs b.pyl", 1, "which is no known format (did you mean '.ply'?); known: .hgs, .ply, "),
    ("export a.hgs b.ksplat", 1, ".ksplat files can be read, not written; writable: .hgs, .ply, "),
    ("export a.hgs empty", 1, "empty has a name without suffix, which is no known format"),
    ("export missing.hgs b.ply", 1, "missing.hgs does not exist"),
    ("export missing b.ply", 1, "missing does not exist; expected a splat file"),
    ("export empty b.ply", 1, "empty is a folder, and OUT is b.ply; expected a name with %s, such as out/%s.spz"),
    ("export text.txt b.hgs", 1, "'.txt', which is no known format"),
    ("export short.hgs b.ply", 1, "short.hgs is truncated or no safetensors file"),
    ("export short.ply b.hgs", 1, "short.ply is truncated"),
    ("export short.spz b.ply", 1, "short.spz: it is truncated"),
    ("export short.sog b.ply", 1, "short.sog is not a readable .sog archive"),
    ("export short.splat b.ply", 1, "expected a multiple of 32, it is truncated or no .splat"),
    ("export short.glb b.ply", 1, "short.glb: it is truncated"),
    ("export a.hgs a.hgs", 1, "a.hgs exists already; add --force"),
    ("export a.hgs there.ply", 1, "there.ply exists already; add --force"),
    ("export a.hgs text.txt/b.ply", 1, "cannot create the folder text.txt"),
    ("export a.hgs b.hgs --extras", 1, ".hgs files have no option 'extras'"),
    ("export a.hgs b.ply --levels 9", 1, "no Gaussian has a level of [9]; the scene's levels are 0, 1, 2"),
    ("export a.hgs b.ply --levels x", 1, "levels 'x': 'x' is no number or range"),
    ("export a.hgs b.ply --to-budget huge", 1, "'huge' is no size; expected a number of bytes such as 500k or 2M"),
    (f"export a.hgs b.ply --to-budget {'9' * 400}", 1, "is no size; expected a number of bytes such as 500k or 2M"),
    ("export a.hgs b.ply --source-frame rdf", 1, "it can only be given for .spz, .splat, .ksplat"),
    ("export run@1-2 b.ply", 1, "'@1-2' names 2 seeds; expected one"),
    ("export run@x b.ply", 1, "seeds 'x': 'x' is no number or range"),
    ("export @1 b.ply", 1, "no model was named and none ships"),
    ("export empty@1 b.ply", 1, "the folder empty holds no model.safetensors"),
    ("export short.safetensors@1 b.ply", 1, "short.safetensors is truncated"),
    ("info missing", 1, "missing does not exist; expected a splat file, model, run folder or dataset"),
    ("info text.txt", 1, "'.txt', which is no known format"),
    ("info short.safetensors", 1, "short.safetensors is truncated"),
    ("info short.spz", 1, "short.spz: it is truncated"),
    ("info short.sog", 1, "short.sog is not a readable .sog archive"),
    ("info short.zip", 1, "short.zip is neither a folder nor a zip archive"),
    ("info empty", 1, "empty has no dataset.json"),
    # Pictures, pages and meshes.
    ("render a.hgs there.png", 1, "there.png exists already"),
    ("render a.hgs text.txt/b.png", 1, "cannot create the folder text.txt"),
    ("render a.hgs b.avi", 1, "b.avi has the suffix '.avi'; expected .png, .mp4 or .gif"),
    ("render a.hgs there", 1, "there has the suffix ''; expected .png, .mp4 or .gif"),
    ("render a.hgs f-%q.png --frames 2", 1, "no pattern of a sequence"),
    ("render a.hgs b.png --background reddish", 1, "background 'reddish' is no colour"),
    ("render a.hgs b.mp4 --background transparent", 1, "a video has no transparency"),
    ("render a.hgs b.png --subtree 9999", 1, "Gaussian 9999; expected 0 to 88"),
    ("render short.hgs b.png", 1, "short.hgs is truncated"),
    ("share a.hgs b.txt", 1, "b.txt has the suffix '.txt'; expected .html"),
    ("share a.hgs there.html", 1, "there.html exists already"),
    ("share a.hgs b.html --levels 9", 1, "no Gaussian has a level of [9]"),
    ("mesh a.hgs b.foo", 1, "'.foo', which is no mesh format; expected one of: .glb, .ply, .obj, .stl, .vox"),
    ("mesh a.hgs there.glb", 1, "there.glb exists already"),
    ("mesh a.hgs b.glb --resolution 1", 1, "resolution 1; expected 16 to 2048 voxels"),
    ("mesh a.hgs b.glb --size nan", 1, "size nan; expected more than 0"),
    ("mesh a.hgs b.glb --report there.json", 1, "there.json exists already"),
    ("mesh a.hgs b.glb --report text.txt/r.json", 1, "cannot create the folder text.txt"),
    ("mesh a.hgs b.glb --color texture --faces 900000", 1, "use --faces 20000 or fewer"),
    ("mesh a.hgs b.glb --level 3", 1, "a level was given for the method 'surface', which finds its own"),
    ("mesh a.hgs b.stl --color texture", 1, ".stl files hold no texture; write .glb or .obj"),
    ("mesh a.hgs b.stl --unlit", 1, "--unlit needs .glb"),
    ("mesh a.hgs b.stl --lods", 1, "levels of detail need .glb"),
    ("video run there.mp4", 1, "there.mp4 exists already"),
    ("video run b.mp4 --seeds x", 1, "seeds 'x': 'x' is no number or range"),
    ("video run b.mp4 --kind mix --levels 9", 1, "levels [9] cannot be mixed"),
    ("mix run b.gif", 1, "b.gif has the suffix '.gif'; expected .png"),
    ("mix run b.png --rows 0-99", 1, "100 rows and 4 columns; expected at most 64"),
    ("view a.hgs a.hgs a.hgs", 1, "3 models or assets were given"),
    ("view missing", 1, "missing does not exist; expected a splat file"),
    # Photographs.
    ("invert missing.png run --out o", 1, "missing.png does not exist"),
    ("invert noimage.png run --out o", 1, "cannot read the image noimage.png"),
    ("invert photo.png run --out text.txt", 1, "cannot create the folder text.txt"),
    ("invert photo.png run --out o --mask missing.png", 1, "cannot read the image missing.png"),
    ("invert photo.png run --out o --camera missing.json", 1, "cannot read the camera missing.json"),
    ("invert photo.png run --out o --camera bad.json", 1, "cannot read the camera bad.json"),
    ("invert photo.png run --out o --camera deep.json", 1, "cannot read the camera deep.json"),
    ("invert photo.png run --out o --camera list.json", 1, 'expected {"label": [25 numbers]}'),
    ("invert critter:x run --out o", 1, "expected critter:N with a number N"),
    ("invert critter:1 run --out o --mask photo.png", 1, "'critter:1' brings its own alpha, leave the mask out"),
    ("invert set.zip run --out o --yaw 3", 1, "leave --camera, --yaw and --pitch out"),
    # Data.
    ("eval run --data missing", 1, "missing does not exist; expected a folder or a zip archive"),
    ("eval run --data empty", 1, "empty has no dataset.json at its top level"),
    ("eval run --data set.zip --out there.json", 1, "there.json exists already"),
    ("eval run --out text.txt/n.json", 1, "cannot create the folder text.txt"),
    ("eval run --metrics kid", 1, "real images are needed for kid; name them with --data PATH"),
    ("dataset demo --out there.zip", 1, "there.zip exists already"),
    ("dataset demo --out d.rar", 1, "d.rar has the suffix '.rar'; expected a .zip archive or a folder"),
    ("dataset demo --out text.txt/d.zip", 1, "cannot create the folder text.txt"),
    ("dataset merge set.zip --out m.zip", 1, "1 set; expected at least two to bring together"),
    ("dataset merge set.zip text.txt --out m.zip", 1, "text.txt is neither a folder nor a zip archive"),
    ("dataset merge set.zip set.zip --out m.rar", 1, "m.rar has the suffix '.rar'"),
    ("dataset check text.txt", 1, "text.txt is neither a folder nor a zip archive"),
    ("dataset check set.zip --pictures text.txt", 1, "cannot create the folder text.txt"),
    ("dataset convert empty --out d.zip", 1, "choose the distribution of their poses: --law frontal, normal"),
    ("dataset convert models --out d.zip --from bare", 1, "choose the distribution of their poses: --law frontal"),
    ("dataset convert set.zip --out d.zip", 1, "has a dataset.json already"),
    ("dataset convert set.zip --out d.zip --center 1,2", 1, "three numbers such as 0,0,1"),
    ("dataset convert set.zip --out d.zip --radius -1", 1, "the radius is -1; expected a distance above 0"),
    ("dataset convert set.zip --out d.zip --resolution 0", 1, "the resolution is 0; expected 8 ... 4096 pixels"),
    ("dataset render --models empty --out d.zip", 1, "empty holds no model; expected files ending in .obj"),
    ("dataset render --models models --out d.zip --count 1", 1, "repair it, or leave such models out"),
    ("dataset render --models models --out d.zip --match (", 1, "'(' is not a regular expression"),
    ("synth run --out s --count 0", 1, "count is 0; expected at least 1"),
    ("synth run --out s --count 1 --shard 3/2", 1, "part 3/2; expected i/n with i from 0 to n - 1"),
    ("synth run --out s --count 1 --set nonsense=1", 1, "unknown key 'nonsense'; known: count, views, seed"),
    ("synth run --out s --count 1 --set exposure=2020-13-45", 1, "=2020-13-45: the value is not valid YAML"),
    ("synth run --out s --count 1 --config missing.yaml", 1, "cannot read the configuration missing.yaml"),
    ("synth run --out s --count 1 --yaw nan", 2, "'--yaw' is 'nan'; expected at least 0"),
    ("synth run --out s --count 1 --set exposure=.nan", 1, "exposure is nan; expected a finite number"),
    ("synth run --out s --count 1 --background empty", 1, "empty holds no PNG, JPEG or WebP image"),
    ("synth run --out text.txt --count 1", 1, "text.txt is a file; expected a folder"),
    ("synth run --out there --count 1", 1, "there holds something else than a dataset of 'hgs synth'"),
    ("synth check empty", 1, "expected a dataset of 'hgs synth'"),
    # Training.
    ("train --data empty --preset critters32 --out o", 1, "empty has no dataset.json"),
    ("train --data short.zip --preset critters32 --out o", 1, "short.zip is neither a folder nor a zip archive"),
    ("train --data set.zip --preset critters32 --out o --processes 99999", 1, "--processes 99999; expected at most "),
    ("train --data set.zip --out begun", 1, "begun holds a run already; add --resume to continue it"),
    ("train --data set.zip --preset critters32 --out begun", 1, "begun holds a run already; add --resume"),
    ("train --data begun --out o", 1, "begun is the folder of a run; expected a dataset, meshes or images"),
    ("eval run --data begun", 1, "begun is the folder of a run; expected a dataset, meshes or images"),
    ("train --data set.zip --preset critters32 --out o", 1, "set.zip holds images of 16 x 16 pixels, asked for 32"),
    ("train --data set.zip --preset crittters32 --out o", 1, "(did you mean 'critters32'?); known: afhq256"),
    ("train --data set.zip --preset critters32 --out o --resume", 1, "o holds no run to resume"),
    ("train --data set.zip --preset critters32 --out o --kimg -1", 1, "training.kimg is -1.0; expected more than 0"),
    ("train --data set.zip --preset critters32 --out o --set training.batch=0", 1, "expected at least 1"),
    ("train --data set.zip --preset critters32 --out o --set training.batchh=3", 1,
     "unknown key 'training.batchh' (did you mean 'batch'?); 'hgs train --settings' lists all "),
    ("train --data set.zip --preset critters32 --out o --set training.gamma=3", 1, "'r2_gamma' or 'r1_gamma' or"),
    ("train --data few --out o", 1, "few has 2 images; expected at least 4, better thousands"),
    ("train --data set.zip --preset critters32 --out o --set nonsense", 1, "expected key=value"),
    ("train --data set.zip --preset critters32 --out o --grow empty", 1, "neither state.pt nor model.safetensors"),
    ("train --data set.zip --config bad.yaml --out o", 1, "bad.yaml is not valid YAML"),
    ("train --data set.zip --config unknown.yaml --out o", 1, "'generator.pointz' (did you mean 'points'?)"),
    ("train --data there --init missing --out o", 1, "missing does not exist; expected a file of 'hgs"),
    ("train --data there --init empty --out o", 1, "holds neither state.pt nor model.safetensors"),
    ("train --data there --init short.safetensors --out o", 1, "short.safetensors is truncated"),
    ("import missing.pkl b.safetensors", 1, "cannot read missing.pkl"),
    ("import text.txt b.safetensors", 1, "text.txt is damaged, truncated or no pickle"),
    ("import text.txt b.pt", 1, "b.pt has the suffix '.pt'; expected .safetensors"),
    ("import text.txt there.safetensors", 1, "there.safetensors exists already"),
    ("demo --out text.txt", 1, "cannot create the folder text.txt"),
    # Blender.
    ("blender install --blender missing", 1, "missing is no Blender that can be run; give the path of the program"),
    ("blender launch missing.hgs", 1, "missing.hgs does not exist"),
    ("blender package --out text.txt", 1, "cannot create the folder text.txt"),
]  # fmt: skip
"""Command, exit code and a part of the sentence."""


@pytest.mark.parametrize(("line", "code", "message"), WRONG_INPUTS, ids=[line for line, _, _ in WRONG_INPUTS])
def test_a_wrong_input_is_one_sentence_and_changes_nothing(
    line: str, code: int, message: str, hgs: Hgs, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    before = content(folder)
    result = hgs(*shlex.split(line))
    assert (result.exit_code, result.stdout) == (code, "")
    sentences = [text for text in result.stderr.splitlines() if not text.endswith("...")]
    assert len(sentences) == 1
    assert sentences[0].startswith("error: ")
    assert message in sentences[0]
    assert "internal error" not in sentences[0]
    assert content(folder) == before


def content(folder: Path) -> dict[Path, bytes | None]:
    """All files with their bytes, and all folders."""
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}
