"""Two real scenes through every format and back: what of them is lost on the way.

    python -m tests.exporters.splats.journeys

prints, as docs/formats.md has them, the errors of each, and those of random Gaussians of degree 3.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hgs_toolkit.encoding import SH_C0
from hgs_toolkit.exporters.splats.stored import StoredSplats, splats_of
from hgs_toolkit.exporters.table import export, format_of, load
from hgs_toolkit.gaussians import GaussianHierarchy
from tests.exporters.splats.accuracy import BOUNDS, Errors, differences, expected_in, paired, reference_scene
from tests.samples import sample_file

NAMES = ("biker.spz", "guitar.compressed.ply")

SPZ_COLOUR = 127.5 / (0.15 * 255)
DISPLAY_COLOUR = 0.5 / SH_C0
SPZ_RANGE = (-10.0, 5.9375, SPZ_COLOUR)
RANGES = {".spz": SPZ_RANGE, "tileset.json": SPZ_RANGE, ".splat": (-np.inf, np.inf, DISPLAY_COLOUR)}
"""What a file can hold: log scales from and to, and the magnitude of constant coefficients."""

BOXES = ("lod-meta.json", "tileset.json")
"""Formats that cut a large scene into boxes, one after the other, and so do not keep the order of the Gaussians."""

QUANTITIES = {"means": "position", "log_scales": "log scale", "quats": "rotation", "dc": "colour", "sh": "harmonics",
              "alpha": "opacity"}  # fmt: skip


@dataclass(frozen=True)
class Leg:
    """One conversion: how many Gaussians arrived, root mean square and greatest errors, the bound of the former."""

    count: int
    errors: Errors
    greatest: Errors
    bound: Errors

    @property
    def nearest(self) -> str:
        """The quantity whose error is nearest its bound, and which share of it that is."""
        bounds = vars(self.bound)
        shares = {name: error / bounds[name] if error else 0.0 for name, error in vars(self.errors).items()}
        name = max(shares, key=lambda name: shares[name])
        return f"{QUANTITIES[name]}, {shares[name]:.2f}"


def there_and_back(source: Path, suffix: str, folder: Path) -> tuple[Leg, Leg]:
    """A scene into the format ``suffix``, and from there into its own format again, each leg by itself."""
    scene, own = load(source), format_of(source).suffix
    between = _converted(scene, folder / f"there{suffix}")
    back = _converted(between, folder / f"back{own}")
    return _leg(suffix, scene, between), _leg(own, between, back)


def clipped(splats: StoredSplats, suffix: str) -> StoredSplats:
    """What a format holds of a scene that exceeds its range."""
    low, high, colour = RANGES.get(suffix, (-np.inf, np.inf, np.inf))
    sh = splats.sh.copy()
    sh[:, 0] = sh[:, 0].clip(-colour, colour)
    return StoredSplats(splats.means, splats.log_scales.clip(low, high), splats.quats, sh, splats.logits)


def _converted(scene: GaussianHierarchy, path: Path) -> GaussianHierarchy:
    export(scene, path)
    return load(path)


def _leg(suffix: str, before: GaussianHierarchy, after: GaussianHierarchy) -> Leg:
    found = splats_of(after, "y_up")
    expected = clipped(expected_in(suffix, before, found), suffix)
    if suffix in BOXES:
        found = paired(found, expected)
    errors, greatest = differences(found, expected, "rms"), differences(found, expected)
    return Leg(len(found), errors, greatest, _bound(suffix, before))


def _bound(suffix: str, scene: GaussianHierarchy) -> Errors:
    """The bound of the reference scene, for one whose positions and scales spread further."""
    reference = reference_scene()
    wider = [
        float((values.amax(1) - values.amin(1)).max() / (own.amax(1) - own.amin(1)).max())
        for values, own in ((scene.means, reference.means), (scene.log_scales, reference.log_scales))
    ]
    bound = BOUNDS[suffix]
    # Steps between bounds grow with them; those of a codebook or a fixed grid must not.
    scales = bound.log_scales * (wider[1] if suffix == ".compressed.ply" else 1)
    return replace(bound, means=bound.means * wider[0], log_scales=scales)


def _table(title: str, rows: Mapping[str, tuple[Leg, ...]]) -> None:
    """Print the errors of the first leg of each row, and what of the second is nearest its bound."""
    back = len(next(iter(rows.values()))) > 1
    names = [name for name in QUANTITIES if any(getattr(leg.greatest, name) for leg, *_ in rows.values())]
    heads = [title, *(QUANTITIES[name] for name in names), "nearest its bound", *(["and back"] if back else [])]
    print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    for suffix, (leg, *rest) in rows.items():
        pairs = [[f"{getattr(errors, name):.1g}" for errors in (leg.errors, leg.greatest)] for name in names]
        cells = [", ".join(dict.fromkeys(pair)) for pair in pairs]
        print(f"| `{suffix}` | {' | '.join([*cells, *(leg.nearest for leg in (leg, *rest))])} |")
    print(f"\n{min(leg.count for legs in rows.values() for leg in legs):,} Gaussians in each.\n", flush=True)


def main() -> None:
    logging.disable(logging.CRITICAL)  # writers count what they clamp
    suffixes = sorted(BOUNDS)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for name in NAMES:
            rows = {suffix: there_and_back(sample_file(name), suffix, folder) for suffix in suffixes}
            _table(f"`{name}`", rows)
        scene = reference_scene(3)
        legs = {suffix: _leg(suffix, scene, _converted(scene, folder / f"a{suffix}")) for suffix in suffixes}
        # Of random Gaussians the greatest errors are held to the bound.
        _table("random, degree 3", {suffix: (replace(leg, errors=leg.greatest),) for suffix, leg in legs.items()})


if __name__ == "__main__":
    main()
