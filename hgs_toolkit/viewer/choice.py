"""What the live viewer's controls ask for, and the scenes that answer: no server and no browser here.

A source offers two assets, A and B, which may be one and the same; models also offer what lies between them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from hgs_toolkit.asset import Asset, AssetMetadata
from hgs_toolkit.conventions import DEFAULT_PSI
from hgs_toolkit.encoding import scales_to_log_scales
from hgs_toolkit.gaussians import GaussianHierarchy, concatenate
from hgs_toolkit.imaging.camera_paths import subject_bounds
from hgs_toolkit.imaging.looks import opaque, painted_by_level
from hgs_toolkit.model.constants import for_inference
from hgs_toolkit.model.generator import Generator
from hgs_toolkit.sampling import sample_w, synthesize
from hgs_toolkit.viewer.directions import principal_directions

SLIDERS = 6
"""Principal directions that have a slider."""

ONE, OTHER, BETWEEN, BESIDE = "A", "B", "between A and B", "side by side"
VIEWS = (ONE, OTHER, BETWEEN, BESIDE)

APART = 1.6
"""Distance of the centres of two scenes side by side, in their radii."""


@dataclass(frozen=True)
class Choice:
    """The state of the controls.

    Attributes:
        view: one of VIEWS.
        seeds: of A and of B.
        classes: of A and of B; empty lets the seed draw it.
        blend: 0 is A, 1 is B; counts in the view BETWEEN.
        psi: truncation.
        sliders: steps along the principal directions, standard deviations.
        hidden: levels that are not shown.
        scale: factor on every Gaussian's size.
        opaque, by_level: opacity one; the levels' colours.
    """

    view: str = ONE
    seeds: tuple[int, int] = (0, 1)
    classes: tuple[str, str] = ("", "")
    blend: float = 0.5
    psi: float = DEFAULT_PSI
    sliders: tuple[float, ...] = ()
    hidden: frozenset[int] = frozenset()
    scale: float = 1.0
    opaque: bool = False
    by_level: bool = False


class Source(Protocol):
    """Where assets come from."""

    @property
    def views(self) -> Sequence[str]:
        """Those of VIEWS it can answer."""
        ...

    @property
    def sliders(self) -> int:
        """Number of latent sliders; 0 for a source that is not a model."""
        ...

    @property
    def classes(self) -> Sequence[str]:
        """Names of the classes to choose from; empty for a source without classes."""
        ...

    def asset(self, choice: Choice, place: float) -> Asset:
        """The asset at ``place``: 0 is A, 1 is B, others between them where the source can."""
        ...


class FileSource:
    """One or two assets of files."""

    sliders = 0
    classes: Sequence[str] = ()

    def __init__(self, first: Asset, second: Asset | None = None) -> None:
        self.assets = [first, second or first]
        self.views: Sequence[str] = (ONE,) if second is None else (ONE, OTHER, BESIDE)

    def asset(self, choice: Choice, place: float) -> Asset:  # noqa: ARG002
        """A or B, whichever is nearer."""
        return self.assets[round(place)]


@dataclass
class ModelSource:
    """Scenes of a model, by seeds, sliders and the way from one seed to another."""

    model: Generator
    name: str = ""
    views: Sequence[str] = VIEWS
    directions: Tensor = field(init=False)
    _drawing: Generator = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._drawing = for_inference(self.model)  # one copy for all scenes: a tenth of a scene's time
        self.directions = principal_directions(self.model, SLIDERS)

    @property
    def sliders(self) -> int:
        """Principal directions, which a tiny model may have fewer of."""
        return len(self.directions)

    @property
    def classes(self) -> Sequence[str]:
        """Texts of the class vectors that occur in the model's dataset."""
        return self.model.config.classes.texts

    def asset(self, choice: Choice, place: float) -> Asset:
        """The scene at ``place`` on the line between the seeds' style vectors, moved by the sliders."""
        names = self._class_names(choice)
        first, second = sample_w(self.model, choice.seeds, choice.psi, classes=names)
        steps = torch.tensor([*choice.sliders, *[0.0] * self.sliders][: self.sliders]).to(first)
        w = torch.lerp(first, second, place) + steps @ self.directions
        scene = next(synthesize(self._drawing, w[None]))
        config = self.model.config
        untouched = place in (0.0, 1.0) and not any(choice.sliders)
        metadata = AssetMetadata(
            seed=choice.seeds[round(place)] if untouched else None, psi=choice.psi, generator=self.name,
            model=self.model.fingerprint, focal=config.focal, radius=config.poses.radius,
            class_name=names[round(place)] if names and untouched else "",
        )  # fmt: skip
        return Asset(scene.to("cpu"), metadata, w.cpu())

    def _class_names(self, choice: Choice) -> list[str] | None:
        """The classes of A and B, drawn by the seed where none is chosen; None for a model without classes."""
        prior = self.model.config.classes
        if not prior.size:
            return None
        pairs = zip(choice.classes, choice.seeds, strict=True)
        return [name or prior.texts[prior.row_of_seed(seed)] for name, seed in pairs]


def chosen_asset(source: Source, choice: Choice) -> Asset:
    """The asset that a view of one scene shows; for two side by side it is A."""
    places = {ONE: 0.0, OTHER: 1.0, BETWEEN: choice.blend, BESIDE: 0.0}
    return source.asset(choice, places[choice.view])


def shown_scene(source: Source, choice: Choice) -> GaussianHierarchy:
    """The scene as the controls ask for it, changed by looks, on the CPU; possibly without any Gaussian."""
    if choice.view != BESIDE:
        return _looked_at(chosen_asset(source, choice).scene, choice)
    left, right = (source.asset(choice, place).scene for place in (0.0, 1.0))
    bounds = [subject_bounds(scene, 0.95) for scene in (left, right)]
    shift = 0.5 * APART * max(float(radius) for _, radius in bounds)
    sides = bounds[0][0].new_tensor([[-shift, 0.0, 0.0], [shift, 0.0, 0.0]])
    # B comes to A's place first. What stands on one floor stays there, as seeds of one model do.
    apart = bounds[0][0] - bounds[1][0]
    apart[1:] = torch.where(apart[1:].abs() > shift, apart[1:], 0.0)
    moves = sides + torch.stack([torch.zeros_like(apart), apart])
    return concatenate([_looked_at(_moved(*pair), choice) for pair in zip((left, right), moves, strict=True)])


def _moved(scene: GaussianHierarchy, move: Tensor) -> GaussianHierarchy:
    """The tree moved by ``move`` (3,); the background stays."""
    return scene.replace(means=scene.means + (~scene.is_background).to(scene.means)[:, None] * move)


def _looked_at(scene: GaussianHierarchy, choice: Choice) -> GaussianHierarchy:
    if choice.hidden:
        hidden = torch.tensor(sorted(choice.hidden), device=scene.device)
        scene = scene.select(~torch.isin(scene.level, hidden))
    if choice.opaque:
        scene = opaque(scene)
    if choice.by_level:
        scene = painted_by_level(scene)
    return scene.replace(log_scales=scene.log_scales + scales_to_log_scales(torch.tensor(choice.scale)))
