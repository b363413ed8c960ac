"""Hierarchical Gaussian GANs: train, sample, render, export.

The names below are the public ones; each is imported when it is first used, so that ``import hgs_toolkit`` costs
nothing and loads neither torch nor the command line.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hgs_toolkit.asset import Asset as Asset
    from hgs_toolkit.asset import AssetMetadata as AssetMetadata
    from hgs_toolkit.asset import load_asset as load_asset
    from hgs_toolkit.asset import save_asset as save_asset
    from hgs_toolkit.cameras import Cameras as Cameras
    from hgs_toolkit.cameras import ellipse as ellipse
    from hgs_toolkit.cameras import from_yaw_pitch as from_yaw_pitch
    from hgs_toolkit.cameras import frontal as frontal
    from hgs_toolkit.cameras import orbit as orbit
    from hgs_toolkit.checkpoint import load_model as load_model
    from hgs_toolkit.checkpoint import save_model as save_model
    from hgs_toolkit.errors import HgsError as HgsError
    from hgs_toolkit.exporters.meshes.meshing import mesh as mesh
    from hgs_toolkit.exporters.meshes.table import write_mesh as write_mesh
    from hgs_toolkit.exporters.table import export as export
    from hgs_toolkit.exporters.table import load as load
    from hgs_toolkit.gaussians import GaussianCloud as GaussianCloud
    from hgs_toolkit.gaussians import GaussianHierarchy as GaussianHierarchy
    from hgs_toolkit.model.generator import Generator as Generator
    from hgs_toolkit.model_files import model_config as model_config
    from hgs_toolkit.pose_prior import PosePrior as PosePrior
    from hgs_toolkit.ranges import parse_seeds as parse_seeds
    from hgs_toolkit.rendering import rasterize as rasterize
    from hgs_toolkit.rendering import render as render
    from hgs_toolkit.sampling import interpolate as interpolate
    from hgs_toolkit.sampling import mix as mix
    from hgs_toolkit.sampling import sample as sample

__version__: str

_HOMES = {
    "asset": ("Asset", "AssetMetadata", "load_asset", "save_asset"),
    "cameras": ("Cameras", "ellipse", "from_yaw_pitch", "frontal", "orbit"),
    "checkpoint": ("load_model", "save_model"),
    "model_files": ("model_config",),
    "pose_prior": ("PosePrior",),
    "errors": ("HgsError",),
    "exporters.table": ("export", "load"),
    "exporters.meshes.table": ("write_mesh",),
    "exporters.meshes.meshing": ("mesh",),
    "gaussians": ("GaussianCloud", "GaussianHierarchy"),
    "model.generator": ("Generator",),
    "rendering": ("rasterize", "render"),
    "ranges": ("parse_seeds",),
    "sampling": ("interpolate", "mix", "sample"),
}
"""Module below this package where each public name lives; the imports above say the same to type checkers."""

__all__ = sorted(["__version__", *(name for names in _HOMES.values() for name in names)])


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from hgs_toolkit.version import toolkit_version

        return toolkit_version()
    for module, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f"hgs_toolkit.{module}"), name)
    raise AttributeError(f"module 'hgs_toolkit' has no attribute '{name}'")


def __dir__() -> list[str]:
    return __all__
