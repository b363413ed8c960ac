"""The .ply: the INRIA layout byte by byte, round trips, foreign files, and what other programs read in ours."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from plyfile import PlyData, PlyElement

from hgs_toolkit.encoding import MAX_OPACITY_LOGIT, normalize_quats
from hgs_toolkit.errors import FormatError, ShapeError
from hgs_toolkit.exporters.splats.ply.comments import PlyFacts
from hgs_toolkit.exporters.table import export, load
from hgs_toolkit.gaussians import GaussianHierarchy

SceneFactory = Callable[..., GaussianHierarchy]

DC_ONLY = ["x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2", "opacity", "scale_0", "scale_1", "scale_2",
           "rot_0", "rot_1", "rot_2", "rot_3"]  # fmt: skip


BOUNDED = ("scale_x", "scale_y", "scale_z")


def header(path: Path) -> list[str]:
    return path.read_bytes().split(b"end_header\n")[0].decode("ascii").splitlines()


def properties(path: Path) -> list[str]:
    lines = [line.split() for line in header(path) if line.startswith("property")]
    assert all(kind == "float" for _, kind, _ in lines)
    return [name for _, _, name in lines]


def assert_same(loaded: GaussianHierarchy, scene: GaussianHierarchy, atol: float = 1e-6) -> None:
    for name, value in scene.parameters().items():
        expected = normalize_quats(value) if name == "quats" else value
        torch.testing.assert_close(getattr(loaded, name), expected, atol=atol, rtol=0, msg=name)


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
@pytest.mark.parametrize("frame", ["rdf", "y_up"])
def test_a_scene_comes_back_with_its_tree(degree: int, frame: str, tmp_path: Path, scene_factory: SceneFactory) -> None:
    scene = scene_factory(degree=degree, background=3)
    export(scene, tmp_path / "a.ply", extras=True, frame=frame)
    loaded = load(tmp_path / "a.ply")
    assert_same(loaded, scene)
    assert torch.equal(loaded.level, scene.level)
    assert torch.equal(loaded.parent, scene.parent)


def test_a_loaded_scene_does_not_hang_on_its_file(tmp_path: Path, scene: GaussianHierarchy) -> None:
    export(scene, tmp_path / "a.ply")
    loaded = load(tmp_path / "a.ply")
    with open(tmp_path / "a.ply", "r+b") as file:
        file.write(bytes((tmp_path / "a.ply").stat().st_size))
    assert_same(loaded, scene)


def test_without_extras_the_tree_is_flat(tmp_path: Path, scene: GaussianHierarchy) -> None:
    export(scene, tmp_path / "a.ply")
    assert load(tmp_path / "a.ply").level_counts == [scene.num_gaussians]


def test_columns_are_those_of_the_reference_in_its_order(tmp_path: Path, scene_factory: SceneFactory) -> None:
    export(scene_factory(degree=1), tmp_path / "a.ply")
    expected = DC_ONLY[:9] + [f"f_rest_{i}" for i in range(9)] + DC_ONLY[9:]
    assert properties(tmp_path / "a.ply") == expected


def test_options_add_and_drop_columns_where_readers_allow_it(tmp_path: Path, scene: GaussianHierarchy) -> None:
    path = tmp_path / "a.ply"
    export(scene, path, normals=False)
    assert properties(path) == DC_ONLY[:3] + DC_ONLY[6:]
    export(scene, path, extras=True, overwrite=True)
    assert properties(path) == [*DC_ONLY, "level", "parent"]
    export(scene, path, pad_sh=3, overwrite=True)
    assert properties(path) == DC_ONLY[:9] + [f"f_rest_{i}" for i in range(45)] + DC_ONLY[9:]


def test_the_element_stands_on_line_3_as_fixed_layout_viewers_need(tmp_path: Path, scene: GaussianHierarchy) -> None:
    export(scene, tmp_path / "a.ply")
    lines = header(tmp_path / "a.ply")
    assert lines[:3] == ["ply", "format binary_little_endian 1.0", f"element vertex {scene.num_gaussians}"]
    assert lines[3].startswith("comment generator hgs_toolkit ")
    assert sum(line.startswith("element") for line in lines) == 1
    assert b"\r" not in (tmp_path / "a.ply").read_bytes().split(b"end_header")[0]


def test_values_have_the_reference_encoding(tmp_path: Path, scene_factory: SceneFactory) -> None:
    scene = scene_factory((8,), degree=3)
    export(scene, tmp_path / "a.ply")
    vertex = PlyData.read(tmp_path / "a.ply")["vertex"]
    np.testing.assert_array_equal(vertex["y"], -scene.means[0, :, 1].numpy())
    np.testing.assert_array_equal(vertex["scale_2"], scene.log_scales[0, :, 2].numpy())
    np.testing.assert_array_equal(vertex["f_dc_1"], scene.sh[0, :, 0, 1].numpy())
    # Channel-major: the last red coefficient is f_rest_14, x(x^2 - 3y^2), even in y and z.
    np.testing.assert_array_equal(vertex["f_rest_14"], scene.sh[0, :, 15, 0].numpy())
    np.testing.assert_array_equal(vertex["f_rest_15"], -scene.sh[0, :, 1, 1].numpy())
    norms = sum(np.square(vertex[f"rot_{i}"].astype(np.float64)) for i in range(4))
    np.testing.assert_allclose(norms, 1, atol=1e-6)
    assert not vertex["nx"].any()


def test_padding_adds_zeros_that_reading_keeps(tmp_path: Path, scene: GaussianHierarchy) -> None:
    export(scene, tmp_path / "a.ply", pad_sh=3)
    loaded = load(tmp_path / "a.ply")
    assert loaded.sh_degree == 3
    assert not loaded.sh[:, :, 1:].any()
    torch.testing.assert_close(loaded.sh[:, :, :1], scene.sh)


def test_harmonics_above_the_wanted_degree_are_dropped(tmp_path: Path, scene_factory: SceneFactory) -> None:
    scene = scene_factory(degree=3)
    export(scene, tmp_path / "a.ply", sh_degree=1)
    torch.testing.assert_close(load(tmp_path / "a.ply").sh, scene.sh[:, :, :4])
    with pytest.raises(FormatError, match="pad_sh 2 is below the scene's SH degree 3"):
        export(scene, tmp_path / "b.ply", pad_sh=2)


def test_opacities_of_zero_and_one_stay_finite(tmp_path: Path, scene: GaussianHierarchy) -> None:
    export(scene.replace(opacity_logits=torch.full_like(scene.opacity_logits, 1e9)), tmp_path / "a.ply")
    assert load(tmp_path / "a.ply").opacity_logits.max() == MAX_OPACITY_LOGIT


@pytest.mark.parametrize("frame", ["rdf", "y_up"])
def test_nan_is_refused_with_its_count_and_no_file_is_left(
    frame: str, tmp_path: Path, scene: GaussianHierarchy
) -> None:
    means = scene.means.clone()
    means[0, :3, 1] = torch.nan
    broken = GaussianHierarchy(**(scene.parameters() | {"means": means}), check_finite=False)  # type: ignore[arg-type]
    with pytest.raises(ShapeError, match="3 in means"):
        export(broken, tmp_path / "a.ply", frame=frame)
    assert not list(tmp_path.iterdir())


def foreign(path: Path, scene: GaussianHierarchy, kind: str = "f4", text: bool = False, order: str = "<") -> None:
    """A file as other programs write them: columns in another order, colours as extra bytes."""
    parameters = {name: value[0].numpy() for name, value in scene.parameters().items()}
    columns = {f"rot_{i}": parameters["quats"][:, i] * 3 for i in range(4)}
    columns |= {f"scale_{i}": parameters["log_scales"][:, i] for i in range(3)}
    columns |= {"opacity": parameters["opacity_logits"], "red": np.zeros(scene.num_gaussians)}
    columns |= {f"f_dc_{i}": parameters["sh"][:, 0, i] for i in range(3)}
    columns |= {axis: parameters["means"][:, i] for i, axis in enumerate("xyz")}
    table = np.zeros(scene.num_gaussians, [(name, "u1" if name == "red" else kind) for name in columns])
    for name, values in columns.items():
        table[name] = values
    cameras = PlyElement.describe(np.zeros(2, [("id", "i4")]), "camera")
    vertex = PlyElement.describe(table, "vertex")
    PlyData([vertex, cameras], text=text, byte_order=order, comments=["made by hand"]).write(str(path))


@pytest.mark.parametrize("kind", ["f4", "f8"])
@pytest.mark.parametrize(("text", "order"), [(True, "<"), (False, "<"), (False, ">")])
def test_files_of_other_programs_are_read(
    kind: str, text: bool, order: str, tmp_path: Path, scene: GaussianHierarchy
) -> None:
    foreign(tmp_path / "a.ply", scene, kind, text, order)
    loaded = load(tmp_path / "a.ply")
    torch.testing.assert_close(loaded.means, scene.means * torch.tensor([1.0, -1.0, -1.0]))
    torch.testing.assert_close(normalize_quats(loaded.quats)[..., 0], normalize_quats(scene.quats)[..., 0])
    torch.testing.assert_close(loaded.sh, scene.sh)


def test_windows_line_ends_in_the_header_are_read(tmp_path: Path, scene: GaussianHierarchy) -> None:
    export(scene, tmp_path / "a.ply")
    head, body = (tmp_path / "a.ply").read_bytes().split(b"end_header\n", 1)
    (tmp_path / "b.ply").write_bytes(head.replace(b"\n", b"\r\n") + b"end_header\r\n" + body)
    assert_same(load(tmp_path / "b.ply"), scene)


def test_infinite_opacity_of_a_foreign_file_means_opaque(tmp_path: Path, scene: GaussianHierarchy) -> None:
    logits = torch.full_like(scene.opacity_logits, torch.inf)
    parameters = scene.parameters() | {"opacity_logits": logits}
    foreign(tmp_path / "a.ply", GaussianHierarchy(**parameters, check_finite=False))  # type: ignore[arg-type]
    assert load(tmp_path / "a.ply").opacity_logits.eq(MAX_OPACITY_LOGIT).all()


def test_values_beyond_float32_are_refused_with_their_count(tmp_path: Path, scene: GaussianHierarchy) -> None:
    foreign(tmp_path / "a.ply", scene, kind="f8")
    data = PlyData.read(str(tmp_path / "a.ply"))
    data["vertex"]["x"][:7] = 1e300
    data.write(str(tmp_path / "b.ply"))
    with pytest.raises(FormatError, match=r"b\.ply: non-finite values in the Gaussians \(7 in means\)"):
        load(tmp_path / "b.ply")


def test_parents_of_a_reordered_file_are_dropped_with_a_warning(
    tmp_path: Path, scene: GaussianHierarchy, caplog: pytest.LogCaptureFixture
) -> None:
    export(scene, tmp_path / "a.ply", extras=True)
    data = PlyData.read(str(tmp_path / "a.ply"))
    reordered = PlyElement.describe(data["vertex"].data[::-1].copy(), "vertex")
    PlyData([reordered]).write(str(tmp_path / "b.ply"))
    with caplog.at_level(logging.WARNING):
        loaded = load(tmp_path / "b.ply")
    assert torch.equal(loaded.level, scene.level.flip(0))
    assert (loaded.parent == -1).all()
    assert "perhaps another program reordered it" in caplog.text


@pytest.mark.parametrize("keep", [0.999, 0.5, 0.02])
def test_a_truncated_file_is_named_as_such(keep: float, tmp_path: Path, scene: GaussianHierarchy) -> None:
    export(scene, tmp_path / "a.ply")
    content = (tmp_path / "a.ply").read_bytes()
    (tmp_path / "b.ply").write_bytes(content[: int(len(content) * keep)])
    with pytest.raises(FormatError, match=r"b\.ply is (truncated|no \.ply file)"):
        load(tmp_path / "b.ply")


def test_text_that_is_no_number_is_refused(tmp_path: Path, scene: GaussianHierarchy) -> None:
    foreign(tmp_path / "a.ply", scene, text=True)
    (tmp_path / "a.ply").write_bytes((tmp_path / "a.ply").read_bytes().replace(b"end_header\n", b"end_header\nx"))
    with pytest.raises(FormatError, match=r"a\.ply is not a readable \.ply file"):
        load(tmp_path / "a.ply")


@pytest.mark.parametrize("text", [True, False])
def test_a_byte_order_mark_before_the_header_is_no_part_of_it(
    text: bool, tmp_path: Path, scene: GaussianHierarchy
) -> None:
    """Some editors put one before a text that they save."""
    export(scene, tmp_path / "a.ply")
    rows = PlyElement.describe(PlyData.read(tmp_path / "a.ply")["vertex"].data, "vertex")
    PlyData([rows], text=text).write(str(tmp_path / "plain.ply"))
    (tmp_path / "marked.ply").write_bytes(b"\xef\xbb\xbf" + (tmp_path / "plain.ply").read_bytes())
    plain, marked = load(tmp_path / "plain.ply"), load(tmp_path / "marked.ply")
    assert all(torch.equal(marked.parameters()[name], value) for name, value in plain.parameters().items())


@pytest.mark.parametrize("encoding", ["ascii", "binary_little_endian"])
def test_an_impossible_count_is_refused_before_anything_is_allocated(encoding: str, tmp_path: Path) -> None:
    lines = ["ply", f"format {encoding} 1.0", "element vertex 900000000000", *(f"property float {n}" for n in DC_ONLY)]
    (tmp_path / "a.ply").write_text("\n".join([*lines, "end_header", "0 0 0"]))
    with pytest.raises(FormatError, match="truncated"):
        load(tmp_path / "a.ply")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no .ply file"),
        (b"solid stl\n", "no .ply file"),
        (b"ply\nformat ascii 1.0\nelement face 0\nproperty float x\nend_header\n", "no element 'vertex'"),
        (b"ply\nformat ascii 1.0\nelement vertex 9" + b"9" * 5000 + b"\nend_header\n", "its number of rows"),
        (b"ply\nformat ascii 1.0\nproperty float x\nelement vertex 1\nend_header\n", "is no property of its own"),
        (b"ply\nformat ascii 1.0\nelement vertex 1\nproperty real x\nend_header\n0\n", "names an unknown type"),
        (b"ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nend_header\nabc\n", "lacks the columns"),
        (b"ply\nformat ascii 1.0\nelement vertex 1\nproperty list int int x\nend_header\n2 1 1\n", "lacks the columns"),
        (b"ply\nformat odd 1.0\nelement vertex 1\nproperty float x\nend_header\n0 0 0\n", "no line 'format'"),
    ],
)  # fmt: skip
def test_broken_files_get_one_clear_sentence(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.ply").write_bytes(content)
    with pytest.raises(FormatError, match=message):
        load(tmp_path / "a.ply")


@pytest.mark.parametrize(("name", "kind"), [("z", "float"), ("packed_scale", "uint")])
def test_a_list_is_no_column_of_numbers(name: str, kind: str, tmp_path: Path) -> None:
    names = ["packed_position", "packed_rotation", "packed_scale", "packed_color"] if kind == "uint" else DC_ONLY
    columns = [f"property {f'list {kind}' if n == name else ''} {kind} {n}" for n in names]
    bounds = [f"property float {side}_{n}" for side in ("min", "max") for n in ("x", "y", "z", *BOUNDED)]
    chunk = ["element chunk 1", *bounds] if kind == "uint" else []
    lines = ["ply", "format ascii 1.0", "element vertex 1", *columns, *chunk, "end_header"]
    row = " ".join("2 1 1" if n == name else "1" for n in names)
    (tmp_path / "a.ply").write_text("\n".join([*lines, row, " ".join("1" for _ in bounds)]))
    with pytest.raises(FormatError, match=f"lacks the columns '?{name}"):
        load(tmp_path / "a.ply")


def test_a_point_cloud_is_told_from_a_splat_file(tmp_path: Path) -> None:
    points = np.zeros(3, [(axis, "f4") for axis in "xyz"])
    PlyData([PlyElement.describe(points, "vertex")]).write(str(tmp_path / "a.ply"))
    with pytest.raises(FormatError, match="point cloud or mesh, not a Gaussian splat file"):
        load(tmp_path / "a.ply")


def test_trimesh_finds_the_same_points(tmp_path: Path, scene: GaussianHierarchy) -> None:
    import trimesh

    export(scene, tmp_path / "a.ply", extras=True)
    cloud = trimesh.load(tmp_path / "a.ply")
    assert isinstance(cloud, trimesh.PointCloud)
    np.testing.assert_allclose(cloud.vertices, (scene.means[0] * torch.tensor([1.0, -1.0, -1.0])).numpy(), atol=1e-6)


@pytest.mark.parametrize("degree", [0, 3])
def test_gsply_reads_what_we_meant(degree: int, tmp_path: Path, scene_factory: SceneFactory) -> None:
    gsply = pytest.importorskip("gsply")
    scene = scene_factory(degree=degree)
    export(scene, tmp_path / "a.ply", extras=True, frame="y_up")
    data = gsply.plyread(str(tmp_path / "a.ply"))
    np.testing.assert_allclose(data.means, scene.means[0], atol=1e-6)
    np.testing.assert_allclose(data.scales, scene.log_scales[0], atol=1e-6)
    np.testing.assert_allclose(data.quats, normalize_quats(scene.quats[0]), atol=1e-6)
    np.testing.assert_allclose(data.opacities, scene.opacity_logits[0], atol=1e-6)
    np.testing.assert_allclose(data.sh0, scene.sh[0, :, 0], atol=1e-6)
    if degree:
        np.testing.assert_allclose(data.shN, scene.sh[0, :, 1:], atol=1e-6)


def test_we_read_what_gsply_writes(tmp_path: Path, scene_factory: SceneFactory) -> None:
    gsply = pytest.importorskip("gsply")
    scene = scene_factory(degree=2)
    export(scene, tmp_path / "a.ply")
    gsply.plywrite(str(tmp_path / "b.ply"), gsply.plyread(str(tmp_path / "a.ply")))
    assert_same(load(tmp_path / "b.ply"), scene)


@pytest.mark.skipif(sys.platform == "win32", reason="gaussforge is only tried on Linux and macOS")
def test_gaussforge_keeps_our_columns_through_its_own_format(tmp_path: Path, scene: GaussianHierarchy) -> None:
    gaussforge = pytest.importorskip("gaussforge")
    export(scene, tmp_path / "a.ply")
    rewritten = gaussforge.GaussForge().convert((tmp_path / "a.ply").read_bytes(), "ply", "ply")
    (tmp_path / "b.ply").write_bytes(rewritten["data"])
    assert_same(load(tmp_path / "b.ply"), scene, atol=1e-5)


@pytest.mark.parametrize(
    ("comments", "antialiased"),
    [
        (["SplatRenderMode: mip"], True),
        (["splatrendermode: MIP"], True),
        (["SplatRenderMode: default"], False),
        (["antialiased 1"], True),
        (["antialiased 0"], False),
        (["antialiased 1", "SplatRenderMode: default"], False),
        (["SplatRenderModes are many: mip"], False),
    ],
)
def test_brush_and_postshot_say_how_to_draw_and_the_last_word_counts(comments: list[str], antialiased: bool) -> None:
    assert PlyFacts.parse(comments).antialiased is antialiased
