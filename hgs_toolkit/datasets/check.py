"""A check of a posed dataset before training: it reads every image and label and lists all problems at once."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hgs_toolkit.conventions import LEAST_IMAGES
from hgs_toolkit.datasets.camera_check import CameraStatistics, Finding, camera_findings, measure_cameras
from hgs_toolkit.datasets.classes import read_classes
from hgs_toolkit.datasets.eg3d import ASSUME_CAMERAS, POSES, Labels, OnProgress, open_set, parse_label, read_label_file
from hgs_toolkit.datasets.images import (
    LEAST_SIDE,
    LEAST_STAGE,
    MAX_IMAGE_BYTES,
    decode,
    is_image,
    open_image,
    unread_images,
)
from hgs_toolkit.datasets.label_kinds import LABEL_FILE, is_class
from hgs_toolkit.datasets.storage import FileStore
from hgs_toolkit.errors import DataError
from hgs_toolkit.imaging.reading import has_alpha

FEW_IMAGES = 1000
"""Number of images below which a GAN repeats them."""

FEW_OF_CLASS = 50
"""Number of images below which a class is hardly learned."""

EXAMPLES = 3
"""Number of file names that a finding lists."""


@dataclass(frozen=True)
class AlphaStatistics:
    """What the alpha channel says; shares in [0, 1].

    Attributes:
        coverage: mean alpha.
        partial: share of pixels neither transparent nor opaque.
        touching: share of images whose subject touches the border.
        empty: number of images without any visible pixel.
        opaque: number of images without any transparent pixel.
    """

    coverage: float
    partial: float
    touching: float
    empty: int
    opaque: int


@dataclass(frozen=True)
class DatasetReport:
    """What a set holds and what is wrong with it.

    Attributes:
        path: folder or archive.
        images, labels: how many there are.
        kinds: number of images of each size and mode, such as ``64 x 64 RGBA``.
        alpha: None without an alpha channel.
        cameras: None without a usable label.
        findings: errors first.
        classes: number of images of each class; empty for a set without classes.
    """

    path: str
    images: int
    labels: int
    kinds: dict[str, int]
    alpha: AlphaStatistics | None
    cameras: CameraStatistics | None
    findings: tuple[Finding, ...]
    classes: dict[str, int]

    @property
    def errors(self) -> list[str]:
        """What keeps the set from being trained on."""
        return [finding.text for finding in self.findings if finding.severity == "error"]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return dataclasses.asdict(self) | {"trainable": not self.errors}


def check_dataset(path: str | Path, progress: OnProgress | None = None) -> DatasetReport:
    """Look at every image and label of an EG3D folder or zip.

    Raises:
        DataError: if ``path`` is neither a folder nor a zip archive; whatever else is wrong is in the report.
    """
    store = open_set(path)
    names = [name for name in store.names if is_image(name)]
    findings: list[Finding] = []
    if not names:
        findings.append(Finding("error", f"there is no PNG, JPEG or WebP image{unread_images(store.names)}"))
    elif len(names) < LEAST_IMAGES:
        findings.append(Finding("error", f"there are {len(names)} images; expected at least {LEAST_IMAGES}"))
    elif len(names) < FEW_IMAGES:
        findings.append(Finding("warning", f"{len(names)} images are few for a GAN; expected {FEW_IMAGES} or more"))
    pairs, facts = _label_file(store, findings)
    if POSES in facts:
        findings.append(Finding("warning", f"the poses are no measurement: {facts[POSES]}"))
    labels = _labels(names, pairs, findings)
    cameras = measure_cameras(labels) if len(labels) else None
    if cameras is not None:
        findings += camera_findings(labels, cameras)
    classes = _classes(facts, names, findings)
    kinds, alpha = _look(store, names, findings, progress)
    findings.sort(key=lambda finding: finding.severity)  # "error" comes before "warning"
    return DatasetReport(str(path), len(names), len(pairs), kinds, alpha, cameras, tuple(findings), classes)


def _label_file(store: FileStore, findings: list[Finding]) -> tuple[list[tuple[str, Any]], dict[str, Any]]:
    """Names with labels, and the other entries of dataset.json."""
    try:
        pairs, facts = read_label_file(store)
    except DataError as error:
        findings.append(Finding("error", str(error)))
        return [], {}
    if not pairs:
        findings.append(Finding("error", f"{LABEL_FILE} lists no labels; expected one for every image"))
    return pairs, facts


def _classes(facts: dict[str, Any], names: Sequence[str], findings: list[Finding]) -> dict[str, int]:
    """Number of images of each class."""
    try:
        found = read_classes(facts, names)
    except DataError as error:
        findings.append(Finding("error", str(error)))
        return {}
    if found is None:
        return {}
    counts = found.counts()
    if rare := [f"{text} ({count})" for text, count in counts.items() if count < FEW_OF_CLASS]:
        shown = ", ".join(rare[:EXAMPLES]) + (", …" if len(rare) > EXAMPLES else "")
        findings.append(Finding("warning", f"{len(rare)} classes have fewer than {FEW_OF_CLASS} images: {shown}"))
    return counts


def _labels(names: Sequence[str], pairs: Sequence[tuple[str, Any]], findings: list[Finding]) -> Labels:
    """The usable labels (n, 25) of the images."""
    by_name = dict(pairs)
    problems = [
        ("error", "images have no label", [name for name in names if pairs and name not in by_name]),
        ("warning", "labels have no image", sorted(set(by_name) - set(names))),
        (
            "error",
            "images have two different labels",
            sorted({name for name, label in pairs if by_name[name] != label}),
        ),
    ]
    usable, broken = [], []
    for name in names:
        if name in by_name:
            try:
                usable.append(parse_label(by_name[name], name))
            except DataError:
                broken.append(name)
    classes = [name for name in broken if is_class(by_name[name])]
    others = [name for name in broken if name not in set(classes)]
    problems.append(("error", f"labels in {LABEL_FILE} are classes and no cameras ({ASSUME_CAMERAS})", classes))
    problems.append(("error", f"labels in {LABEL_FILE} are not 25 finite numbers", others))
    findings += _listed(problems)
    return np.array(usable, dtype=np.float32).reshape(-1, 25)


def _look(
    store: FileStore, names: Sequence[str], findings: list[Finding], progress: OnProgress | None
) -> tuple[dict[str, int], AlphaStatistics | None]:
    """Sizes, modes and alpha of all images; adds what is wrong with them."""
    kinds: Counter[str] = Counter()
    shapes: set[tuple[tuple[int, int], bool]] = set()
    unread, not_square, alphas = [], [], []
    for done, name in enumerate(names, start=1):
        try:
            with open_image(store.read(name, MAX_IMAGE_BYTES), name) as image:
                kinds[f"{image.width} x {image.height} {image.mode}"] += 1
                shapes.add((image.size, has_alpha(image)))
                if image.width != image.height:
                    not_square.append(name)
                pixels = decode(image, name)
            if pixels.shape[2] == 4:
                alphas.append(_alpha_row(pixels[..., 3]))
        except DataError as error:
            unread.append(str(error))
        if progress is not None:
            progress(done, len(names))
    findings += _listed([("error", "images cannot be read", unread), ("error", "images are not square", not_square)])
    if len(shapes) > 1:
        found = ", ".join(f"{count} of {kind}" for kind, count in kinds.most_common())
        findings.append(Finding("error", f"images differ in size or mode: {found}; expected one size and mode"))
    elif shapes:
        findings += _size_findings(min(shapes)[0][0])
    alpha = _alpha_statistics(np.array(alphas)) if alphas else None
    if alpha is not None:
        findings += _alpha_findings(alpha, len(alphas))
    return dict(kinds.most_common()), alpha


def _size_findings(side: int) -> Iterator[Finding]:
    """What is wrong with a side in pixels: discriminators see powers of two from 8 pixels on, plans from 16."""
    if side % LEAST_SIDE:
        expected = f"a multiple of {LEAST_SIDE}, which can be averaged down to a size that is trained at"
        yield Finding("error", f"images have {side} pixels a side; expected {expected}: resize them")
    elif side % LEAST_STAGE:
        expected = f"{LEAST_STAGE} times a whole number, which can be averaged down to the sizes of the stages"
        yield Finding("warning", f"images have {side} pixels a side; a plan expects {expected}: resize them")


def _alpha_row(alpha: np.ndarray[Any, np.dtype[np.uint8]]) -> tuple[float, float, bool, bool, bool]:
    border = max(edge.max() for edge in (alpha[0], alpha[-1], alpha[:, 0], alpha[:, -1]))
    partial = ((alpha > 0) & (alpha < 255)).mean()
    return float(alpha.mean()) / 255, float(partial), bool(border > 0), not alpha.any(), bool(alpha.min() == 255)


def _alpha_statistics(rows: np.ndarray[Any, np.dtype[np.float64]]) -> AlphaStatistics:
    coverage, partial, touching = (float(value) for value in rows[:, :3].mean(axis=0))
    return AlphaStatistics(coverage, partial, touching, int(rows[:, 3].sum()), int(rows[:, 4].sum()))


def _alpha_findings(alpha: AlphaStatistics, images: int) -> Iterator[Finding]:
    if alpha.empty:
        yield Finding("warning", f"{alpha.empty} images are entirely transparent")
    if alpha.opaque == images:
        yield Finding("warning", "the alpha channel is opaque everywhere; store RGB instead")
    if alpha.touching > 0.1 and alpha.opaque < images:
        yield Finding(
            "warning", f"the subject touches the border in {alpha.touching:.0%} of the images; is it cut off?"
        )


def _listed(problems: Sequence[tuple[Any, str, Sequence[str]]]) -> Iterator[Finding]:
    """One finding for each problem that concerns any file, with the first names."""
    for severity, text, names in problems:
        if names:
            examples = ", ".join(names[:EXAMPLES]) + (", …" if len(names) > EXAMPLES else "")
            yield Finding(severity, f"{len(names)} {text}: {examples}")
