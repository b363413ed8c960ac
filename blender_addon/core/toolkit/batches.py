# SPDX-License-Identifier: GPL-3.0-or-later
"""Batches: what ``hgs sample`` leaves in a folder, read from its ``manifest.json``; and how one is ordered.

A manifest may come from anywhere, so it is data and no authority: a file it names must lie in its own folder, and a
name that could lead elsewhere condemns the manifest.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MANIFEST = "manifest.json"

MAX_MANIFEST = 32 * 1024 * 1024
"""Bytes; one scene takes some 150."""

MAX_SCENES = 100_000

SCENE_KINDS = ("hgs", "ply", "spz", "splat")
"""Files of a scene that can be imported, the best first."""

THUMBNAIL = "png"

FORBIDDEN_IN_NAMES = frozenset("/\\:\0")
"""Path separators of every system, the colon of Windows' drives and streams, and the end of C strings."""

MODEL_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
"""What a name of ``hgs models`` may look like: never an option, a path or a file."""

SEEDS = re.compile(r"\d+(-\d+)?(,\d+(-\d+)?)*")


class BatchError(ValueError):
    """A folder, manifest or order that cannot be used; the message is for the user."""


@dataclass(frozen=True)
class BatchScene:
    """One scene of a batch.

    Attributes:
        seed: it was made from.
        files: kind (``hgs``, ``png``, ...) to path; all lie in the batch's folder.
        gaussians: how many, 0 where the manifest does not say.
    """

    seed: int
    files: Mapping[str, Path]
    gaussians: int = 0

    @property
    def asset(self) -> Path | None:
        """The file to import, or None where there is none."""
        return next((self.files[kind] for kind in SCENE_KINDS if kind in self.files), None)

    @property
    def thumbnail(self) -> Path | None:
        """Its image, where there is one."""
        return self.files.get(THUMBNAIL)


@dataclass(frozen=True)
class Batch:
    """A folder of scenes; ``psi`` and ``generator`` as the manifest says, if it does."""

    folder: Path
    scenes: tuple[BatchScene, ...]
    psi: float | None = None
    generator: str = ""

    def scene(self, seed: int) -> BatchScene:
        """The scene of ``seed``; a :class:`BatchError` if there is none."""
        for scene in self.scenes:
            if scene.seed == seed:
                return scene
        raise BatchError(f"the batch in {self.folder} has no seed {seed}; choose one of its {len(self.scenes)} scenes")


def read_batch(folder: str | Path) -> Batch:
    """The batch in ``folder``; files that the manifest names but that are gone are left out.

    Raises:
        BatchError: if there is no manifest, it cannot be understood, or it names a file that is not a plain name.
    """
    folder = Path(folder)
    manifest = _read_json(folder / MANIFEST)
    scenes = manifest.get("scenes")
    if not isinstance(scenes, list) or len(scenes) > MAX_SCENES:
        raise BatchError(f"{folder / MANIFEST} has no list 'scenes' of at most {MAX_SCENES}; make it with 'hgs sample'")
    psi, generator = manifest.get("psi"), manifest.get("generator")
    return Batch(
        folder,
        tuple(_scene(folder, entry) for entry in scenes),
        psi=float(psi) if isinstance(psi, int | float) else None,
        generator=generator if isinstance(generator, str) else "",
    )


def safe_file(folder: Path, name: object) -> Path:
    """``folder / name`` for a plain file name; anything else is refused.

    Raises:
        BatchError: if ``name`` is no text, has a separator, is empty or one of the names of folders.
    """
    if not isinstance(name, str) or not name or name in (".", "..") or FORBIDDEN_IN_NAMES & set(name):
        shown = repr(name)[:80]
        raise BatchError(f"{folder / MANIFEST} names the file {shown}; expected plain names, nothing was read")
    return folder / name


def sample_command(
    executable: str, out: Path, *, seeds: str, psi: float, model: str = "", size: int = 256, kind: str = ""
) -> list[str]:
    """Arguments of ``hgs sample`` that make a batch with thumbnails in ``out``.

    Args:
        executable: path of ``hgs``.
        seeds: such as ``0-15`` or ``1,5,9-12``.
        psi: truncation.
        model: a ``model.safetensors``, a run folder, or a name that ``hgs models`` lists; empty is the default model.
        size: side of the thumbnails, pixels.
        kind: class of all scenes; empty lets each seed draw its own, as does a model without classes.

    Raises:
        BatchError: if ``seeds`` is something else or ``model`` does not exist.
    """
    seeds = seeds.replace(" ", "")
    if not SEEDS.fullmatch(seeds):
        raise BatchError(f"seeds '{seeds}'; expected numbers and ranges, such as 0-15 or 1,5,9-12")
    # Absolute: a path that begins with a dash would be an option.
    where = [os.path.abspath(os.path.expanduser(model))] if model else []
    if where and not os.path.exists(where[0]):
        if not MODEL_NAME.fullmatch(model):
            raise BatchError(
                f"the model {where[0]} does not exist; expected a file, a run folder, a name that 'hgs models' lists, "
                "or an empty field for the default model"
            )
        where = [model]  # one that ships; 'hgs sample' refuses a name that it does not know
    return [
        executable, "sample", *where, f"--seeds={seeds}", f"--psi={psi:g}", f"--out={out}", "--save=hgs,png",
        f"--size={size}", "--json-progress", *([f"--class={kind}"] if kind else []),
    ]  # fmt: skip


def new_folder(parent: Path, stem: str = "batch") -> Path:
    """Create and return the first free ``parent/stem-0001``, ``-0002``, ..."""
    for number in range(1, 10_000):
        folder = parent / f"{stem}-{number:04d}"
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise BatchError(f"cannot create {folder}: {error.strerror}; choose another output folder") from error
        return folder
    raise BatchError(f"{parent} is full of batches; choose another output folder")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MAX_MANIFEST:
            raise BatchError(f"{path} has {path.stat().st_size} bytes; a manifest has at most {MAX_MANIFEST}")
        value = json.loads(path.read_bytes())
    except OSError as error:
        raise BatchError(f"cannot read {path}: {error.strerror}; choose a folder made by 'hgs sample'") from error
    except (ValueError, RecursionError) as error:
        if isinstance(error, BatchError):
            raise
        raise BatchError(f"{path} is no JSON ({error}); make the batch anew with 'hgs sample'") from error
    if not isinstance(value, dict):
        raise BatchError(f"{path} holds no JSON object; make the batch anew with 'hgs sample'")
    return value


def _scene(folder: Path, entry: object) -> BatchScene:
    seed = entry.get("seed") if isinstance(entry, dict) else None
    if not isinstance(entry, dict) or not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
        raise BatchError(f"{folder / MANIFEST} has a scene without a whole number as seed; make the batch anew")
    names = entry.get("files")
    if not isinstance(names, dict):
        raise BatchError(f"{folder / MANIFEST}: the scene of seed {seed} lists no files; make the batch anew")
    files = {str(kind): safe_file(folder, name) for kind, name in names.items()}
    count = entry.get("gaussians")
    return BatchScene(
        seed,
        {kind: path for kind, path in files.items() if path.is_file()},
        gaussians=count if isinstance(count, int) else 0,
    )
