"""Films over latents and levels: each kind turns a model and seeds into pictures that loop without a seam."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from hgs_toolkit.cameras import Cameras
from hgs_toolkit.devices import device_of
from hgs_toolkit.errors import ConfigError
from hgs_toolkit.gaussians import GaussianHierarchy
from hgs_toolkit.imaging.captions import caption
from hgs_toolkit.imaging.curves import closed_curve, repaced
from hgs_toolkit.imaging.images import grid
from hgs_toolkit.imaging.looks import grown
from hgs_toolkit.imaging.shots import Shot, camera_path, shoot
from hgs_toolkit.model.generator import Generator
from hgs_toolkit.sampling import DEFAULT_PSI, mix, sample_w, synthesize

LEAST_SPLATS = 0.12
"""Smallest factor on the Gaussians' size in a film of kind shrink."""

GROWTH, REST = 0.5, 0.25
"""Shares of a growing film in which a scene grows and is whole; in what is left it goes back."""

PROBES, MOST_PROBES, PROBE_SIZE = 48, 2000, 48
"""Least pictures a seed, most for the sake of a long film, and their pixels, by which the pace of a walk is set."""

CROSSFADE = 0.25
"""Share of a level's time in which it gives way to the next."""


@dataclass(frozen=True)
class Direction:
    """How a film is made.

    Attributes:
        frames: pictures of one turn of the loop.
        shot: size and background of one pane.
        psi: truncation.
        trajectory: path of the camera; closed ones (ellipse, orbit) keep the loop without a seam.
        mode: what the pictures show, see :data:`hgs_toolkit.imaging.shots.MODES`.
        levels: levels whose styles change in a film of kind mix; None is the finest that has styles.
        panes: films side by side, each of an equal share of the seeds.
    """

    frames: int = 120
    shot: Shot = field(default_factory=Shot)
    psi: float = DEFAULT_PSI
    trajectory: str = "ellipse"
    mode: str = "rgb"
    levels: Sequence[int] | None = None
    panes: int = 1


def film(kind: str, model: Generator, seeds: Sequence[int], direction: Direction) -> Iterator[Tensor]:
    """Pictures (H, W, 3) in 0..1 of one turn of a loop, ``direction.frames`` of them.

    The pace of a walk (interpolate, mix) is set at once, the pictures are drawn as they are asked for.

    Args:
        kind: ``interpolate`` walks through the seeds' scenes, ``mix`` keeps the first seed's scene and walks through
            the others' styles at some levels, ``grow`` lets each scene grow out of its coarsest Gaussians and back,
            ``shrink`` makes all Gaussians small and large again, ``levels`` shows each level alone and, beside it,
            all up to it.

    Raises:
        ConfigError: if the kind or a level is unknown, or the seeds are too few or not divisible among the panes.
    """
    if kind not in KINDS:
        raise ConfigError(f"kind '{kind}' is unknown; expected one of: {', '.join(KINDS)}")
    if direction.panes < 1 or len(seeds) % direction.panes:
        raise ConfigError(f"{len(seeds)} seeds in {direction.panes} panes; expected as many in each")
    if len(seeds) < direction.panes * LEAST_SEEDS.get(kind, 1):
        raise ConfigError(f"{len(seeds)} seeds; a film of kind {kind} needs {LEAST_SEEDS.get(kind, 1)} in each pane")
    share = len(seeds) // direction.panes
    panes = [KINDS[kind](model, seeds[i : i + share], direction) for i in range(0, len(seeds), share)]
    return panes[0] if len(panes) == 1 else (grid(torch.stack(pictures)) for pictures in zip(*panes, strict=True))


def latent_loop(
    model: Generator,
    seeds: Sequence[int],
    frames: int,
    psi: float = DEFAULT_PSI,
    dressed: Callable[[Tensor], Tensor] = lambda w: w,
) -> Tensor:
    """Style vectors (frames, w_dim) along a smooth closed curve through those of ``seeds``, the first one first.

    Steps are even to the eye: the curve is looked at in small pictures first, and where they change fast it is walked
    slowly. Where they do not change it is walked at a bounded pace, since half of a step's weight is its length in w.

    Args:
        dressed: what is made of w (M, w_dim) before it becomes scenes, such as mixing.
    """
    probes = max(PROBES * len(seeds), min(frames, MOST_PROBES))
    curve = closed_curve(sample_w(model, seeds, psi), probes)
    look = Direction(probes, Shot(PROBE_SIZE), trajectory="frontal")
    pictures = torch.stack(list(_shoot_each(synthesize(model, dressed(curve)), look, model)))
    change = (pictures.roll(-1, 0) - pictures).abs().mean((1, 2, 3)).to(curve)
    step = (curve.roll(-1, 0) - curve).norm(dim=-1)
    if not step.sum() > 0:
        return curve[:1].expand(frames, -1)
    effort = step / step.mean() + change / change.mean().clamp_min(torch.finfo(change.dtype).tiny)
    return repaced(curve, effort, frames)


def growing(scene: GaussianHierarchy, time: float) -> GaussianHierarchy:
    """The scene at a ``time`` in 0..1 of a turn in which it grows, rests and goes back."""
    share = time / GROWTH if time < GROWTH else min(1.0, (1 - time) / (1 - GROWTH - REST))
    return grown(scene, share * scene.num_levels)


def shrinking(scene: GaussianHierarchy, time: float) -> GaussianHierarchy:
    """The scene at a ``time`` in 0..1 of a turn in which its splats become small and large again."""
    log_scale = math.log(LEAST_SPLATS) * 0.5 * (1 - math.cos(2 * math.pi * time))
    return scene.replace(log_scales=scene.log_scales + log_scale)


ANIMATIONS: dict[str, Callable[[GaussianHierarchy, float], GaussianHierarchy]] = {
    "grow": growing,
    "shrink": shrinking,
}
"""Changes of one scene over a turn, by name."""


def animate(
    scene: GaussianHierarchy, cameras: Cameras, shot: Shot, mode: str = "rgb", animation: str | None = None
) -> Iterator[Tensor]:
    """As :func:`hgs_toolkit.imaging.shots.shoot`, of a scene that goes through one turn of an animation meanwhile.

    Raises:
        ConfigError: at once, if ``mode`` or ``animation`` is unknown.
    """
    still = shoot(scene, cameras, shot, mode)
    if animation is None:
        return still
    if animation not in ANIMATIONS:
        raise ConfigError(f"animation '{animation}' is unknown; expected one of: {', '.join(ANIMATIONS)}")
    change = ANIMATIONS[animation]
    return (
        picture
        for index, camera in enumerate(cameras)
        for picture in shoot(change(scene, index / len(cameras)), camera.reshape(1), shot, mode)
    )


def _interpolate(model: Generator, seeds: Sequence[int], direction: Direction) -> Iterator[Tensor]:
    loop = latent_loop(model, seeds, direction.frames, direction.psi)
    return _shoot_each(synthesize(model, loop), direction, model)


def _mix(model: Generator, seeds: Sequence[int], direction: Direction) -> Iterator[Tensor]:
    levels = direction.levels
    if levels is None:
        levels = [max(level for level, slots in enumerate(model.level_slots) if len(slots))]
    coarse = sample_w(model, seeds[:1], direction.psi)

    def mixed(styles: Tensor) -> Tensor:
        return mix(model, coarse.expand(len(styles), -1), styles, levels)

    styles = latent_loop(model, seeds[1:], direction.frames, direction.psi, mixed)
    return _shoot_each(synthesize(model, mixed(styles)), direction, model)


def _grow(model: Generator, seeds: Sequence[int], direction: Direction) -> Iterator[Tensor]:
    scenes = (growing(scene, time) for scene, time in _turns(model, seeds, direction))
    return _shoot_each(scenes, direction, model)


def _shrink(model: Generator, seeds: Sequence[int], direction: Direction) -> Iterator[Tensor]:
    scenes = (shrinking(scene, time) for scene, time in _turns(model, seeds, direction))
    return _shoot_each(scenes, direction, model)


def _levels(model: Generator, seeds: Sequence[int], direction: Direction) -> Iterator[Tensor]:
    for camera, (scene, time) in zip(_cameras(model, direction), _turns(model, seeds, direction), strict=True):
        position = time * scene.num_levels
        level = min(int(position), scene.num_levels - 1)
        following = (level + 1) % scene.num_levels
        passed = max(0.0, (position - level - 1) / CROSSFADE + 1)  # 0 for most of the level's time, 1 at its end
        alone = torch.lerp(*_pictures(scene, ((level, level), (following, following)), camera, direction), passed)
        united = torch.lerp(*_pictures(scene, ((0, level), (0, following)), camera, direction), passed)
        panes = [caption(alone, f"level {level}"), caption(united, f"levels 0-{level}" if level else "level 0")]
        yield grid(torch.stack(panes), columns=2)


def _pictures(
    scene: GaussianHierarchy, ranges: tuple[tuple[int, int], tuple[int, int]], camera: Cameras, direction: Direction
) -> tuple[Tensor, Tensor]:
    """The levels from first to last, for two such ranges."""
    first, second = (scene.levels(range(low, high + 1)) for low, high in ranges)
    return _picture(first, camera, direction), _picture(second, camera, direction)


def _turns(model: Generator, seeds: Sequence[int], direction: Direction) -> Iterator[tuple[GaussianHierarchy, float]]:
    """For every frame the scene whose turn it is, and how much of its turn is over, in 0..1."""
    current, scene = -1, None
    w = sample_w(model, seeds, direction.psi)
    for frame in range(direction.frames):
        time = frame / direction.frames * len(seeds)
        if int(time) != current or scene is None:
            current = int(time)
            scene = next(synthesize(model, w[current : current + 1]))
        yield scene, time - current


def _cameras(model: Generator, direction: Direction) -> Cameras:
    config = model.config
    focal = config.focal
    device = device_of(model)
    return camera_path(direction.trajectory, direction.frames, focal, config.poses.radius).to(device)


def _shoot_each(scenes: Iterator[GaussianHierarchy], direction: Direction, model: Generator) -> Iterator[Tensor]:
    """One picture of every scene, by the camera whose turn it is."""
    for camera, scene in zip(_cameras(model, direction), scenes, strict=True):
        yield _picture(scene, camera, direction)


def _picture(scene: GaussianHierarchy, camera: Cameras, direction: Direction) -> Tensor:
    return next(shoot(scene, camera.reshape(1), direction.shot, direction.mode))


KINDS: dict[str, Callable[[Generator, Sequence[int], Direction], Iterator[Tensor]]] = {
    "interpolate": _interpolate,
    "grow": _grow,
    "shrink": _shrink,
    "levels": _levels,
    "mix": _mix,
}
"""Kinds of films by name."""

LEAST_SEEDS = {"interpolate": 2, "mix": 3}
"""Seeds that a pane needs, where one is not enough."""
