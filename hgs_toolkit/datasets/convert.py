"""Other programs' posed images as an EG3D set: world placed, squares cut, one size and mode, labels written."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image

from hgs_toolkit.datasets.classes import CLASSES, ClassLabel, folder_names, read_classes, top_folder
from hgs_toolkit.datasets.eg3d import POSES, Labels, OnProgress
from hgs_toolkit.datasets.eg3d_writer import open_writer, refuse_within
from hgs_toolkit.datasets.framing import CROPS, Square, choose_square, compose_over, cut
from hgs_toolkit.datasets.images import LEAST_SIDE, LEAST_STAGE, MAX_IMAGE_SIDE, Pixels, open_image
from hgs_toolkit.datasets.label_kinds import label_file, read_class_labels, says_cameras
from hgs_toolkit.datasets.sources.photographs import MAX_PHOTO_BYTES, MAX_PHOTO_SIDE, Lens, Photograph, Scene, gather
from hgs_toolkit.datasets.storage import FileStore
from hgs_toolkit.datasets.world import Placement, PlacementOptions, place_scene, world_misfits
from hgs_toolkit.errors import DataError
from hgs_toolkit.imaging.reading import check_mode, has_alpha, to_rgb, upright_size

logger = logging.getLogger(__name__)

T = TypeVar("T")

Color = tuple[float, float, float]


@dataclass(frozen=True)
class Framing:
    """How square images are made of photographs.

    Attributes:
        crop: one of CROPS; see :func:`choose_square`.
        resolution: side of the images in pixels; None takes the largest multiple of 16 in the smallest square.
        background: opaque colour behind transparent pixels, display RGB in 0..1; None keeps alpha.
    """

    crop: str = "principal"
    resolution: int | None = None
    background: Color | None = None

    def __post_init__(self) -> None:
        if self.crop not in CROPS:
            raise DataError(f"the crop is '{self.crop}'; expected {', '.join(CROPS)}")
        if self.resolution is not None and not LEAST_SIDE <= self.resolution <= MAX_IMAGE_SIDE:
            raise DataError(f"the resolution is {self.resolution}; expected {LEAST_SIDE} ... {MAX_IMAGE_SIDE} pixels")


@dataclass(frozen=True)
class ClassOf:
    """Classes of photographs.

    Attributes:
        names: of the numbers of a class vector.
        kind_of: from a photograph to its class, a number or a vector.
    """

    names: Sequence[str]
    kind_of: Callable[[Photograph], ClassLabel]


def image_classes(scenes: Sequence[Scene]) -> ClassOf:
    """The classes of the photographs: those that a StyleGAN set's labels name, else a class for each folder.

    Raises:
        DataError: naming the photograph that has no class, or whose label is not as the others are.
    """
    return label_classes(scenes) or folder_classes(scenes)


def label_classes(scenes: Sequence[Scene]) -> ClassOf | None:
    """The classes that dataset.json beside the photographs names; None if there is no such file.

    Raises:
        DataError: naming the photograph that has no class, or whose label is not as the others are.
    """
    photographs = [photograph for scene in scenes for photograph in scene.photographs]
    found = {key: read_class_labels(store) for key, store in _stores(scenes).items()}
    if all(labels is None for labels in found.values()):
        return None
    named = {photograph.image: (found[id(photograph.store)] or {}).get(photograph.image) for photograph in photographs}
    entry = {"labels": [[name, label] for name, label in named.items() if label is not None]}
    classes = read_classes({CLASSES: entry}, list(named))
    assert classes is not None
    vectors = dict(zip(named, classes.vectors.tolist(), strict=True))
    return ClassOf(classes.names, lambda photograph: vectors[photograph.image])


def has_label_classes(scenes: Sequence[Scene]) -> bool:
    """Whether dataset.json beside the photographs names classes, be they usable or not."""
    return any(label_file(store) and not says_cameras(store) for store in _stores(scenes).values())


def _stores(scenes: Sequence[Scene]) -> dict[int, FileStore]:
    """Where the photographs lie, by the identity of the store."""
    return {id(photograph.store): photograph.store for scene in scenes for photograph in scene.photographs}


def folder_classes(scenes: Sequence[Scene]) -> ClassOf:
    """A class for each of the folders in which the photographs lie.

    Raises:
        DataError: if one lies in no folder, or all lie in one.
    """
    names = folder_names([photograph.image for scene in scenes for photograph in scene.photographs])
    return ClassOf(names, lambda photograph: names.index(top_folder(photograph.image)))


@dataclass(frozen=True)
class Converted:
    """What was written.

    Attributes:
        images: how many were written.
        resolution: their side, pixels.
        mode: ``RGB`` or ``RGBA``.
        enlarged: how many are larger than what was cut out.
        worlds: name, number of images and placement of each scene.
        assumed: how the poses were made up; None if they were measured.
        misfits: what does not fit training in worlds that were kept as they are.
        unplaced: number of scenes that are left out as a whole, since nothing tells where their subject is.
    """

    images: int
    resolution: int
    mode: str
    enlarged: int
    worlds: tuple[tuple[str, int, str], ...]
    assumed: str | None
    misfits: tuple[str, ...] = ()
    unplaced: int = 0


@dataclass(frozen=True, eq=False)
class _Cutting:
    """A photograph placed in the new world, its lens in pixels of the file, and the square of it that is kept."""

    photograph: Photograph
    lens: Lens
    square: Square
    transparent: bool

    @property
    def side(self) -> int:
        """Whole pixels of the square's shorter side."""
        return int(min(self.square.width, self.square.height) + 1e-6)

    @property
    def label(self) -> Labels:
        """The EG3D label (25,)."""
        parts = (self.photograph.cam_to_world.reshape(16), self.square.intrinsics(self.lens).reshape(9))
        return np.concatenate(parts).astype(np.float32)

    def draw(self, size: int, mode: str, background: Color | None) -> Pixels:
        """Pixels (size, size, 3 | 4)."""
        pixels = cut(_read(self.photograph), self.lens, self.square, size)
        if background is not None:
            pixels = compose_over(pixels, background)
        return pixels[..., :3] if mode == "RGB" else pixels


def convert_scenes(
    scenes: Sequence[Scene], out: str | Path, world: PlacementOptions, framing: Framing, *, force: bool = False,
    problems: list[str] | None = None, progress: OnProgress | None = None, classes: ClassOf | None = None,
) -> Converted:  # fmt: skip
    """Write ``scenes`` as one EG3D zip or folder; every scene is placed in a world of its own.

    Args:
        out: zip archive (``.zip``) or folder; appears when everything is made.
        problems: takes what is wrong with images, and with scenes that cannot be placed, that are left out; None
            raises it.
        progress: called with (images done, all).
        classes: names of the classes and the class of each photograph; None for a set without classes.

    Raises:
        HgsError: naming the image or scene that cannot be used, or if ``out`` cannot be written, or lies in the
            folder of the images or around it.
    """
    for store in _stores(scenes).values():
        refuse_within(store.path, Path(out))
    cuttings: list[_Cutting] = []
    worlds: list[tuple[str, int, str]] = []
    misfits: list[str] = []
    unplaced = 0
    for scene in scenes:
        measured = list(gather([partial(_measure, each, framing.crop) for each in scene.photographs], problems))
        placements = list(gather([partial(_placement, measured, scene, world)] if measured else [], problems))
        unplaced += bool(measured) and not placements
        for placement in placements:
            placed = [_placed(cutting, placement) for cutting in measured]
            cuttings += placed
            if scene.assumed is None:
                misfits += world_misfits(np.stack([each.photograph.cam_to_world for each in placed]), scene.name)
            worlds.append((scene.name, len(measured), str(placement)))
    if not cuttings:
        raise DataError("none of the images can be used" + (f": {problems[0]}" if problems else ""))
    size = framing.resolution or _own_size(cuttings)
    keeps_alpha = framing.background is None and any(cutting.transparent for cutting in cuttings)
    mode = "RGBA" if keeps_alpha else "RGB"
    assumed = next((scene.assumed for scene in scenes if scene.assumed is not None), None)
    with open_writer(out, force=force) as writer:
        drawings = [partial(_drawn, cutting, size, mode, framing.background) for cutting in cuttings]
        writer.class_names = classes.names if classes is not None else ()
        for pixels, label, photograph in gather(_counted(drawings, progress), problems):
            writer.add(pixels, label, None if classes is None else classes.kind_of(photograph))
        if not len(writer):
            raise DataError(f"none of the images can be used: {problems[0] if problems else ''}")
        writer.facts |= {POSES: assumed} if assumed is not None else {}
    enlarged = sum(cutting.side < size for cutting in cuttings)
    return Converted(len(writer), size, mode, enlarged, tuple(worlds), assumed, tuple(misfits), unplaced)


def usable_sides(scenes: Sequence[Scene], crop: str = "principal") -> list[tuple[Photograph, int]]:
    """The photographs that a square can be cut from, by the headers of their files, with its side in whole pixels."""
    makers = [partial(_measure, photograph, crop) for scene in scenes for photograph in scene.photographs]
    return [(cutting.photograph, cutting.side) for cutting in gather(makers, [])]


def _own_size(cuttings: Sequence[_Cutting]) -> int:
    """Side of the images that nobody chose: what training takes of the smallest square, and readers read."""
    side = min(cutting.side for cutting in cuttings)
    if side > MAX_IMAGE_SIDE:
        logger.warning(
            "the smallest square has %d pixels a side; the images are made %d, the most that are read: "
            "--resolution chooses less", side, MAX_IMAGE_SIDE,
        )  # fmt: skip
    side = min(side, MAX_IMAGE_SIDE)
    return side - side % LEAST_STAGE if side > LEAST_STAGE else side


def _measure(photograph: Photograph, crop: str) -> _Cutting:
    """What is kept of a photograph, from the headers of its files."""
    with _open(photograph.store, photograph.image) as image:
        check_mode(image, photograph.image)
        transparent = has_alpha(image) or photograph.mask is not None
        size = upright_size(image) if _is_turned(image, photograph) else image.size
        if min(size) < LEAST_SIDE:
            raise DataError(f"{photograph.image} is {size[0]} x {size[1]}; expected {LEAST_SIDE} pixels a side or more")
        lens = photograph.lens.resized(size, photograph.image)
    square = choose_square(lens, crop, photograph.image)
    if min(square.width, square.height) < LEAST_SIDE:
        raise DataError(
            f"{photograph.image}: the largest square around its principal point ({lens.cx:g}, {lens.cy:g}) has "
            f"{min(square.width, square.height):.3g} pixels; expected {LEAST_SIDE} or more: give cx and cy in pixels, "
            "or --crop center"
        )
    whole = lens.is_pinhole and abs(square.width - lens.width) < 1 and abs(square.height - lens.height) < 1
    transparent |= crop == "pad" and not whole  # what is beyond the photograph
    return _Cutting(photograph, lens, square, transparent)


def _placement(cuttings: Sequence[_Cutting], scene: Scene, world: PlacementOptions) -> Placement:
    if scene.assumed is not None or (scene.placed and world == PlacementOptions()):  # in our world already
        return Placement.identity()
    return place_scene(np.stack([each.photograph.cam_to_world for each in cuttings]), world, scene.name)


def _placed(cutting: _Cutting, placement: Placement) -> _Cutting:
    photograph = replace(cutting.photograph, cam_to_world=placement.apply(cutting.photograph.cam_to_world))
    return replace(cutting, photograph=photograph)


def _drawn(cutting: _Cutting, size: int, mode: str, background: Color | None) -> tuple[Pixels, Labels, Photograph]:
    return cutting.draw(size, mode, background), cutting.label, cutting.photograph


def _counted(makers: Sequence[Callable[[], T]], progress: OnProgress | None) -> Iterator[Callable[[], T]]:
    for done, make in enumerate(makers):
        if progress is not None:
            progress(done, len(makers))
        yield make
    if progress is not None:
        progress(len(makers), len(makers))


def _read(photograph: Photograph) -> Image.Image:
    """The photograph as RGBA; a mask takes away from its alpha."""
    try:
        with _open(photograph.store, photograph.image) as image:
            turned = _is_turned(image, photograph)
            pixels = to_rgb(image, photograph.image, turn=turned).convert("RGBA")
        if photograph.mask is not None:
            with _open(photograph.store, photograph.mask) as image:
                mask = _opacity(to_rgb(image, photograph.mask, turn=turned))
            if mask.shape[::-1] != pixels.size:
                raise DataError(
                    f"the mask {photograph.mask} is {mask.shape[1]} x {mask.shape[0]}, its image {pixels.width} x "
                    f"{pixels.height}; expected one size"
                )
            alpha = masked_alpha(np.asarray(pixels.getchannel("A")), mask)
            pixels.putalpha(Image.fromarray(alpha))
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{photograph.image} or its mask is broken: {error}") from error
    return pixels


def _opacity(mask: Image.Image) -> Pixels:
    """What a mask lets through (H, W): its alpha, if that varies, else its brightness."""
    if mask.mode == "RGBA":
        alpha = np.asarray(mask.getchannel("A"))
        if alpha.min() < alpha.max():
            return alpha
    return np.asarray(mask.convert("L"))


def masked_alpha(alpha: Pixels, mask: Pixels) -> Pixels:
    """The alpha (H, W) of an image with an alpha of its own (255 for none) and a mask: the smaller of both.

    A hard mask that is no more than this alpha rounded, at whatever threshold, says nothing new: the soft edge stays.
    """
    inside = mask == 255
    hard = inside.any() and not mask[~inside].any()
    if hard and not inside.all() and alpha[~inside].max() < alpha[inside].min():
        return alpha
    return np.minimum(alpha, mask)


def _is_turned(image: Image.Image, photograph: Photograph) -> bool:
    """Whether the photograph's camera is one for the upright image, not for the pixels as they are stored."""
    lens = photograph.lens
    return photograph.upright or (lens.is_for(upright_size(image)) and not lens.is_for(image.size))


def _open(store: FileStore, name: str) -> Image.Image:
    return open_image(store.read(name, MAX_PHOTO_BYTES), name, MAX_PHOTO_SIDE)
