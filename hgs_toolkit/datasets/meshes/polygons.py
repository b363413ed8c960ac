"""Polygons cut into triangles by clipping ears, so that concave ones do not spill over their outline.

Plain Python, because polygons are many and have few corners.
"""

from __future__ import annotations

import math

Point = tuple[float, ...]


def triangles(points: list[Point]) -> list[tuple[int, int, int]]:
    """Triangles, as indices into ``points`` (n, 3), of a polygon; convex ones, and ones with NaN, become a fan."""
    flat = _projected(points)
    if len(flat) < 4 or all(_area(flat[k - 1], flat[k], flat[(k + 1) % len(flat)]) >= 0 for k in range(len(flat))):
        return [(0, k, k + 1) for k in range(1, len(points) - 1)]
    return _clip_ears(flat)


def _projected(points: list[Point]) -> list[Point]:
    """(n, 2), counterclockwise: the polygon on the coordinate plane that shows most of it (Newell's normal)."""
    if not all(math.isfinite(value) for point in points for value in point):
        return []
    normal = [0.0, 0.0, 0.0]
    for k, point in enumerate(points):
        before = points[k - 1]
        for axis in range(3):
            u, v = (axis + 1) % 3, (axis + 2) % 3
            normal[axis] += before[u] * point[v] - before[v] * point[u]
    axis = max(range(3), key=lambda k: abs(normal[k]))
    u, v = (axis + 1) % 3, (axis + 2) % 3
    sign = 1 if normal[axis] >= 0 else -1
    return [(sign * point[u], point[v]) for point in points]


def _clip_ears(flat: list[Point]) -> list[tuple[int, int, int]]:
    """Triangles of a counterclockwise polygon; what crosses itself is clipped in order."""
    left, found = list(range(len(flat))), []
    while len(left) > 3:
        ear = next((k for k in range(len(left)) if _is_ear(flat, left, k)), 0)
        found.append((left[ear - 1], left[ear], left[(ear + 1) % len(left)]))
        del left[ear]
    return [*found, (left[0], left[1], left[2])]


def _is_ear(flat: list[Point], left: list[int], k: int) -> bool:
    """Whether the corner turns outwards and no other corner lies in its triangle."""
    ends = (left[k - 1], left[k], left[(k + 1) % len(left)])
    a, b, c = (flat[end] for end in ends)
    if _area(a, b, c) <= 0:
        return False
    others = (flat[index] for index in left if index not in ends)
    return not any(_area(a, b, p) >= 0 and _area(b, c, p) >= 0 and _area(c, a, p) >= 0 for p in others)


def _area(a: Point, b: Point, c: Point) -> float:
    """Twice the signed area of a triangle in the plane."""
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
