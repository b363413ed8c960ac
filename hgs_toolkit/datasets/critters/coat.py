"""The colours of a critter: fur with grain and a pattern, painted eyes and mouth, cloth.

A colour depends on the place on the surface only, neither on light nor on the camera. sRGB values in [0, 1].
"""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hgs_toolkit.datasets.critters.anatomy import Anatomy
from hgs_toolkit.datasets.critters.noise import noise
from hgs_toolkit.datasets.critters.patterns import BACK_PATTERNS, PATTERNS, PatternMeasures, smooth_step
from hgs_toolkit.datasets.critters.raycast import Values

FUR_HUES = (  # hue, saturation, value of well-known coats, then of toys
    (0.07, 0.75, 0.90), (0.08, 0.55, 0.62), (0.06, 0.60, 0.38), (0.11, 0.45, 0.88), (0.10, 0.18, 0.95),
    (0.60, 0.07, 0.62), (0.60, 0.10, 0.36), (0.08, 0.05, 0.97), (0.70, 0.12, 0.20), (0.03, 0.62, 0.70),
    (0.58, 0.45, 0.85), (0.93, 0.35, 0.95), (0.42, 0.38, 0.82), (0.75, 0.35, 0.80), (0.14, 0.60, 0.97),
)  # fmt: skip

IRIS_HUES = ((0.08, 0.8, 0.55), (0.13, 0.8, 0.85), (0.30, 0.6, 0.65), (0.55, 0.7, 0.80), (0.48, 0.6, 0.70))

PATTERNED = ("skull", "cheek", "eyelid", "ear", "tuft", "neck", "body", "paw", "tail")
FURRY = (*PATTERNED, "muzzle", "chin", "belly", "tail tip", "mane")
CLOTH = ("hat", "hat band", "pompom", "scarf", "bow")

HAIR_ROOT = np.array([0.0, -0.1, 0.28], dtype=np.float32)
"""Hairs lie away from this place behind the nose, head units."""

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class BackPaint:
    """What a coat shows from behind.

    Attributes:
        ears: (K,) which ellipsoids are ears.
        ear_paint: how their backs are painted: ``plain``, ``rim`` or ``spot``.
        has_saddle: whether a coat without a pattern at the back has a saddle there.
    """

    ears: Mask
    ear_paint: str
    has_saddle: bool

    def on_ears(self, local: Values) -> Values:
        """Amount (n,) of the second colour at points ``local`` (n, 3) of the ears' unit spheres."""
        if self.ear_paint == "plain":
            return np.zeros(len(local), dtype=np.float32)
        behind = smooth_step(-local[:, 2], 0.1, 0.3)
        from_middle = np.hypot(local[:, 0], local[:, 1] - 0.1)
        if self.ear_paint == "rim":
            return behind * smooth_step(from_middle, 0.45, 0.75)
        return behind * (1 - smooth_step(from_middle, 0.35, 0.55))


@dataclass(frozen=True)
class Coat:
    """A critter's colours: one for each of its K ellipsoids, and what is painted on them.

    Attributes:
        base: (K, 3) float32.
        patterned, furry, cloth, mouth, eyes: (K,) which ellipsoids carry what.
        pattern: one of PATTERNS.
        measures: how this pattern looks here.
        second: (3,) float32, the pattern's colour.
        iris: (3,) float32 colour.
        pupil: half axes on the eye's disc.
        gaze: where on the eye's disc iris and pupil are, outwards and up.
        back: what is seen from behind; None for a critter that is only seen from the front.
    """

    base: Values
    patterned: Mask
    furry: Mask
    cloth: Mask
    mouth: Mask
    eyes: Mask
    pattern: str
    measures: PatternMeasures
    second: Values
    iris: Values
    pupil: tuple[float, float]
    gaze: tuple[float, float]
    back: BackPaint | None = None

    def color(self, row: npt.NDArray[np.intp], local: Values, place: Values) -> Values:
        """Colours (n, 3) at the surface points ``local`` (n, 3) on the unit spheres of the ellipsoids ``row`` (n,).

        ``place`` (n, 3) are the same points in head units.
        """
        color = self.base[row]
        if len(at := np.flatnonzero(self.patterned[row])):
            amount = PATTERNS[self.pattern][1](place[at], self.measures)
            if self.back is not None:
                amount = np.maximum(amount, self._behind(self.back, row[at], local[at], place[at]))
            color[at] += (self.second - color[at]) * amount[:, None]
        if len(at := np.flatnonzero(self.furry[row])):
            color[at] *= self._grain(place[at])[:, None]
        if len(at := np.flatnonzero(self.cloth[row])):
            color[at] *= self._knit(local[at], place[at])[:, None]
        at = np.flatnonzero(self.mouth[row])
        color[at[_on_mouth(local[at])]] *= 0.35
        at = np.flatnonzero(self.eyes[row])
        color[at] = self._eye(color[at], local[at], np.sign(place[at, 0]))
        return np.clip(color, 0, 1)

    def _behind(self, back: BackPaint, row: npt.NDArray[np.intp], local: Values, place: Values) -> Values:
        """Amount (n,) of the second colour that is added at the back."""
        amount = np.zeros(len(row), dtype=np.float32)
        if self.pattern in BACK_PATTERNS and (back.has_saddle or self.pattern != "plain"):
            amount = BACK_PATTERNS[self.pattern](place, self.measures)
        on_ears = np.flatnonzero(back.ears[row])
        amount[on_ears] = back.on_ears(local[on_ears])
        return amount

    def _grain(self, place: Values) -> Values:
        """Brightness of single hairs, which lie away from the nose, and of broader tufts."""
        away = place - HAIR_ROOT
        distance = np.sqrt((away**2).sum(axis=1))[:, None] + 1e-9
        hairs = noise(away / distance * (1 + 0.25 * distance) + self.measures.noise_shift, 9.0)
        return 1 + 0.075 * hairs + 0.05 * noise(place + self.measures.noise_shift, 2.5)

    def _knit(self, local: Values, place: Values) -> Values:
        """Brightness of ribs and weave."""
        ribs = np.sin(np.arctan2(local[:, 0], local[:, 2]) * 22)
        weave: Values = 1 + 0.05 * ribs + 0.05 * noise(place + self.measures.noise_shift, 9.0)
        return weave

    def _eye(self, white: Values, local: Values, side: Values) -> Values:
        """Iris with a dark rim and brighter below, pupil, and two glints that stay on the light's side."""
        x, y, z = local.T
        u, v = x - self.gaze[0] * side, y - self.gaze[1]
        disc = np.hypot(u, v)
        shade = np.where(disc > 0.70, 0.45, 0.90 - 0.45 * v).astype(np.float32)[:, None]
        color = np.where(((z > 0) & (disc < 0.80))[:, None], self.iris * shade, white)
        pupil = (z > 0) & ((u / self.pupil[0]) ** 2 + (v / self.pupil[1]) ** 2 < 1)
        color[pupil] = 0.04
        glint = ((x + 0.24) ** 2 + (y - 0.34) ** 2 < 0.26**2) | ((x - 0.26) ** 2 + (y + 0.30) ** 2 < 0.12**2)
        color[(z > 0) & glint] = 1.0
        return color


def dress(anatomy: Anatomy, rng: np.random.Generator) -> Coat:
    """The colours of a critter of the given anatomy, drawn from ``rng``."""
    first, second = _fur_pair(rng)
    pattern = str(rng.choice(list(PATTERNS), p=[probability for probability, _ in PATTERNS.values()]))
    colors = _part_colors(first, second, pattern in ("mask", "points"), rng)
    iris, pupil = _iris(anatomy, rng)
    noise_shift, (a, b, c, d) = rng.uniform(0, 10, 3).astype(np.float32), rng.random(4).tolist()
    names = np.array(anatomy.names)
    return Coat(
        base=np.stack([colors[name] for name in anatomy.names]),
        patterned=np.isin(names, PATTERNED),
        furry=np.isin(names, FURRY),
        cloth=np.isin(names, CLOTH),
        mouth=names == "muzzle",
        eyes=names == "eye",
        pattern=pattern,
        measures=PatternMeasures(a, b, c, d, noise_shift, anatomy.eye_center.astype(np.float32)),
        second=second,
        iris=iris,
        pupil=pupil,
        gaze=(float(rng.normal(-0.10, 0.04)), float(rng.normal(0, 0.04))),
    )


def _on_mouth(local: Values) -> Mask:
    """Whether points on the muzzle lie on the line down from the nose or on the smile's two arcs."""
    x, y, z = np.abs(local[:, 0]), local[:, 1], local[:, 2]
    smile = np.abs(y + 0.52 - 3 * (x - 0.30) ** 2)
    return (z > 0.1) & (((smile < 0.085) & (x < 0.68)) | ((x < 0.055) & (y > -0.25) & (y < 0.4)))


def _part_colors(first: Values, second: Values, dark_limbs: bool, rng: np.random.Generator) -> dict[str, Values]:
    """The colour of every part by its name."""
    light = first + (_hsv(0.08, 0.08, 1.0) - first) * np.float32(rng.uniform(0.35, 0.9))
    pink = _hsv(rng.uniform(0.96, 1.03), rng.uniform(0.25, 0.45), 0.92)
    hat, band = _hsv(rng.random(), rng.uniform(0.4, 0.75), rng.uniform(0.45, 0.9)), _hsv(rng.random(), 0.6, 0.8)
    pink_nose, dark_nose = _hsv(0.97, 0.45, 0.75), _hsv(0.05, 0.3, rng.uniform(0.08, 0.25))
    return dict.fromkeys(FURRY, first) | {
        "muzzle": light,
        "chin": light,
        "belly": light,
        "inner ear": 0.65 * pink + 0.35 * first,
        "nose": pink_nose if rng.random() < 0.3 else dark_nose,
        "eye": _hsv(0.1, 0.02, 0.97),
        "eyelid": 0.93 * first,
        "ear": second if dark_limbs or rng.random() < 0.15 else first,
        "paw": second if dark_limbs else first,
        "tuft": second if rng.random() < 0.4 else first,
        "hat": hat,
        "hat band": band,
        "pompom": band,
        "scarf": band,
        "tail": second if dark_limbs else first,
        "tail tip": light if dark_limbs else second,
        "mane": second,
        "bow": band,
    }


def _fur_pair(rng: np.random.Generator) -> tuple[Values, Values]:
    """Two coat colours of clearly different lightness."""
    h, s, v = FUR_HUES[rng.integers(len(FUR_HUES))]
    first = _hsv(h + rng.normal(0, 0.015), s * rng.uniform(0.8, 1.15), v * rng.uniform(0.9, 1.05))
    luminance = float(first @ np.array([0.30, 0.59, 0.11]))
    if luminance > 0.45 and rng.random() < 0.7:
        dark, brown = np.float32(rng.uniform(0.3, 0.5)), np.float32(rng.uniform(0.1, 0.7))
        return first, first * (dark - 0.4 * brown) + _hsv(0.06, 0.5, 0.3) * brown
    return first, _hsv(rng.uniform(0.05, 0.13), rng.uniform(0.03, 0.35), rng.uniform(0.85, 0.98))


def _iris(anatomy: Anatomy, rng: np.random.Generator) -> tuple[Values, tuple[float, float]]:
    """Iris colour (3,) and pupil half axes: buttons, round pupils, or a cat's slits."""
    if rng.random() < 0.35:
        return _hsv(0.07, 0.5, 0.16), (0.5, 0.5)
    h, s, v = IRIS_HUES[rng.integers(len(IRIS_HUES))]
    if anatomy.ears == "pointed" and rng.random() < 0.5:
        return _hsv(h, s, v), (0.2, 0.62)
    size = float(rng.uniform(0.38, 0.52))
    return _hsv(h, s, v), (size, size)


def _hsv(hue: float, saturation: float, value: float) -> Values:
    """sRGB (3,) float32 of hue, saturation and value; the last two are limited to 1."""
    return np.array(colorsys.hsv_to_rgb(hue % 1.0, min(saturation, 1.0), min(value, 1.0)), dtype=np.float32)
