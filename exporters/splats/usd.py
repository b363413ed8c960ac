"""OpenUSD (.usdc binary, .usda text): a prim of type ParticleField3DGaussianSplat, of the schema UsdVol since 26.03.

Positions, orientations, linear scales and opacities are arrays. Colours are harmonics grouped by Gaussian, the constant
one first, in the order and with the signs of 3D-GS. The stage is ``y_up``. With the option ``lods``, the prim has a
variant set ``LOD`` whose variants are whole scenes, and the finest is selected. Needs usd-core (extra ``usd``).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from hgs_toolkit.encoding import (
    log_scales_to_scales,
    logits_to_opacities,
    normalize_quats,
    opacities_to_logits,
    scales_to_log_scales,
    sh_bases,
)
from hgs_toolkit.errors import FormatError, HgsError, MissingExtraError, ShapeError
from hgs_toolkit.exporters.limits import most_content
from hgs_toolkit.exporters.options import ExportOptions
from hgs_toolkit.exporters.splats import usd_child
from hgs_toolkit.exporters.splats.lods import levels_of_detail
from hgs_toolkit.exporters.splats.reading import Reading
from hgs_toolkit.exporters.splats.stored import with_finite_sizes
from hgs_toolkit.exporters.splats.transform import Matrix, transform_scenes
from hgs_toolkit.gaussians import GaussianHierarchy, concatenate
from hgs_toolkit.version import program_name

PRIM = "/gaussians"
"""Path of the prim that is written."""

VARIANTS = "LOD"
"""Name of the variant set that holds levels of detail."""

REACH = 3.0
"""Standard deviations from its centre at which a Gaussian ends, for the prim's extent."""

MAX_DEGREE = 3
"""Greatest degree of spherical harmonics that is read."""

SECONDS, LEAST_SPEED = 60, 10**6
"""Time in seconds that a file may take to be read, and the number of bytes that add a second to it."""

FROM_OUTSIDE = {getattr(signal, name, None) for name in ("SIGTERM", "SIGKILL", "SIGINT", "SIGHUP", "SIGQUIT")}
"""Signals that a person, or a machine short of memory, sends to a process; a damaged file ends it by other signals."""

REASONS = {int(signal.SIGABRT): "it asks for more memory than a file of its size may need, or contradicts itself"}
"""Reasons for which USD ends the process, by the number of the signal."""

Arrays = dict[str, NDArray[np.float32]]

Y_UP_FROM_Z_UP = np.array([[1, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]], np.float64)


def write_usd(path: Path, scene: GaussianHierarchy, options: ExportOptions) -> None:
    """Write one scene, or its levels of detail as variants.

    Raises:
        MissingExtraError: if usd-core is not installed.
    """
    pxr = _pxr()
    scene = scene.detach().to("cpu", torch.float32)
    scene = scene.replace(log_scales=with_finite_sizes(scene.log_scales, path.suffix))
    stage = pxr.Usd.Stage.CreateInMemory()
    pxr.UsdGeom.SetStageUpAxis(stage, pxr.UsdGeom.Tokens.y)
    pxr.UsdGeom.SetStageMetersPerUnit(stage, 1.0)
    stage.GetRootLayer().comment = program_name()
    prim = stage.DefinePrim(PRIM, usd_child.TYPE)
    stage.SetDefaultPrim(prim)
    if any(options.offset):  # transforms are doubles, positions are not
        pxr.UsdGeom.Xformable(prim).AddTranslateOp().Set(pxr.Gf.Vec3d(*options.offset))
    if options.lods:
        variants = prim.GetVariantSets().AddVariantSet(VARIANTS)
        for lod in levels_of_detail(scene):
            variants.AddVariant(lod.name)
            variants.SetVariantSelection(lod.name)  # the last one is the finest, and stays selected
            with variants.GetVariantEditContext():
                _set(pxr, prim, lod.scene)
    else:
        _set(pxr, prim, scene)
    stage.GetRootLayer().Export(str(path))


def read_usd(path: Path) -> Reading:
    """Read all Gaussians of a stage, written by any program, with its default variants and its transforms.

    Another process with bounded memory opens the file, because some damaged files make USD end the process, and others
    make it take gigabytes.

    Raises:
        MissingExtraError: if usd-core is not installed.
        FormatError: if the file is broken, refers to other files or holds no Gaussians.
        HgsError: if the other process was ended from outside.
    """
    _pxr()
    try:
        arrays, found = _read_apart(path)
        turn = Y_UP_FROM_Z_UP if found["z_up"] else np.eye(4)
        parts = [_part(arrays, index, prim, turn) for index, prim in enumerate(found["prims"])]
        scenes, offset = transform_scenes(path, parts)
        return Reading(scenes[0] if len(scenes) == 1 else concatenate(scenes), offset)
    except (FormatError, ShapeError) as error:
        raise FormatError(f"{path}: {error}") from error


def _read_apart(path: Path) -> tuple[Arrays, dict[str, Any]]:
    """Read the file in a child process; returns its arrays by name and the other facts about its prims."""
    size = path.stat().st_size
    seconds = SECONDS + size / LEAST_SPEED
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "found.safetensors"
        command = [sys.executable, "-I", usd_child.__file__, str(path.resolve()), str(out), str(most_content(size))]
        quiet = subprocess.DEVNULL
        try:
            done = subprocess.run(
                command, env=os.environ | usd_child.ENVIRONMENT, stdin=quiet, stdout=quiet, stderr=quiet,
                timeout=seconds, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise FormatError(f"it is not a readable USD file: USD had not read it after {seconds:.0f} s") from None
        if -done.returncode in FROM_OUTSIDE:
            name = signal.Signals(-done.returncode).name
            raise HgsError(f"{path} was not read: the process that read it was ended from outside ({name}); try again")
        return _found(out, done.returncode)


def _found(out: Path, status: int) -> tuple[Arrays, dict[str, Any]]:
    """The arrays and facts in the child's file ``out``; raises a FormatError if the child failed."""
    try:
        with safe_open(out, framework="np") as file:
            entries = file.metadata() or {}
            if "error" not in entries:
                return {name: file.get_tensor(name) for name in file.keys()}, json.loads(entries["stage"])  # noqa: SIM118
    except (SafetensorError, OSError, KeyError) as error:
        reason = REASONS.get(-status, f"status {status}")
        raise FormatError(f"it is not a readable USD file: USD itself failed on it ({reason})") from error
    raise FormatError(entries["error"])


def _part(arrays: Arrays, index: int, prim: dict[str, Any], turn: Matrix) -> tuple[GaussianHierarchy, Matrix]:
    """The Gaussians of one prim, and the matrix (4, 4) that maps them to the world."""
    means, quats, scales, opacities, sh = (torch.from_numpy(arrays[f"{index} {name}"]) for name in usd_child.WIDTHS)
    degree = prim["degree"]
    if degree not in range(MAX_DEGREE + 1):
        raise FormatError(f"its harmonics are of degree {degree}; expected 0 to {MAX_DEGREE}")
    counts = (len(means), len(quats), len(scales), len(opacities), len(sh) / sh_bases(degree))
    if len(set(counts)) > 1:
        raise FormatError(f"its arrays have different lengths: {', '.join(f'{count:g}' for count in counts)}")
    scene = GaussianHierarchy(
        means=means[None], log_scales=scales_to_log_scales(scales)[None], quats=quats.roll(1, -1)[None],
        sh=sh.view(1, len(means), -1, 3), opacity_logits=opacities_to_logits(opacities[:, 0])[None],
        check_finite=False,
    )  # fmt: skip
    matrix = turn @ np.array(prim["matrix"])
    if not np.isfinite(matrix).all():
        raise FormatError("a transform is not finite")
    return scene, matrix


def _pxr() -> Any:
    """The modules of usd-core, which are imported only when they are needed."""
    try:
        import pxr
        from pxr import Gf, Sdf, Tf, Usd, UsdGeom, UsdVol, Vt
    except ImportError:
        raise MissingExtraError("usd-core", "usd", "reading and writing .usdc and .usda") from None
    modules = ModuleType("pxr")
    modules.__dict__.update(Gf=Gf, Sdf=Sdf, Tf=Tf, Usd=Usd, UsdGeom=UsdGeom, UsdVol=UsdVol, Vt=Vt, package=pxr)
    return modules


def _set(pxr: Any, prim: Any, scene: GaussianHierarchy) -> None:
    """Set the attributes of a prim in the variant that is being edited."""
    vt, field = pxr.Vt, pxr.UsdVol.ParticleField3DGaussianSplat(prim)
    means, scales = scene.means[0], log_scales_to_scales(scene.log_scales[0])
    reach = REACH * scales.amax(-1, keepdim=True)
    extent = torch.stack([(means - reach).amin(0), (means + reach).amax(0)])
    quats = normalize_quats(scene.quats[0]).roll(-1, -1)  # i, j, k, real, as they lie in memory
    values = {
        "positions": vt.Vec3fArray.FromNumpy(_array(means)),
        "orientations": vt.QuatfArray.FromNumpy(_array(quats)),
        "scales": vt.Vec3fArray.FromNumpy(_array(scales)),
        "opacities": vt.FloatArray.FromNumpy(_array(logits_to_opacities(scene.opacity_logits[0]))),
        "radiance:sphericalHarmonicsDegree": scene.sh_degree,
        "radiance:sphericalHarmonicsCoefficients": vt.Vec3fArray.FromNumpy(_array(scene.sh[0].flatten(0, 1))),
        "extent": vt.Vec3fArray.FromNumpy(_array(extent)),
        "projectionModeHint": "perspective",
        "sortingModeHint": "cameraDistance",
    }
    for name, value in values.items():
        field.GetPrim().GetAttribute(name).Set(value)


def _array(values: torch.Tensor) -> NDArray[np.float32]:
    return np.ascontiguousarray(values.numpy(), np.float32)
