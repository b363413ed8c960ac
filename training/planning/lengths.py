"""How long each stage of a plan is, and how often it reports, from what an image takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from hgs_toolkit.config import Config
from hgs_toolkit.training.stages.plan_file import Choice

USED = 0.85
"""Share of the minutes that is trained in; measurements, sample grids and saving take the rest."""

POLISH = 0.15
"""Share of that for the polish; among the other stages each has twice the time of the one before."""

LEAST_KIMG = {32: 12.0, 64: 80.0}
"""Resolution to the length in kimg below which its stage is not worth its time; larger ones need as much as the last.

Measured without heads on pretrained features: at 64 pixels critters are as far from real images as those blurred by
0.7 pixels after about 80 kimg, and houses show black dots after 30, where their stage of 32 pixels was good after 35
(docs/results/own_data.md).
"""

LEAST_KIMG_WITH_HEADS = {32: 4.0, 64: 16.0}
"""The same where heads join at 32 pixels. Critters come that near after 8 kimg (docs/results/whole_circle.md)."""

TICKS = 8
"""Number of ticks of a stage."""

TICK_SECONDS = 60.0
"""Shortest time between two ticks, seconds."""

OPENING = {"blur_kimg": 0.15, "generator_delay_kimg": 0.03, "ema_kimg": 0.15}
"""Settings in kimg to the largest share of a stage that they may have."""

AROUND = 4
"""Factor between the half-lives of the averages that are chosen from at the end."""


@dataclass(frozen=True)
class Length:
    """Length of a stage: thousands of images, and the seconds that they take at the measured pace."""

    kimg: float
    seconds: float


def time_shares(sizes: int) -> list[float]:
    """Shares of the time of the stages at so many sizes, and of the polish; their sum is 1."""
    parts = [2.0**place for place in range(sizes)]
    return [*(part / sum(parts) * (1 - POLISH) for part in parts), POLISH]


def sizes_within(
    sizes: Sequence[int], paces: Sequence[float], minutes: float | None, *, heads: bool = False
) -> list[int]:
    """Those of ``sizes`` for which there is time; at least the first.

    Args:
        paces: seconds an image at each size.
        minutes: of the whole plan; None for no limit.
        heads: whether heads on pretrained features join at 32 pixels.
    """
    if minutes is None:
        return list(sizes)
    needed = [least_minutes(sizes[: count + 1], paces, heads=heads) for count in range(len(sizes))]
    return [size for size, least in zip(sizes, needed, strict=True) if least <= minutes] or list(sizes[:1])


def least_minutes(sizes: Sequence[int], paces: Sequence[float], *, heads: bool = False) -> float:
    """Minutes of a plan whose last stage, at the last of ``sizes``, is long enough to be worth its time.

    Args:
        paces: seconds an image at each size.
        heads: whether heads on pretrained features join at 32 pixels.
    """
    if len(sizes) == 1:
        return 0.0
    measured = LEAST_KIMG_WITH_HEADS if heads else LEAST_KIMG
    kimg = measured.get(sizes[-1], measured[max(measured)])
    return 1000 * kimg * paces[len(sizes) - 1] / (time_shares(len(sizes))[-2] * USED * 60)


def with_lengths(
    stages: Sequence[Config], paces: Sequence[float], minutes: float | None = None, kimg: float | None = None
) -> tuple[list[Config], list[Length]]:
    """``stages`` as long as the minutes allow, or ``kimg`` together, or as long as they are.

    Args:
        stages: one for each size, then the polish.
        paces: seconds an image of each of them.
    """
    if kimg is not None:
        whole = sum(stage.training.kimg for stage in stages)
        lengths = [kimg * stage.training.kimg / whole for stage in stages]
    elif minutes is not None:
        shares = time_shares(len(stages) - 1)
        lengths = [
            share * minutes * 60 * USED / pace / 1000 for share, pace in zip(shares, paces, strict=True)
        ]  # fmt: skip
    else:
        lengths = [stage.training.kimg for stage in stages]
    rounded = [max(round(length, 2), 0.01) for length in lengths]
    sized = [_sized(stage, length, pace) for stage, length, pace in zip(stages, rounded, paces, strict=True)]
    return sized, [Length(length, 1000 * length * pace) for length, pace in zip(rounded, paces, strict=True)]


def length_choice(stages: Sequence[Config], lengths: Sequence[Length], minutes: float | None) -> Choice:
    """What is said of the lengths."""
    parts = [f"{stage.name} {length.kimg:g}" for stage, length in zip(stages, lengths, strict=True)]
    images = sum(length.kimg for length in lengths) * 1000
    whole = sum(length.seconds for length in lengths)
    pace = f"measured: {images / max(whole, 1e-9):.0f} images a second on average, {_duration(whole)} in all"
    shares = "" if minutes is None else f"; {minutes:g} minutes, of which {USED:.0%} are trained in"
    return Choice("kimg", ", ".join(parts), pace + shares)


def _duration(seconds: float) -> str:
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 100 else f"{minutes / 60:.1f} h"


def _sized(stage: Config, kimg: float, pace: float) -> Config:
    """``stage`` with ``kimg`` and intervals that fit it."""
    training = stage.training
    tick = min(max(kimg / TICKS, TICK_SECONDS / pace / 1000), kimg)
    shortened: dict[str, Any] = {
        name: round(min(getattr(training, name), share * kimg), 3)
        for name, share in OPENING.items()
        if getattr(training, name) is not None
    }
    if training.ema_choices:
        half_life = shortened["ema_kimg"]
        shortened |= {"ema_choices": (round(half_life / AROUND, 3), round(half_life * AROUND, 3))}
    measured = None if not training.metric_kimg else kimg / 2
    changes: dict[str, Any] = {"kimg": kimg, "tick_kimg": max(round(tick, 3), 0.001), "metric_kimg": measured}
    images = 2000 if kimg * 1000 * pace > 3600 else 500
    return replace(
        stage, training=replace(training, **changes, **shortened, metric_images=min(training.metric_images, images))
    )
