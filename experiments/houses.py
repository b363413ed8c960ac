"""Houses as meshes: a subject with fine patterns that no setting was tuned for, to try ``hgs train`` on.

    python experiments/houses.py houses --count 100
    hgs train --data houses --out runs/houses --minutes 120

Every house has walls of bricks, planks, beams or plaster, one floor or two with windows on all sides, a door in
front, a gabled roof in rows of tiles and perhaps a chimney and shutters; its file is a .ply with vertex colours, y up,
the door towards +z.
"""

from __future__ import annotations

import argparse
import colorsys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import trimesh

Array = npt.NDArray[np.float64]
Paint = Callable[[Array, Array], Array]
"""Colours (..., 3) in 0 to 1 at places across and up a side, both (...,)."""
CELL = 0.04
"""Edge of the squares that patterns are made of; the houses are about 2 wide."""
FLOOR = 0.62
"""Height of a floor."""
GLASS = np.array([0.16, 0.22, 0.32])


@dataclass(frozen=True)
class Plan:
    """One house: half its width and depth, heights of its wall and of the ridge above it, its paints."""

    width: float
    depth: float
    wall: float
    ridge: float
    floors: int
    columns: int
    side_columns: int
    pattern: str
    paint: Array
    second: Array
    roof: Array
    trim: Array
    door: Array
    shutters: bool
    chimney: float | None

    @staticmethod
    def draw(seed: int) -> Plan:
        rng = np.random.default_rng(seed)

        def color(saturation: tuple[float, float], value: tuple[float, float]) -> Array:
            return np.array(colorsys.hsv_to_rgb(rng.random(), rng.uniform(*saturation), rng.uniform(*value)))

        floors, paint = int(rng.integers(1, 3)), color((0.1, 0.65), (0.55, 0.95))
        return Plan(
            width=rng.uniform(0.75, 1.15), depth=rng.uniform(0.6, 0.9),
            wall=FLOOR * floors, ridge=rng.uniform(0.4, 0.85),
            floors=floors, columns=int(rng.integers(2, 4)), side_columns=int(rng.integers(1, 3)),
            pattern=str(rng.choice(["bricks", "planks", "beams", "plaster"])),
            paint=paint, second=paint * rng.uniform(0.45, 0.7),
            roof=color((0.3, 0.8), (0.35, 0.75)), trim=color((0, 0.25), (0.8, 1)), door=color((0.4, 0.9), (0.3, 0.8)),
            shutters=bool(rng.random() > 0.5), chimney=rng.uniform(-0.6, 0.6) if rng.random() > 0.4 else None,
        )  # fmt: skip


def inside(value: Array, center: float, half: float) -> npt.NDArray[np.bool_]:
    return np.asarray(np.abs(value - center) < half)


def walled(plan: Plan, x: Array, y: Array) -> Array:
    """The wall without openings."""
    row = np.floor(y / 0.12)
    if plan.pattern == "bricks":
        joint = (np.mod(y, 0.12) < CELL) | (np.mod(x + 0.12 * np.mod(row, 2), 0.24) < CELL)
    elif plan.pattern == "planks":
        joint = np.mod(y, 0.16) < CELL
    elif plan.pattern == "beams":
        joint = (np.mod(y, 0.31) < 1.5 * CELL) | (np.mod(np.abs(x) + 0.04, 0.4) < 1.5 * CELL)
    else:
        joint = y < 0.14
    return np.where(joint[..., None], plan.second, plan.paint)


def side(plan: Plan, half: float, columns: int, with_door: bool) -> Paint:
    """A side's paint: the wall, windows in every floor and perhaps a door in the middle of the lowest."""

    def paint(x: Array, y: Array) -> Array:
        colors = walled(plan, x, y)
        for floor in range(plan.floors):
            middle = FLOOR * floor + 0.34
            for column in range(columns):
                center = half * ((2 * column + 1) / columns - 1)
                if with_door and floor == 0 and abs(center) < 0.24:
                    continue
                if plan.shutters:
                    colors[inside(x, center, 0.24) & inside(y, middle, 0.15)] = plan.door
                colors[inside(x, center, 0.15) & inside(y, middle, 0.17)] = plan.trim
                pane = inside(x, center, 0.11) & inside(y, middle, 0.13) & ~inside(x, center, 0.02)
                colors[pane] = GLASS
        if with_door:
            colors[inside(x, 0, 0.17) & (y < 0.46)] = plan.trim
            colors[inside(x, 0, 0.12) & (y < 0.42)] = plan.door
        return colors

    return paint


def tiles(plan: Plan) -> Paint:
    def paint(x: Array, y: Array) -> Array:
        row = np.floor(y / 0.12)
        light = np.where(np.mod(y, 0.12) < CELL, 0.6, np.where(np.mod(np.floor(x / 0.12) + row, 2) > 0, 1.0, 0.82))
        return light[..., None] * plan.roof

    return paint


def sheet(
    origin: Array, across: Array, up: Array, paint: Paint, top: Callable[[Array], Array] | None = None
) -> trimesh.Trimesh:
    """A painted side of squares from a corner at ``origin``; ``top``, of the share of the width, lowers its edge.

    ``paint`` counts places across from the middle and places up from the foot.
    """
    width, height = float(np.linalg.norm(across)), float(np.linalg.norm(up))
    columns, rows = max(2, round(width / CELL)), max(2, round(height / CELL))
    share_x, share_y = np.meshgrid(np.linspace(0, 1, columns + 1), np.linspace(0, 1, rows + 1), indexing="ij")
    if top is not None:
        share_y = share_y * top(share_x)
    points = origin + share_x[..., None] * across + share_y[..., None] * up  # (C+1, R+1, 3)
    corners = np.stack([points[:-1, :-1], points[1:, :-1], points[1:, 1:], points[:-1, 1:]], axis=2).reshape(-1, 4, 3)
    middle_x = (share_x[:-1, :-1] + share_x[1:, 1:]) / 2
    middle_y = (share_y[:-1, :-1] + share_y[1:, 1:]) / 2
    colors = paint((middle_x - 0.5) * width, middle_y * height).reshape(-1, 3)
    first = 4 * np.arange(len(corners))[:, None]
    faces = np.concatenate([first + np.array([0, 1, 2]), first + np.array([0, 2, 3])])
    painted = (255 * np.repeat(colors, 4, axis=0).clip(0, 1)).astype(np.uint8)
    return trimesh.Trimesh(corners.reshape(-1, 3), faces, process=False, vertex_colors=painted)


def walls(plan: Plan) -> list[trimesh.Trimesh]:
    w, d, whole = plan.width, plan.depth, plan.wall + plan.ridge
    wide, deep = np.array([2 * w, 0, 0]), np.array([0, 0, 2 * d])
    up, high = np.array([0, plan.wall, 0]), np.array([0, whole, 0])

    def gable(share: Array) -> Array:
        return (plan.wall + plan.ridge * (1 - np.abs(2 * share - 1))) / whole

    return [
        sheet(np.array([-w, 0, d]), wide, up, side(plan, w, plan.columns, with_door=True)),
        sheet(np.array([w, 0, -d]), -wide, up, side(plan, w, plan.columns, with_door=False)),
        sheet(np.array([w, 0, d]), -deep, high, side(plan, d, plan.side_columns, with_door=False), gable),
        sheet(np.array([-w, 0, -d]), deep, high, side(plan, d, plan.side_columns, with_door=False), gable),
        sheet(np.array([-w, 0, -d]), wide, deep, lambda x, _: np.tile(plan.second, (*x.shape, 1))),
    ]


def roof(plan: Plan, eaves: float = 0.14) -> list[trimesh.Trimesh]:
    """Two slopes that reach over the walls by ``eaves``, drawn from both sides by the renderer."""
    w, d = plan.width + eaves, plan.depth + eaves
    drop = plan.ridge * eaves / plan.depth
    slope = np.array([0, plan.ridge + drop, -d])
    front = sheet(np.array([-w, plan.wall - drop + 0.03, d]), np.array([2 * w, 0, 0]), slope, tiles(plan))
    back = sheet(np.array([w, plan.wall - drop + 0.03, -d]), np.array([-2 * w, 0, 0]), slope * [1, 1, -1], tiles(plan))
    return [front, back]


def chimney(plan: Plan, place: float) -> list[trimesh.Trimesh]:
    x, z, half, low, high = place * plan.width, -0.4 * plan.depth, 0.11, plan.wall, plan.wall + plan.ridge + 0.25
    up = np.array([0, high - low, 0])

    def paint(_: Array, above: Array) -> Array:
        top = above > high - low - 0.09
        return np.where(top[..., None], plan.trim * 0.4, np.array([0.55, 0.3, 0.24]))

    turns = [np.array(turn, float) for turn in ([1, 0, 0], [0, 0, -1], [-1, 0, 0], [0, 0, 1])]
    middle = np.array([x, low, z])
    sides = [
        sheet(middle - half * turn - half * np.array([turn[2], 0, -turn[0]]), 2 * half * turn, up, paint)
        for turn in turns
    ]
    lid = sheet(middle + up - half, np.array([2 * half, 0, 0]), np.array([0, 0, 2 * half]), paint)
    lid.apply_translation([0, half, 0])
    return [*sides, lid]


def house(seed: int) -> trimesh.Trimesh:
    """The house of a seed, y up, with vertex colours."""
    plan = Plan.draw(seed)
    parts = walls(plan) + roof(plan) + (chimney(plan, plan.chimney) if plan.chimney is not None else [])
    whole = trimesh.util.concatenate(parts)
    assert isinstance(whole, trimesh.Trimesh)
    return whole


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=100)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    (arguments.folder / "LICENSE").write_text("CC0-1.0: made by experiments/houses.py\n")
    for seed in range(arguments.count):
        house(seed).export(arguments.folder / f"house-{seed:03}.ply")


if __name__ == "__main__":
    main()
