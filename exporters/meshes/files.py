"""Mesh files: one row a format with its unit and up axis. GLB has a file of its own; the others are short."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import trimesh
from plyfile import PlyData, PlyElement

from hgs_toolkit.errors import ConfigError, FormatError
from hgs_toolkit.exporters.meshes.color import color_kind, texture, vertex_colors
from hgs_toolkit.exporters.meshes.glb import write_glb
from hgs_toolkit.exporters.meshes.placement import Placement, place
from hgs_toolkit.files import atomic_path, refuse_overwrite

Meshes = dict[str, trimesh.Trimesh]


@dataclass(frozen=True)
class MeshFormat:
    """One row of the table of mesh formats.

    Attributes:
        suffix: lower case.
        unit: what one unit of length in the file is, see ``mesh_placement.UNITS``.
        up: the axis that points up.
        floor: whether the mesh stands on height 0, as slicers want it.
        colors: which kinds of colour it holds.
        levels: whether it holds several levels of detail.
        beside: suffixes of the files it brings along when it has a texture.
    """

    suffix: str
    unit: str = "metre"
    up: str = "y"
    floor: bool = False
    colors: tuple[str, ...] = ("vertex", "none")
    levels: bool = False
    beside: tuple[str, ...] = ()

    def placement(self, up: str | None = None, size: float | None = None) -> Placement:
        """Where a mesh lies in such a file, unless said otherwise."""
        return Placement(up or self.up, self.unit, size, self.floor)


MESH_FORMATS = (
    MeshFormat(".glb", colors=("vertex", "texture", "none"), levels=True),
    MeshFormat(".ply"),
    MeshFormat(".obj", colors=("vertex", "texture", "none"), beside=(".mtl", ".png")),
    MeshFormat(".stl", unit="millimetre", up="z", floor=True, colors=("none",)),
)


def mesh_format_of(path: Path) -> MeshFormat:
    """The format of the path's suffix.

    Raises:
        FormatError: if there is none.
    """
    for known in MESH_FORMATS:
        if path.suffix.lower() == known.suffix:
            return known
    names = ", ".join(known.suffix for known in MESH_FORMATS)
    raise FormatError(f"{path} has the suffix '{path.suffix}', which is no mesh format; expected one of: {names}")


def check_mesh_output(path: Path, *, color: str = "vertex", levels: bool = False, force: bool = True) -> None:
    """Raise if such a mesh cannot be written to ``path``: wrong suffix, a texture or levels it cannot hold, a file in
    the way. Colours that a format cannot hold at all (.stl) are left out without complaint."""
    known = mesh_format_of(path)
    if color == "texture" and color not in known.colors:
        raise ConfigError(f"{known.suffix} files hold no texture; write .glb or .obj, or use --color vertex")
    if levels and not known.levels:
        raise ConfigError(f"{known.suffix} files hold one mesh; levels of detail need .glb")
    for target in _files(path, known, color == "texture"):
        refuse_overwrite(target, force=force)


def write_mesh(
    path: str | Path, meshes: trimesh.Trimesh | Meshes, placement: Placement | None = None, *,
    unlit: bool = False, force: bool = True,
) -> list[Path]:  # fmt: skip
    """Write a mesh, or levels of detail by name (finest first, .glb only), in the format of the path's suffix.

    Args:
        meshes: in scene units, y up, as :func:`hgs_toolkit.mesh` makes them.
        placement: how it lies in the file; None is the format's own unit and up axis.
        unlit: .glb only: show colours as they are, without lamps.
        force: replace existing files.

    Returns:
        The files written: one, or three for an .obj with a texture.

    Raises:
        FormatError, ConfigError: as :func:`check_mesh_output`.
        HgsError: if a file cannot be written.
    """
    path, known = Path(path), mesh_format_of(Path(path))
    named = {path.stem: meshes} if isinstance(meshes, trimesh.Trimesh) else meshes
    textured = color_kind(next(iter(named.values()))) == "texture"
    check_mesh_output(path, color="texture" if textured else "vertex", levels=len(named) > 1, force=force)
    placed = place(named, placement or known.placement())
    targets = _files(path, known, textured)
    with ExitStack() as stack:
        temporary = [stack.enter_context(atomic_path(target, force=force)) for target in targets]
        if known.suffix == ".glb":
            write_glb(temporary[0], placed, unlit=unlit)
        else:
            WRITERS[known.suffix](temporary, targets, next(iter(placed.values())))
    return targets


def _files(path: Path, known: MeshFormat, textured: bool) -> list[Path]:
    return [path, *(path.with_suffix(suffix) for suffix in known.beside if textured)]


def _write_ply(temporary: list[Path], _: list[Path], mesh: trimesh.Trimesh) -> None:
    """Binary: position, normal and colour of each vertex, faces as lists of three."""
    kinds = [(name, "<f4") for name in ("x", "y", "z", "nx", "ny", "nz")]
    columns = [*np.asarray(mesh.vertices).T, *np.asarray(mesh.vertex_normals).T]
    colors = vertex_colors(mesh)
    if colors is not None:
        kinds += [(name, "u1") for name in ("red", "green", "blue")]
        columns += [*colors.T]
    vertices = np.empty(len(mesh.vertices), kinds)
    for (name, _kind), column in zip(kinds, columns, strict=True):
        vertices[name] = column
    faces = np.empty(len(mesh.faces), [("vertex_indices", "<i4", (3,))])
    faces["vertex_indices"] = mesh.faces
    elements = [PlyElement.describe(vertices, "vertex"), PlyElement.describe(faces, "face")]
    PlyData(elements, byte_order="<").write(str(temporary[0]))


def _write_obj(temporary: list[Path], targets: list[Path], mesh: trimesh.Trimesh) -> None:
    """Text: vertices (with sRGB colours behind the position, as MeshLab and Blender read them), UVs, normals, faces."""
    picture, colors = texture(mesh), vertex_colors(mesh)
    rows = np.asarray(mesh.vertices)
    if colors is not None:
        rows = np.concatenate([rows, colors / 255.0], axis=1)
    corner, indices = ("%d//%d", 2) if picture is None else ("%d/%d/%d", 3)
    corners = np.repeat(np.asarray(mesh.faces) + 1, indices, axis=1)  # (F, 3 * indices): all of a corner are the same
    with open(temporary[0], "w", encoding="utf-8", newline="\n") as file:
        if picture is not None:
            file.write(f"mtllib {targets[1].name}\nusemtl surface\n")
        np.savetxt(file, rows, "v" + rows.shape[1] * " %.7g")
        if picture is not None:
            np.savetxt(file, picture.uvs, "vt %.7g %.7g")
        np.savetxt(file, mesh.vertex_normals, "vn %.5f %.5f %.5f")
        np.savetxt(file, corners, "f " + " ".join([corner] * 3))
    if picture is not None:
        temporary[1].write_text(f"newmtl surface\nKd 1 1 1\nillum 1\nmap_Kd {targets[2].name}\n", encoding="utf-8")
        picture.image.save(temporary[2], format="PNG")


def _write_stl(temporary: list[Path], _: list[Path], mesh: trimesh.Trimesh) -> None:
    """Binary: an 80-byte header, the count, and 50 bytes a triangle: normal, three corners, two bytes of nothing."""
    triangles = np.zeros(len(mesh.faces), [("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("rest", "<u2")])
    triangles["normal"], triangles["corners"] = mesh.face_normals, mesh.triangles
    header = b"hgs_toolkit, millimetres, z up".ljust(80)
    temporary[0].write_bytes(header + np.uint32(len(triangles)).astype("<u4").tobytes() + triangles.tobytes())


WRITERS: dict[str, Callable[[list[Path], list[Path], trimesh.Trimesh], None]] = {
    ".ply": _write_ply, ".obj": _write_obj, ".stl": _write_stl,
}  # fmt: skip
