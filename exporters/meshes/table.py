"""The table of mesh formats, one row each with its encoder, and the one function that writes any of them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import trimesh

from hgs_toolkit.errors import ConfigError, FormatError
from hgs_toolkit.exporters.meshes.color import color_kind
from hgs_toolkit.exporters.meshes.files.glb import encode_glb
from hgs_toolkit.exporters.meshes.files.obj import encode_obj
from hgs_toolkit.exporters.meshes.files.ply import encode_ply
from hgs_toolkit.exporters.meshes.files.stl import encode_stl
from hgs_toolkit.exporters.meshes.files.vox import encode_vox
from hgs_toolkit.exporters.meshes.placement import VOXEL, MeshPlacement, place_meshes
from hgs_toolkit.files import atomic_path, refuse_existing, refuse_overwrite

Meshes = dict[str, trimesh.Trimesh]
"""Levels of detail by name, the finest first."""


@dataclass(frozen=True)
class MeshFormat:
    """One row of the table of mesh formats.

    Attributes:
        suffix: lower case.
        encode: the bytes of each file, from placed meshes, the files' names, and whether they are unlit (.glb alone).
        unit: what one unit of length in the file is: one of ``placement.UNITS``, or VOXEL.
        up: the axis that points up.
        floor: whether the mesh stands on height 0, as slicers want it.
        colors: the kinds of colour the format holds.
        levels: whether it holds several levels of detail.
        beside: suffixes of the further files of a textured mesh.
    """

    suffix: str
    encode: Callable[[Meshes, list[str], bool], list[bytes]]
    unit: str = "metre"
    up: str = "y"
    floor: bool = False
    colors: tuple[str, ...] = ("vertex", "none")
    levels: bool = False
    beside: tuple[str, ...] = ()

    def placement(self, up: str | None = None, size: float | None = None) -> MeshPlacement:
        """Where a mesh lies in such a file; ``up`` and ``size`` replace the format's own."""
        return MeshPlacement(up or self.up, self.unit, size, self.floor)

    def files(self, path: Path, *, textured: bool) -> list[Path]:
        """The files that writing to ``path`` makes, ``path`` first."""
        return [path, *(path.with_suffix(suffix) for suffix in self.beside if textured)]


def _only(meshes: Meshes) -> trimesh.Trimesh:
    """The mesh of a format without levels of detail."""
    return next(iter(meshes.values()))


MESH_FORMATS = (
    MeshFormat(
        ".glb", lambda meshes, _, unlit: [encode_glb(meshes, unlit=unlit)],
        colors=("vertex", "texture", "none"), levels=True,
    ),
    MeshFormat(".ply", lambda meshes, _, __: [encode_ply(_only(meshes))]),
    MeshFormat(
        ".obj", lambda meshes, names, _: encode_obj(_only(meshes), names),
        colors=("vertex", "texture", "none"), beside=(".mtl", ".png"),
    ),
    MeshFormat(
        ".stl", lambda meshes, _, __: [encode_stl(_only(meshes))],
        unit="millimetre", up="z", floor=True, colors=("none",),
    ),
    MeshFormat(".vox", lambda meshes, _, __: [encode_vox(_only(meshes))], unit=VOXEL, up="z"),
)  # fmt: skip


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
    """Raise if such a mesh cannot be written to ``path``: the suffix is unknown, the format holds no texture or no
    levels, or a file is in the way. Vertex colours are left out where a format (.stl) has none; that is no error."""
    known = mesh_format_of(path)
    if color == "texture" and color not in known.colors:
        raise ConfigError(f"{known.suffix} files hold no texture; write .glb or .obj, or use --color vertex")
    if levels and not known.levels:
        raise ConfigError(f"{known.suffix} files hold one mesh; levels of detail need .glb")
    for target in known.files(path, textured=color == "texture"):
        refuse_overwrite(target, force=force)


def write_mesh(
    path: str | Path, meshes: trimesh.Trimesh | Meshes, placement: MeshPlacement | None = None, *,
    unlit: bool = False, overwrite: bool = False,
) -> list[Path]:  # fmt: skip
    """Write a mesh, or levels of detail by name (finest first, .glb only), in the format of the path's suffix.

    Args:
        meshes: in scene units, y up, as :func:`hgs_toolkit.mesh` makes them.
        placement: how it lies in the file; None is the format's own unit and up axis.
        unlit: .glb only: show colours as they are, without lamps.
        overwrite: replace existing files.

    Returns:
        The files written: one, or three for an .obj with a texture.

    Raises:
        FormatError, ConfigError: as :func:`check_mesh_output`.
        HgsError: if a file cannot be written, or exists and ``overwrite`` is false.
    """
    path = Path(path)
    named = {path.stem: meshes} if isinstance(meshes, trimesh.Trimesh) else meshes
    textured = color_kind(_only(named)) == "texture"
    check_mesh_output(path, color="texture" if textured else "vertex", levels=len(named) > 1)
    for target in mesh_format_of(path).files(path, textured=textured):
        refuse_existing(target, overwrite=overwrite)
    contents = encode_mesh(path, named, placement, unlit=unlit)
    with ExitStack() as stack:
        temporary = [stack.enter_context(atomic_path(target)) for target in contents]
        for file, content in zip(temporary, contents.values(), strict=True):
            file.write_bytes(content)
    return list(contents)


def encode_mesh(
    path: Path, meshes: Meshes, placement: MeshPlacement | None = None, *, unlit: bool = False
) -> dict[Path, bytes]:
    """The content of every file that :func:`write_mesh` would write."""
    known = mesh_format_of(path)
    placement = placement or known.placement()
    if VOXEL in (known.unit, placement.unit) and known.unit != placement.unit:
        raise ConfigError(f"a placement in {placement.unit}s was given for {path}, which is in {known.unit}s; "
                          "make it with mesh_format_of(path).placement()")  # fmt: skip
    targets = known.files(path, textured=color_kind(_only(meshes)) == "texture")
    placed = place_meshes(meshes, placement)
    return dict(zip(targets, known.encode(placed, [target.name for target in targets], unlit), strict=True))
