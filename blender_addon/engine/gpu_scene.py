# SPDX-License-Identifier: GPL-3.0-or-later
"""What a 3D view holds on the graphics card: every visible Gaussian and surface, sent anew only where it changed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from bpy.types import Depsgraph, DepsgraphObjectInstance, Object

import gpu

from ..core.splats import Array
from ..core.texels import PackedSplats, as_texture, pack, shares
from ..typed import SplatData, present
from .gathering import ObjectTable, is_cut, read_evaluated, read_levels, splat_instances
from .solid_objects import surfaces, surfaces_key


class Placement(NamedTuple):
    """Where an object or instance stands, and which Gaussians it has."""

    key: bytes  # digest of its Gaussians
    matrix: Array  # (4, 4) to the world
    cut: bool  # whether it is a holdout


class _Read(NamedTuple):
    """What evaluated data held, and the objects whose change makes that stale."""

    key: bytes
    owners: frozenset[str]


class TooMuch(ValueError):  # noqa: N818
    """Why a scene does not fit on the graphics card, for the user."""


class GpuScene:
    """Gaussians and surfaces of one depsgraph.

    Attributes:
        placements: objects and instances of Gaussians, as they are drawn.
        starts: number of the first Gaussian of each placement's data in the tables.
        uploads: how often tables of Gaussians were sent.
        harmonics: coefficients above the constant one that each Gaussian has in the tables.
        surfaces: batch of triangles; None without any.
    """

    def __init__(self) -> None:
        self.placements: list[Placement] = []
        self.starts: dict[bytes, int] = {}
        self.uploads = 0
        self.harmonics = 0
        self.surfaces: Any = None
        self._read: dict[int, _Read] = {}
        self._packed: dict[bytes, PackedSplats] = {}
        self._tables: tuple[Any, Any, Any] | None = None
        self._surfaces_key: object = None

    def refresh(self, depsgraph: Depsgraph, changed: frozenset[str] | None) -> None:
        """Read the data of objects of the names ``changed``, for None of all, and send what is different from before.

        Blender evaluates data anew for many reasons, and mostly the result is the same.

        Raises:
            TooMuch: if there are more Gaussians than a texture holds.
        """
        read: dict[int, _Read] = {}
        packed: dict[bytes, PackedSplats] = {}
        self.placements = []
        for instance, data in splat_instances(depsgraph):
            pointer = data.as_pointer()  # as in gather
            if pointer not in read:
                old = self._read.get(pointer)
                stale = old is None or changed is None or bool(old.owners & changed)
                read[pointer] = self._look(data, instance) if stale else present(old)
            key = read[pointer].key
            packed[key] = self._packed[key]
            matrix = np.array(instance.matrix_world, np.float64)
            self.placements.append(Placement(key, matrix, is_cut(instance, depsgraph)))
        self._read, self._packed = read, packed
        if packed.keys() != self.starts.keys() or self._tables is None:
            self._send()
        self._refresh_surfaces(depsgraph, changed)

    @property
    def tables(self) -> tuple[Any, Any, Any]:
        """Textures of shapes, colours and harmonics."""
        return present(self._tables)

    def splats(self, placement: Placement) -> PackedSplats:
        """The Gaussians of a placement."""
        return self._packed[placement.key]

    def counts(self, budget: int | None) -> list[int | None]:
        """How many Gaussians of each placement are drawn; None for all of its."""
        sizes = [len(self.splats(each).ranking) for each in self.placements]
        return [None] * len(sizes) if budget is None else shares(sizes, budget)

    def holds_more_than(self, budget: int) -> bool:
        """Whether a budget leaves any Gaussian out."""
        return sum(len(self.splats(each).ranking) for each in self.placements) > budget

    def _look(self, data: SplatData, instance: DepsgraphObjectInstance) -> _Read:
        """Read evaluated data, and prepare its Gaussians unless such were there before."""
        splats, levels = read_evaluated(data), read_levels(data)
        key = hashlib.blake2b(digest_size=16)
        for values in (splats.position, splats.scale, splats.rotation, splats.base, splats.harmonics, levels):
            key.update(np.ascontiguousarray(values).data)
        if key.digest() not in self._packed:
            self._packed[key.digest()] = pack(splats, levels)
        owners = [instance.object, instance.parent if instance.is_instance else None]
        return _Read(key.digest(), frozenset(owner.name for owner in owners if isinstance(owner, Object)))

    def _send(self) -> None:
        """Put all Gaussians into tables on the graphics card."""
        parts = list(self._packed.values())
        sizes = [len(part.colors) for part in parts]
        self.starts = dict(zip(self._packed, np.cumsum([0, *sizes]).tolist(), strict=False))
        self.harmonics = max((part.harmonics.shape[1] for part in parts), default=0)
        widened = [np.pad(p.harmonics, ((0, 0), (0, self.harmonics - p.harmonics.shape[1]), (0, 0))) for p in parts]
        self._tables = (
            _table(part.shapes for part in parts), _table(part.colors for part in parts), _table(widened)
        )  # fmt: skip
        self.uploads += 1

    def _refresh_surfaces(self, depsgraph: Depsgraph, changed: frozenset[str] | None) -> None:
        key, names = surfaces_key(depsgraph)
        if key == self._surfaces_key and changed is not None and not names & changed:
            return
        self._surfaces_key = key
        found = list(surfaces(depsgraph, np.eye(4), ObjectTable()))
        corners = [part.vertices[part.corners.ravel()] for part in found]
        colors = [np.repeat(part.colors, 3, 0) for part in found]
        self.surfaces = _triangles(np.concatenate(corners), np.concatenate(colors)) if found else None


def texture(values: Array, kind: str) -> Any:
    """A texture of the rows (height, width, channels) of ``values``."""
    height, width = values.shape[:2]
    most = gpu.capabilities.max_texture_size_get()
    if max(height, width) > most:
        raise TooMuch(
            f"it has more Gaussians than the graphics card takes ({height * width:,} texels, {most * width:,} fit)"
        )
    flat = np.ascontiguousarray(values, np.float32).ravel()
    types: Any = gpu.types  # whose classes take nothing, by the stubs
    return types.GPUTexture((width, height), format=kind, data=types.Buffer("FLOAT", len(flat), flat))


def _table(parts: Iterable[Array]) -> Any:
    flat = [part.reshape(-1, 4) for part in parts]
    return texture(as_texture(np.concatenate([np.zeros((0, 4), np.float32), *flat])), "RGBA32F")


def _triangles(corners: Array, colors: Array) -> Any:
    types: Any = gpu.types  # as above
    form = types.GPUVertFormat()
    form.attr_add(id="position", comp_type="F32", len=3, fetch_mode="FLOAT")
    form.attr_add(id="color", comp_type="F32", len=4, fetch_mode="FLOAT")
    buffer = types.GPUVertBuf(form, len(corners))
    buffer.attr_fill("position", np.ascontiguousarray(corners, np.float32))
    buffer.attr_fill("color", np.ascontiguousarray(colors, np.float32))
    return types.GPUBatch(type="TRIS", buf=buffer)
