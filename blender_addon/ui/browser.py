# SPDX-License-Identifier: GPL-3.0-or-later
"""What the seeds browser shows: the open batch, its thumbnails, and the menu made of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
import bpy.utils.previews

from ..core.toolkit.batches import Batch, BatchError, BatchScene, read_batch

MenuItem = tuple[str, str, str, int, int]
"""Identifier, label, description, icon and number of an entry."""

NOTHING: MenuItem = ("NONE", "No seeds", "Choose a folder made by hgs sample", 0, 0)


class Browser:
    """The one open batch.

    Attributes:
        folder: as the user wrote it; empty is none.
        batch: what is in it; None where it could not be read.
        problem: why not; the sentence to show.
        items: the menu. Blender does not keep the texts of a menu made by a function, so they are kept here.
        previews: thumbnails by the text of their path.
    """

    def __init__(self) -> None:
        self.folder, self.problem = "", ""
        self.batch: Batch | None = None
        self.items: list[MenuItem] = [NOTHING]
        self.previews: Any = bpy.utils.previews.new()

    def show(self, folder: str) -> None:
        """Open ``folder`` unless it is open already: cheap enough to be asked whenever something is drawn."""
        if folder != self.folder:
            self.open(folder)

    def open(self, folder: str) -> None:
        """Read ``folder``, again if need be."""
        self.folder, self.problem, self.batch = folder, "", None
        self.items = [NOTHING]
        self.previews.clear()
        if not folder:
            return
        try:
            self.batch = read_batch(Path(bpy.path.abspath(folder)))
        except BatchError as error:
            self.problem = str(error)
            return
        scenes = enumerate(self.batch.scenes)
        self.items = [self._item(number, scene) for number, scene in scenes] or [NOTHING]

    def present_batch(self) -> Batch:
        """The open batch; a :class:`BatchError` where none is open or it has no scenes."""
        if self.batch is None:
            raise BatchError(self.problem or "no batch is open; choose a folder made by hgs sample")
        if not self.batch.scenes:
            raise BatchError(f"the batch in {self.folder} has no scenes; choose another folder made by hgs sample")
        return self.batch

    def chosen(self, seed: str) -> BatchScene:
        """The scene of a menu entry; a :class:`BatchError` where no batch is open or it has no such seed."""
        batch = self.present_batch()
        if not seed.isdigit():  # Blender keeps the entry's place, and gives '' where the menu is shorter by now
            raise BatchError(
                f"the chosen seed is no longer in the batch in {self.folder}; choose one of its {len(batch.scenes)} "
                "scenes"
            )
        return batch.scene(int(seed))

    def close(self) -> None:
        """Give the thumbnails back."""
        bpy.utils.previews.remove(self.previews)

    def _item(self, number: int, scene: BatchScene) -> MenuItem:
        about = f"{scene.gaussians} Gaussians" if scene.gaussians else "a scene"
        return str(scene.seed), f"Seed {scene.seed}", about, self._icon(scene.thumbnail), number

    def _icon(self, thumbnail: Path | None) -> int:
        """Number of a thumbnail's icon, 0 for none; the image itself is read when it is first shown."""
        if thumbnail is None:
            return 0
        name = str(thumbnail)
        preview = self.previews.get(name) or self.previews.load(name, name, "IMAGE")
        return int(preview.icon_id)
