"""Animations over latents and levels: each kind makes images of a model's scenes that loop without a seam."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from hgs_toolkit.cameras import Cameras
from hgs_toolkit.conventions import DEFAULT_PSI
from hgs_toolkit.devices import device_of
from hgs_toolkit.errors import ConfigError
from hgs_toolkit.gaussians import GaussianHierarchy
from hgs_toolkit.imaging.camera_paths import camera_path
from hgs_toolkit.imaging.captions import caption
from hgs_toolkit.imaging.curves import closed_curve, repaced
from hgs_toolkit.imaging.images import grid
from hgs_toolkit.imaging.looks import grown
from hgs_toolkit.imaging.scene_images import ImageSettings, draw_images
from hgs_toolkit.model.generator import Generator
from hgs_toolkit.sampling import Classes, mix, sample_w, synthesize

MIN_SPLAT_SCALE = 0.12
"""Smallest factor on the Gaussians' size in an animation of kind shrink."""

GROWTH, REST = 0.5, 0.25
"""Shares of a turn in which a scene grows and in which it stays whole; it shrinks back in the rest."""

PROBES, MAX_PROBES, PROBE_SIZE = 48, 2000, 48
"""Test images by which the pace of a walk is set: least number for each seed, largest number for a long animation, and
their height and width in pixels."""

CROSSFADE = 0.25
"""Share of a level's time in which it fades into the next level."""


@dataclass(frozen=True)
class AnimationSettings:
    """Length, camera path and content of an animation.

    Attributes:
        frames: images of one turn of the loop.
        image: size and background of one pane.
        psi: truncation.
        trajectory: camera path; only closed ones (ellipse, orbit) loop without a seam.
        mode: what the images show, see :data:`hgs_toolkit.imaging.scene_images.MODES`.
        levels: levels whose styles change in an animation of kind mix; None is the finest level that has styles.
        panes: animations side by side, each with an equal share of the seeds.
        classes: for a model with classes the name of one, or one for each seed; None lets each seed draw its own.
    """

    frames: int = 120
    image: ImageSettings = field(default_factory=ImageSettings)
    psi: float = DEFAULT_PSI
    trajectory: str = "ellipse"
    mode: str = "rgb"
    levels: Sequence[int] | None = None
    panes: int = 1
    classes: Classes = None


def draw_animation(kind: str, model: Generator, seeds: Sequence[int], settings: AnimationSettings) -> Iterator[Tensor]:
    """Images (H, W, 3) in 0..1 of one turn of a loop, ``settings.frames`` of them.

    The pace of a walk (interpolate, mix) is set at once; each image is drawn when it is asked for.

    Args:
        kind: ``interpolate`` walks through the seeds' scenes, ``mix`` keeps the first seed's scene and walks through
            the others' styles at some levels, ``grow`` lets each scene grow out of its coarsest Gaussians and back,
            ``shrink`` makes all Gaussians small and large again, ``levels`` shows each level alone and, beside it,
            all up to it.

    Raises:
        ConfigError: if the kind, a level or a class is unknown, or the seeds are too few, not divisible among the
            panes, or more in a pane than there are frames.
    """
    if kind not in KINDS:
        raise ConfigError(f"kind '{kind}' is unknown; expected one of: {', '.join(KINDS)}")
    if settings.panes < 1 or len(seeds) % settings.panes:
        raise ConfigError(f"{len(seeds)} seeds in {settings.panes} panes; expected as many in each")
    if len(seeds) < settings.panes * MIN_SEEDS.get(kind, 1):
        raise ConfigError(
            f"{len(seeds)} seeds; an animation of kind {kind} needs {MIN_SEEDS.get(kind, 1)} in each pane"
        )
    share = len(seeds) // settings.panes
    if settings.frames < share:
        raise ConfigError(f"{settings.frames} frames for {share} seeds; expected at least one frame for each seed")
    stops = sample_w(model, seeds, settings.psi, classes=settings.classes)  # (seeds, w_dim)
    panes = [KINDS[kind](model, stops[i : i + share], settings) for i in range(0, len(seeds), share)]
    return panes[0] if len(panes) == 1 else (grid(torch.stack(images)) for images in zip(*panes, strict=True))


def latent_loop(model: Generator, seeds: Sequence[int], frames: int, psi: float = DEFAULT_PSI) -> Tensor:
    """Style vectors (frames, w_dim) along a smooth closed curve through those of ``seeds``; see :func:`style_loop`."""
    return style_loop(model, sample_w(model, seeds, psi), frames)


def style_loop(
    model: Generator, stops: Tensor, frames: int, transform: Callable[[Tensor], Tensor] = lambda w: w
) -> Tensor:
    """Style vectors (frames, w_dim) along a smooth closed curve through ``stops`` (B, w_dim), the first one first.

    Steps look even: small test images are drawn along the curve first, and the walk is slow where they change fast.
    Where they do not change, the pace is bounded, since half of a step's weight is its length in w.

    Args:
        transform: applied to w (M, w_dim) before scenes are made of it, such as mixing.
    """
    probes = max(PROBES * len(stops), min(frames, MAX_PROBES))
    curve = closed_curve(stops, probes)
    settings = AnimationSettings(probes, ImageSettings(PROBE_SIZE), trajectory="frontal")
    images = torch.stack(list(_draw_each(synthesize(model, transform(curve)), settings, model)))
    change = (images.roll(-1, 0) - images).abs().mean((1, 2, 3)).to(curve)
    step = (curve.roll(-1, 0) - curve).norm(dim=-1)
    if not step.sum() > 0:
        return curve[:1].expand(frames, -1)
    effort = step / step.mean() + change / change.mean().clamp_min(torch.finfo(change.dtype).tiny)
    return repaced(curve, effort, frames)


def growing(scene: GaussianHierarchy, time: float) -> GaussianHierarchy:
    """The scene at ``time`` (0..1) of a turn in which it grows, stays whole and shrinks back."""
    share = time / GROWTH if time < GROWTH else min(1.0, (1 - time) / (1 - GROWTH - REST))
    return grown(scene, share * scene.num_levels)


def shrinking(scene: GaussianHierarchy, time: float) -> GaussianHierarchy:
    """The scene at ``time`` (0..1) of a turn in which its Gaussians become small and large again."""
    log_scale = math.log(MIN_SPLAT_SCALE) * 0.5 * (1 - math.cos(2 * math.pi * time))
    return scene.replace(log_scales=scene.log_scales + log_scale)


ANIMATIONS: dict[str, Callable[[GaussianHierarchy, float], GaussianHierarchy]] = {
    "grow": growing,
    "shrink": shrinking,
}
"""The function that changes one scene over a turn, by name."""


def animate(
    scene: GaussianHierarchy,
    cameras: Cameras,
    image: ImageSettings,
    mode: str = "rgb",
    animation: str | None = None,
) -> Iterator[Tensor]:
    """As :func:`~hgs_toolkit.imaging.scene_images.draw_images`, of a scene that goes through one turn of an animation.

    Raises:
        ConfigError: at once, if ``mode`` or ``animation`` is unknown.
    """
    still = draw_images(scene, cameras, image, mode)
    if animation is None:
        return still
    if animation not in ANIMATIONS:
        raise ConfigError(f"animation '{animation}' is unknown; expected one of: {', '.join(ANIMATIONS)}")
    change = ANIMATIONS[animation]
    return (
        drawn
        for index, camera in enumerate(cameras)
        for drawn in draw_images(change(scene, index / len(cameras)), camera.reshape(1), image, mode)
    )


def _interpolate(model: Generator, stops: Tensor, settings: AnimationSettings) -> Iterator[Tensor]:
    return _draw_each(synthesize(model, style_loop(model, stops, settings.frames)), settings, model)


def _mix(model: Generator, stops: Tensor, settings: AnimationSettings) -> Iterator[Tensor]:
    levels = settings.levels
    if levels is None:
        levels = [max(level for level, slots in enumerate(model.level_slots) if len(slots))]

    def mixed(styles: Tensor) -> Tensor:
        return mix(model, stops[:1].expand(len(styles), -1), styles, levels)

    styles = style_loop(model, stops[1:], settings.frames, mixed)
    return _draw_each(synthesize(model, mixed(styles)), settings, model)


def _grow(model: Generator, stops: Tensor, settings: AnimationSettings) -> Iterator[Tensor]:
    scenes = (growing(scene, time) for scene, time in _turns(model, stops, settings))
    return _draw_each(scenes, settings, model)


def _shrink(model: Generator, stops: Tensor, settings: AnimationSettings) -> Iterator[Tensor]:
    scenes = (shrinking(scene, time) for scene, time in _turns(model, stops, settings))
    return _draw_each(scenes, settings, model)


def _levels(model: Generator, stops: Tensor, settings: AnimationSettings) -> Iterator[Tensor]:
    for camera, (scene, time) in zip(_cameras(model, settings), _turns(model, stops, settings), strict=True):
        position = time * scene.num_levels
        level = min(int(position), scene.num_levels - 1)
        following = (level + 1) % scene.num_levels
        passed = max(0.0, (position - level - 1) / CROSSFADE + 1)  # 0 for most of the level's time, 1 at its end
        alone = torch.lerp(*_draw_ranges(scene, ((level, level), (following, following)), camera, settings), passed)
        united = torch.lerp(*_draw_ranges(scene, ((0, level), (0, following)), camera, settings), passed)
        panes = [caption(alone, f"level {level}"), caption(united, f"levels 0-{level}" if level else "level 0")]
        yield grid(torch.stack(panes), columns=2)


def _draw_ranges(
    scene: GaussianHierarchy,
    ranges: tuple[tuple[int, int], tuple[int, int]],
    camera: Cameras,
    settings: AnimationSettings,
) -> tuple[Tensor, Tensor]:
    """Two images (H, W, 3), each of the levels from the first to the last of a range."""
    first, second = (scene.levels(range(low, high + 1)) for low, high in ranges)
    return _draw(first, camera, settings), _draw(second, camera, settings)


def _turns(model: Generator, stops: Tensor, settings: AnimationSettings) -> Iterator[tuple[GaussianHierarchy, float]]:
    """For every frame the scene whose turn it is, and how much of its turn is over (0..1)."""
    current, scene = -1, None
    for frame in range(settings.frames):
        time = frame / settings.frames * len(stops)
        if int(time) != current or scene is None:
            current = int(time)
            scene = next(synthesize(model, stops[current : current + 1]))
        yield scene, time - current


def _cameras(model: Generator, settings: AnimationSettings) -> Cameras:
    config = model.config
    focal = config.focal
    device = device_of(model)
    return camera_path(settings.trajectory, settings.frames, focal, config.poses.radius).to(device)


def _draw_each(scenes: Iterator[GaussianHierarchy], settings: AnimationSettings, model: Generator) -> Iterator[Tensor]:
    """One image (H, W, 3) of every scene, each by the next camera of the path."""
    for camera, scene in zip(_cameras(model, settings), scenes, strict=True):
        yield _draw(scene, camera, settings)


def _draw(scene: GaussianHierarchy, camera: Cameras, settings: AnimationSettings) -> Tensor:
    return next(draw_images(scene, camera.reshape(1), settings.image, settings.mode))


KINDS: dict[str, Callable[[Generator, Tensor, AnimationSettings], Iterator[Tensor]]] = {
    "interpolate": _interpolate,
    "grow": _grow,
    "shrink": _shrink,
    "levels": _levels,
    "mix": _mix,
}
"""The function that draws each kind of animation through style vectors (B, w_dim), one of each seed."""

MIN_SEEDS: dict[str, int] = {"interpolate": 2, "mix": 3}
"""Number of seeds that a pane needs, for the kinds where one is not enough."""
