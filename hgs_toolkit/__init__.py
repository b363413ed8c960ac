"""Hierarchical Gaussian GANs: train, sample, render, export.

The names below are the public ones; each is imported when it is first used, so that ``import hgs_toolkit`` costs
nothing and brings in neither torch nor the command line.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hgs_toolkit.asset import Asset, AssetMetadata, load_asset, save_asset
    from hgs_toolkit.cameras import Cameras, PosePrior, ellipse, from_yaw_pitch, frontal, orbit
    from hgs_toolkit.checkpoint import load_model, model_config, save_model
    from hgs_toolkit.errors import HgsError
    from hgs_toolkit.exporters.meshes.meshing import mesh
    from hgs_toolkit.exporters.meshes.table import write_mesh
    from hgs_toolkit.exporters.table import export, load
    from hgs_toolkit.gaussians import GaussianCloud, GaussianHierarchy
    from hgs_toolkit.model.generator import Generator
    from hgs_toolkit.rendering import rasterize, render
    from hgs_toolkit.sampling import interpolate, mix, parse_seeds, sample

__version__: str

__all__ = [
    "Asset",
    "AssetMetadata",
    "Cameras",
    "GaussianCloud",
    "GaussianHierarchy",
    "Generator",
    "HgsError",
    "PosePrior",
    "__version__",
    "ellipse",
    "export",
    "from_yaw_pitch",
    "frontal",
    "interpolate",
    "load",
    "load_asset",
    "load_model",
    "mesh",
    "mix",
    "model_config",
    "orbit",
    "parse_seeds",
    "rasterize",
    "render",
    "sample",
    "save_asset",
    "save_model",
    "write_mesh",
]

_HOMES = {
    "asset": ("Asset", "AssetMetadata", "load_asset", "save_asset"),
    "cameras": ("Cameras", "PosePrior", "ellipse", "from_yaw_pitch", "frontal", "orbit"),
    "checkpoint": ("load_model", "model_config", "save_model"),
    "errors": ("HgsError",),
    "exporters.table": ("export", "load"),
    "exporters.meshes.table": ("write_mesh",),
    "exporters.meshes.meshing": ("mesh",),
    "gaussians": ("GaussianCloud", "GaussianHierarchy"),
    "model.generator": ("Generator",),
    "rendering": ("rasterize", "render"),
    "sampling": ("interpolate", "mix", "parse_seeds", "sample"),
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("hgs_toolkit")
    for module, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f"hgs_toolkit.{module}"), name)
    raise AttributeError(f"module 'hgs_toolkit' has no attribute '{name}'")


def __dir__() -> list[str]:
    return __all__
