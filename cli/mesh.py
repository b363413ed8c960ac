"""``hgs mesh``: triangles from Gaussians."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hgs_toolkit.cli.console import Device, Force, JsonProgress, Reporter, parse_bytes, reporting
from hgs_toolkit.cli.given import refuse_unused
from hgs_toolkit.cli.sources import AssetArgument, DropInvalid, Levels, Psi, check_asset, open_asset, parse_levels
from hgs_toolkit.conventions import DEFAULT_PSI
from hgs_toolkit.exporters.meshes.settings import (
    DEFAULT_FACES,
    MAX_TEXTURED_FACES,
    Collision,
    Color,
    Keep,
    MeshSettings,
    Method,
)

if TYPE_CHECKING:
    from trimesh import Trimesh

    from hgs_toolkit.exporters.meshes.placement import MeshPlacement


def mesh(
    context: typer.Context,
    asset: AssetArgument,
    out: Annotated[
        Path,
        typer.Argument(
            metavar="OUT",
            help="A .glb, .ply or .obj (metres, y up), .stl (millimetres, z up, on the floor) or .vox (voxels).",
        ),
    ],
    method: Annotated[
        Method, typer.Option("--method", help="surface: a closed solid; shell: the density's double wall.")
    ] = MeshSettings.method,
    resolution: Annotated[
        int, typer.Option("--resolution", help="Grid points along the longest side.")
    ] = MeshSettings.resolution,
    faces: Annotated[
        int | None,
        typer.Option(
            "--faces",
            min=0,
            help=f"Triangles to reduce to; 0 keeps all; default: {DEFAULT_FACES}, with a texture {MAX_TEXTURED_FACES}.",
        ),
    ] = MeshSettings.faces,
    color: Annotated[
        Color, typer.Option("--color", help=f"How colours are stored; texture: at most {MAX_TEXTURED_FACES} faces.")
    ] = MeshSettings.color,
    lods: Annotated[
        bool, typer.Option("--lods", help=".glb: levels of detail, for every k a mesh of the levels 0 to k.")
    ] = False,
    size: Annotated[
        float | None,
        typer.Option(
            "--size", help="Longest side, in the file's unit; default: a scene unit is 1 m, or --resolution voxels."
        ),
    ] = None,
    up: Annotated[
        Literal["y", "z"] | None,
        typer.Option("--up", help="Axis that points up; default: z for .stl and .vox, y for others."),
    ] = None,
    keep: Annotated[
        Keep, typer.Option("--keep", help="Keep the largest part, or all parts but crumbs.")
    ] = MeshSettings.keep,
    outset: Annotated[
        float | None,
        typer.Option(
            "--outset",
            help="surface: standard deviations by which it lies outside the Gaussians' centres; default: as seen.",
        ),
    ] = MeshSettings.outset,
    level: Annotated[
        float | None, typer.Option("--level", help="shell: the density at the surface; default: by Otsu's method.")
    ] = None,
    max_bytes: Annotated[
        str | None,
        typer.Option("--max-bytes", help="Most bytes of all files, such as 500k or 2M: triangles and texture shrink."),
    ] = None,
    collision: Annotated[
        Collision | None,
        typer.Option("--collision", help="Also write OUT's .collision.obj: one convex hull, or several (coacd)."),
    ] = None,
    levels: Levels = None,
    unlit: Annotated[bool, typer.Option("--unlit", help=".glb: show colours as they are, without lamps.")] = False,
    report: Annotated[Path | None, typer.Option("--report", help="Write the mesh's facts to this .json file.")] = None,
    drop_invalid: DropInvalid = False,
    psi: Psi = DEFAULT_PSI,
    device: Device = "auto",
    force: Force = False,
    json_progress: JsonProgress = False,
) -> None:
    """Make a triangle mesh of an asset."""
    with reporting(json_progress) as console:
        refuse_unused(context, asset)
        check_asset(asset)
        for path in (out, report):
            if path is not None:
                console.claim(path)
        from hgs_toolkit.devices import choose_device
        from hgs_toolkit.errors import ConfigError
        from hgs_toolkit.exporters.meshes.budget import mesh_within
        from hgs_toolkit.exporters.meshes.collision import (
            check_collision,
            collision_hulls,
            collision_path,
            write_collision,
        )
        from hgs_toolkit.exporters.meshes.meshing import build_mesh, mesh_levels, reconstruct
        from hgs_toolkit.exporters.meshes.table import check_mesh_output, encode_mesh, mesh_format_of, write_mesh
        from hgs_toolkit.exporters.table import chosen_levels
        from hgs_toolkit.files import refuse_overwrite

        def bytes_of(made: Trimesh) -> int:
            return sum(map(len, encode_mesh(out, {out.stem: made}, placement, unlit=unlit).values()))

        file_format = mesh_format_of(out)
        # Colours that the format cannot hold are not computed; a texture is refused below.
        wanted: Color = color if color == "texture" or color in file_format.colors else "none"
        settings = MeshSettings(method, resolution, faces, wanted, keep, level, outset)
        placement = file_format.placement(up, size)
        check_mesh_output(out, color=color, levels=lods, force=force)
        if unlit and out.suffix.lower() != ".glb":
            raise ConfigError(f"{out.suffix} files have no unlit materials; --unlit needs .glb")
        budget = None if max_bytes is None else parse_bytes(max_bytes, "--max-bytes")
        if budget is not None and (lods or out.suffix.lower() == ".vox"):
            raise ConfigError("--max-bytes reduces the triangles of one mesh; leave out --lods, and give .vox files "
                              "a lower --resolution")  # fmt: skip
        if collision:
            check_collision(collision)
            console.claim(collision_path(out))
            refuse_overwrite(collision_path(out), force=force)
        if report:
            refuse_overwrite(report, force=force)
        scene = chosen_levels(
            open_asset(asset, psi, device, drop_invalid=drop_invalid).scene.to(choose_device(device)),
            parse_levels(levels),
        )
        with console.progress("meshing"):
            if lods:
                meshes = mesh_levels(scene, settings)
            elif budget is None:
                meshes = {out.stem: build_mesh(scene, settings)}
            else:
                meshes = {out.stem: mesh_within(reconstruct(scene, settings), budget, bytes_of)}
            first = next(iter(meshes.values()))
            hulls = collision_hulls(first, collision) if collision else []
        for path in write_mesh(out, meshes, placement, unlit=unlit, overwrite=force):
            console.file(path)
        if hulls:
            console.file(write_collision(out, first, hulls, placement, force=force), hulls=len(hulls))
        _describe(console, meshes, placement, report, force)


def _describe(
    console: Reporter, meshes: dict[str, Trimesh], placement: MeshPlacement, path: Path | None, force: bool
) -> None:
    """One line about each mesh, and the report if one is wanted."""
    from hgs_toolkit.exporters.meshes.report import describe_meshes
    from hgs_toolkit.files import write_json

    facts = describe_meshes(meshes, placement)
    for name, fact in facts.items():
        state = "solid" if fact["solid"] else "not solid"
        size = " x ".join(f"{side:.3g}" for side in fact["size"])
        parts = "1 part" if fact["parts"] == 1 else f"{fact['parts']} parts"
        console.note(f"{name}: {state}, {fact['faces']} triangles, {size} {fact['unit']}s, {parts}")
    if path:
        first = next(iter(facts.values()))
        write_json(path, first | ({"levels": facts} if len(facts) > 1 else {}), force=force)
        console.file(path)
