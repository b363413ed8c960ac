"""The settings of meshing, with their limits. Nothing heavy is imported here, so that help texts stay quick."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import Literal, get_args

from hgs_toolkit.errors import ConfigError, MissingExtraError

Method = Literal["surface", "shell"]
Color = Literal["vertex", "texture", "none"]
Keep = Literal["largest", "all"]
Collision = Literal["convex", "decomposed"]
METHODS, COLORS, KEEP = get_args(Method), get_args(Color), get_args(Keep)

MIN_RESOLUTION = 16
MAX_RESOLUTION = 2048

MAX_OUTSET = 4.5
"""Largest outset: many layers of Gaussians, of which each has next to nothing there, still cover half of the light at
3.5 to 4 (samples of critters128)."""

MIN_FACES = 100
"""Least number of triangles to ask for: fewer cannot hold handles and holes."""

DEFAULT_FACES = 50_000
"""Number of triangles of a mesh without a texture, unless asked for otherwise."""

MAX_TEXTURED_FACES = 20_000
"""Number of triangles above which unwrapping takes minutes: its time grows faster than their number."""


@dataclass(frozen=True)
class MeshSettings:
    """Settings of meshing. Combinations that cannot work raise a ConfigError when the object is made."""

    method: Method = "surface"
    """``surface``: a closed solid by oriented Poisson reconstruction; ``shell``: the density cut at a level, a double
    wall."""
    resolution: int = 256
    """Grid points along the longest side; time and memory grow with its cube."""
    faces: int | None = None
    """Number of triangles to reduce the mesh to; 0 keeps all, None is 50,000, or 20,000 with a texture."""
    color: Color = "vertex"
    """``vertex`` (sRGB bytes at the vertices), ``texture`` (baked; needs the extra 'texture') or ``none``."""
    keep: Keep = "largest"
    """The ``largest`` part, or ``all`` parts but crumbs of under 1 % of the largest's area."""
    level: float | None = None
    """``shell`` only: the summed opacity at the surface; None chooses it by Otsu's method."""

    outset: float | None = None
    """``surface`` only: how far outside the Gaussians' centres it lies, in their standard deviations across it; None
    lets its outlines decide, which are to be those of the splats (:mod:`hgs_toolkit.exporters.meshes.outlines`)."""

    def __post_init__(self) -> None:
        for name, known in (("method", METHODS), ("color", COLORS), ("keep", KEEP)):
            if getattr(self, name) not in known:
                raise ConfigError(f"{name} '{getattr(self, name)}' is unknown; expected one of: {', '.join(known)}")
        if self.faces and self.faces < MIN_FACES:
            raise ConfigError(f"{self.faces} faces; expected at least {MIN_FACES}, or 0 to keep every triangle")
        if self.level is not None and self.method != "shell":
            raise ConfigError(f"a level was given for the method '{self.method}', which finds its own; use 'shell'")
        if self.outset is not None and not 0 <= self.outset <= MAX_OUTSET:
            raise ConfigError(f"outset {self.outset:g}; expected 0 to {MAX_OUTSET:g} standard deviations")
        if self.outset and self.method != "surface":
            raise ConfigError(f"an outset was given for the method '{self.method}'; only 'surface' takes one")
        check_resolution(self.resolution)
        if self.color == "texture":
            check_texture(self.triangles)

    @property
    def triangles(self) -> int:
        """Number of triangles to reduce the mesh to; 0 keeps all."""
        if self.faces is None:
            return MAX_TEXTURED_FACES if self.color == "texture" else DEFAULT_FACES
        return self.faces


def check_resolution(resolution: int) -> None:
    """Raise a ConfigError if the resolution is out of range."""
    if not MIN_RESOLUTION <= resolution <= MAX_RESOLUTION:
        raise ConfigError(f"resolution {resolution}; expected {MIN_RESOLUTION} to {MAX_RESOLUTION} voxels")


def check_texture(faces: int) -> None:
    """Raise if no texture can be baked: a ConfigError if the triangles are too many (0: not reduced at all), a
    MissingExtraError if xatlas is not installed."""
    if not 0 < faces <= MAX_TEXTURED_FACES:
        given = f"{faces} triangles" if faces else "a mesh that is not reduced"
        raise ConfigError(
            f"{given} would take minutes to unwrap for a texture; use --faces {MAX_TEXTURED_FACES} or fewer"
        )
    if importlib.util.find_spec("xatlas") is None:
        raise MissingExtraError("xatlas", "texture", "a baked texture")
