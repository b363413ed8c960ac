"""The .sog: what its images say, round trips, and archives that contradict themselves."""

from __future__ import annotations

import io
import json
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from hgs_toolkit.errors import FormatError
from hgs_toolkit.exporters.splats.packing.morton import morton_order
from hgs_toolkit.exporters.splats.packing.webp import pixels_to_webp
from hgs_toolkit.exporters.splats.sog import sog_files
from hgs_toolkit.exporters.splats.stored import splats_of
from hgs_toolkit.exporters.table import export, load, read_asset
from hgs_toolkit.gaussians import GaussianHierarchy

SceneFactory = Callable[..., GaussianHierarchy]


def rewrite(path: Path, change: Callable[[dict[str, bytes]], None], compression: int = zipfile.ZIP_STORED) -> None:
    """The same archive after ``change`` of its files."""
    with zipfile.ZipFile(path) as bundle:
        files = {name: bundle.read(name) for name in bundle.namelist()}
    change(files)
    with zipfile.ZipFile(path, "w", compression) as bundle:
        for name, data in files.items():
            bundle.writestr(name, data)


def with_meta(path: Path, change: Callable[[dict[str, object]], None]) -> None:
    def edit(files: dict[str, bytes]) -> None:
        meta = json.loads(files["meta.json"])
        change(meta)
        files["meta.json"] = json.dumps(meta).encode()

    rewrite(path, edit)


def webp(width: int, height: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGBA", (width, height)).save(buffer, "WEBP", lossless=True)
    return buffer.getvalue()


def test_files_are_meta_and_square_lossless_images(scene: GaussianHierarchy) -> None:
    files = sog_files(scene)
    assert list(files) == ["meta.json", "means_l.webp", "means_u.webp", "scales.webp", "quats.webp", "sh0.webp"]
    meta = json.loads(files["meta.json"])
    assert (meta["version"], meta["count"]) == (2, 89)
    assert len(meta["scales"]["codebook"]) == len(meta["sh0"]["codebook"]) == 256
    assert Image.open(io.BytesIO(files["quats.webp"])).size == (12, 8)
    assert "VP8L" in files["quats.webp"][:16].decode("latin1")


def test_one_pixel_of_each_image_says_what_the_specification_says(scene_factory: SceneFactory) -> None:
    scene = scene_factory((1,))
    scene = scene.replace(
        quats=torch.tensor([[[0.1, -0.9, 0.3, 0.2]]]), opacity_logits=torch.zeros(1, 1), means=torch.ones(1, 1, 3)
    )
    files = sog_files(scene, "y_up")
    quat = np.asarray(Image.open(io.BytesIO(files["quats.webp"])))[0, 0]
    w, y, z = -np.array([0.1, 0.3, 0.2]) / np.sqrt(0.95)  # x is largest and negative: the others change sign
    np.testing.assert_array_equal(quat[:3], np.round((np.array([w, y, z]) * np.sqrt(2) / 2 + 0.5) * 255))
    assert quat[3] == 253
    assert np.asarray(Image.open(io.BytesIO(files["sh0.webp"])))[0, 0, 3] == 128
    np.testing.assert_allclose(json.loads(files["meta.json"])["means"]["mins"], np.log(2))


def test_the_order_is_along_the_curve_and_equal_scenes_give_equal_bytes(
    tmp_path: Path, scene: GaussianHierarchy
) -> None:
    export(scene, tmp_path / "a.sog")
    export(scene, tmp_path / "b.sog")
    assert (tmp_path / "a.sog").read_bytes() == (tmp_path / "b.sog").read_bytes()
    source = splats_of(scene, "rdf")
    expected = source.take(morton_order(source.means)).means
    np.testing.assert_allclose(splats_of(load(tmp_path / "a.sog"), "rdf").means, expected, atol=5e-5)


def test_up_to_a_palette_of_harmonics_only_the_codebook_rounds(tmp_path: Path, scene_factory: SceneFactory) -> None:
    scene = scene_factory((300,), degree=2)
    export(scene, tmp_path / "a.sog")
    source = splats_of(scene, "y_up")
    expected = source.take(morton_order(splats_of(scene, "rdf").means)).sh[:, 1:]
    found = load(tmp_path / "a.sog").sh[0, :, 1:].numpy()
    assert np.abs(found - expected).max() < np.ptp(expected) / 254


def test_the_frame_is_found_again(tmp_path: Path, scene: GaussianHierarchy) -> None:
    export(scene, tmp_path / "a.sog", frame="y_up")
    loaded = load(tmp_path / "a.sog").means[0]
    torch.testing.assert_close(loaded.amax(0), scene.means[0].amax(0), atol=5e-5, rtol=0)


def test_a_compressed_archive_is_read_too(tmp_path: Path, scene: GaussianHierarchy) -> None:
    export(scene, tmp_path / "a.sog")
    before = load(tmp_path / "a.sog")
    rewrite(tmp_path / "a.sog", lambda files: None, zipfile.ZIP_DEFLATED)
    assert torch.equal(load(tmp_path / "a.sog").means, before.means)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.update(version=1), "says version 1; expected 2"),
        (lambda m: m.update(count=0), "says 0 Gaussians"),
        (lambda m: m.update(count=True), "says True Gaussians"),
        (lambda m: m.update(count=10**6), "taken for a decompression bomb"),
        (lambda m: m.update(count=5000), "means_l.webp has 12 x 8 pixels for 5000 values"),
        (lambda m: m.pop("quats"), "lacks 'files' of 'quats'"),
        (lambda m: m["scales"].update(codebook=["a"]), "'codebook' of 'scales' is no list of finite numbers"),
        (lambda m: m["sh0"].update(codebook=[]), "has a codebook of 0 for 'sh0'"),
        (lambda m: m["means"].update(mins=[0.0]), "1 and 3 bounds of positions"),
        (lambda m: m["means"].update(maxs=[1e30] * 3), "non-finite values"),
        (lambda m: m["means"].update(maxs=[10**400] * 3), "'maxs' of 'means' is no list of finite numbers"),
        (lambda m: m["sh0"].update(files=["a\0b"]), "the archive lacks a"),
        (lambda m: m["means"].update(files="ab"), "images of 'means'; expected 2 names"),
        (lambda m: m["quats"].update(files=["../../secret"]), r"the archive lacks \.\./\.\./secret"),
    ],
)
def test_a_description_that_lies_is_refused(
    change: Callable[[dict[str, object]], None], message: str, tmp_path: Path, scene: GaussianHierarchy
) -> None:
    export(scene, tmp_path / "a.sog")
    with_meta(tmp_path / "a.sog", change)
    with pytest.raises(FormatError, match=rf"a\.sog: .*{message}"):
        load(tmp_path / "a.sog")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"RIFF", "not a readable WebP image"),
        (webp(4000, 4000), "has 4000 x 4000 pixels for 89 values"),
        (webp(12, 8), "a quaternion has the tag 0"),
    ],
)
def test_an_image_that_does_not_fit_is_refused_before_it_is_decoded(
    data: bytes, message: str, tmp_path: Path, scene: GaussianHierarchy
) -> None:
    export(scene, tmp_path / "a.sog")
    rewrite(tmp_path / "a.sog", lambda files: files.update({"quats.webp": data}))
    with pytest.raises(FormatError, match=message):
        load(tmp_path / "a.sog")


def test_a_label_beyond_the_palette_is_refused(tmp_path: Path, scene_factory: SceneFactory) -> None:
    export(scene_factory((20,), degree=1), tmp_path / "a.sog")
    with_meta(tmp_path / "a.sog", lambda m: m["shN"].update(count=3))  # type: ignore[attr-defined]
    with pytest.raises(FormatError, match="asks for entry 19 of a palette of 3"):
        load(tmp_path / "a.sog")


def test_a_file_that_unpacks_to_far_more_is_refused(tmp_path: Path, scene: GaussianHierarchy) -> None:
    export(scene, tmp_path / "a.sog")
    rewrite(
        tmp_path / "a.sog", lambda files: files.update({"sh0.webp": bytes(2**25)}), compression=zipfile.ZIP_DEFLATED
    )
    with pytest.raises(FormatError, match=r"a\.sog: 33554432 bytes of content promised .* bomb"):
        load(tmp_path / "a.sog")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_packings_that_unpack_without_bound_are_refused(method: int, tmp_path: Path, scene: GaussianHierarchy) -> None:
    export(scene, tmp_path / "a.sog")
    rewrite(tmp_path / "a.sog", lambda files: None, method)
    with pytest.raises(FormatError, match="expected it stored or deflated"):
        load(tmp_path / "a.sog")


def test_no_more_is_unpacked_than_the_directory_says(tmp_path: Path, scene: GaussianHierarchy) -> None:
    export(scene, tmp_path / "a.sog")
    rewrite(tmp_path / "a.sog", lambda files: files.update({"sh0.webp": bytes(200_000_000)}), zipfile.ZIP_DEFLATED)
    data = (tmp_path / "a.sog").read_bytes()
    told, lie = struct.pack("<I", 200_000_000), struct.pack("<I", 1000)
    assert data.count(told) == 2, "in the file's own header and in the directory"
    (tmp_path / "a.sog").write_bytes(data.replace(told, lie))
    tracemalloc.start()
    with pytest.raises(FormatError):
        load(tmp_path / "a.sog")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 30_000_000


def test_a_name_that_is_no_text_is_refused(tmp_path: Path, scene: GaussianHierarchy) -> None:
    export(scene, tmp_path / "a.sog")
    rewrite(tmp_path / "a.sog", lambda files: files.update({"\u00e4.txt": b""}))
    data = (tmp_path / "a.sog").read_bytes()
    (tmp_path / "a.sog").write_bytes(data.replace("\u00e4.txt".encode(), b"\xff\xfe.txt"))
    with pytest.raises(FormatError, match=r"not a readable \.sog archive"):
        load(tmp_path / "a.sog")


@pytest.mark.parametrize(("where", "extent"), [(50_000.0, 100.0), (4_500_000.0, 100.0), (1_000.0, 1.0)])
def test_positions_far_away_are_as_exact_as_their_sixteen_bits(
    where: float, extent: float, tmp_path: Path, scene_factory: SceneFactory
) -> None:
    scene = scene_factory((300,))
    local = (scene.means[0] * extent / scene.means.abs().max()).double()
    files = sog_files(scene)
    world = (local + where)[morton_order(scene.means[0].numpy()).copy()].numpy()
    logs = np.sign(world) * np.log1p(np.abs(world))
    low, high = logs.min(0), logs.max(0)
    steps = np.rint((logs - low) / (high - low) * 65535).astype(np.uint16)
    meta = json.loads(files["meta.json"])
    meta["means"] |= {"mins": low.tolist(), "maxs": high.tolist()}
    files["meta.json"] = json.dumps(meta).encode()
    for name, part in (("means_l.webp", steps & 255), ("means_u.webp", steps >> 8)):
        files[name] = pixels_to_webp(part.astype(np.uint8))
    with zipfile.ZipFile(tmp_path / "a.sog", "w") as bundle:
        for name, data in files.items():
            bundle.writestr(name, data)
    asset = read_asset(tmp_path / "a.sog")
    turn = np.array([1, -1, -1])
    found = (asset.scene.means[0].double().numpy() + np.array(asset.metadata.offset)) * turn
    step = (high - low).max() / 65535 * where
    single = 0 if any(asset.metadata.offset) else float(np.spacing(np.float32(where)))
    assert np.abs(found - world).max() < 0.6 * step + 1e-7 * extent + single


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.sog").write_bytes(b"not a zip")
    with pytest.raises(FormatError, match=r"a\.sog is not a readable \.sog archive"):
        load(tmp_path / "a.sog")


def test_files_in_a_folder_are_read_packed_or_not(tmp_path: Path, scene_factory: SceneFactory) -> None:
    export(scene_factory(), tmp_path / "whole.sog")
    expected = load(tmp_path / "whole.sog").means
    with zipfile.ZipFile(tmp_path / "whole.sog") as bundle:
        bundle.extractall(tmp_path / "apart")
        files = {name: bundle.read(name) for name in bundle.namelist()}
    assert torch.equal(load(tmp_path / "apart" / "meta.json").means, expected)
    with zipfile.ZipFile(tmp_path / "outer.sog", "w") as bundle:
        for name, data in files.items():
            bundle.writestr(f"my scan/{name}", data)
        bundle.writestr("__MACOSX/my scan/meta.json", b"resource fork")
    assert torch.equal(load(tmp_path / "outer.sog").means, expected)


def test_a_folder_that_lacks_an_image_or_names_one_elsewhere_is_refused(
    tmp_path: Path, scene_factory: SceneFactory
) -> None:
    export(scene_factory(), tmp_path / "whole.sog")
    with zipfile.ZipFile(tmp_path / "whole.sog") as bundle:
        bundle.extractall(tmp_path / "apart")
    meta = tmp_path / "apart" / "meta.json"
    content = json.loads(meta.read_bytes())
    elsewhere = content | {"quats": content["quats"] | {"files": ["../quats.webp"]}}
    meta.write_text(json.dumps(elsewhere))
    with pytest.raises(FormatError, match=r"meta.json: it names '../quats.webp'; expected a file in its folder"):
        load(meta)
    meta.write_text(json.dumps(content))
    (tmp_path / "apart" / content["quats"]["files"][0]).unlink()
    with pytest.raises(FormatError, match=r"it lacks quats.webp"):
        load(meta)
