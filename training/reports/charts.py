"""Line charts as SVG text, for pages that stand alone."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence

WIDTH, HEIGHT = 420, 220
LEFT, RIGHT, BOTTOM = 52, 8, 26
"""Margins around the plotted area, pixels; above it stand the title and the names, a line each."""

LINE = 13
"""Distance of the lines of text above the plot, pixels."""

COLORS = ("#1f6fb4", "#d1495b", "#2e933c", "#8f5fbf", "#c98a00", "#00868b", "#6b6b6b", "#b0457b")

Points = Sequence[tuple[float, float]]


def line_chart(title: str, series: Mapping[str, Points], *, x_label: str = "kimg", log: bool = False) -> str:
    """An ``<svg>`` of named series of (x, y); values that are not finite are left out.

    Args:
        log: whether y is logarithmic; values that are not positive are then left out.
    """
    kept = {name: [p for p in points if _is_shown(p, log=log)] for name, points in series.items()}
    flat = [p for points in kept.values() for p in points]
    head = f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{html.escape(title)}">'
    parts = [head, f'<text x="{LEFT}" y="15" class="title">{html.escape(title)}</text>']
    if not flat:
        return "".join([*parts, f'<text x="{LEFT}" y="{HEIGHT / 2}">nothing yet</text></svg>'])
    top = 10 + LINE * max(len(kept), 1)
    scale = math.log10 if log else float
    x_range, y_range = _range([x for x, _ in flat]), _range([scale(y) for _, y in flat])

    def place(x: float, y: float) -> tuple[float, float]:
        across = (x - x_range[0]) / (x_range[1] - x_range[0])
        up = (scale(y) - y_range[0]) / (y_range[1] - y_range[0])
        return LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - top - BOTTOM)

    for share in (0.0, 0.5, 1.0):
        value = y_range[0] + share * (y_range[1] - y_range[0])
        y = HEIGHT - BOTTOM - share * (HEIGHT - top - BOTTOM)
        parts.append(f'<line x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}" class="rule"/>')
        parts.append(f'<text x="{LEFT - 4}" y="{y + 4:.1f}" class="end">{10**value if log else value:.3g}</text>')
    parts.append(f'<text x="{LEFT}" y="{HEIGHT - 8}">{x_range[0]:.4g}</text>')
    parts.append(
        f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 8}" class="end">{x_range[1]:.4g} {html.escape(x_label)}</text>'
    )
    for number, (name, points) in enumerate(kept.items()):
        color = COLORS[number % len(COLORS)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*p) for p in points))
        parts.append(f'<polyline points="{path}" stroke="{color}"/>')
        if len(points) == 1:
            x, y = place(*points[0])
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{color}"/>')
        y = 15 + LINE * number  # one below the other: names of several runs are long
        parts.append(
            f'<text x="{WIDTH - RIGHT - 4}" y="{y}" class="end" style="fill:{color}">{html.escape(name)}</text>'
        )
    return "".join([*parts, "</svg>"])


def _is_shown(point: tuple[float, float], *, log: bool) -> bool:
    return all(map(math.isfinite, point)) and (not log or point[1] > 0)


def _range(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    return (low, high) if high > low else (low - 0.5 * (abs(low) or 1), high + 0.5 * (abs(high) or 1))
