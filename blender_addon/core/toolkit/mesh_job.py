# SPDX-License-Identifier: GPL-3.0-or-later
"""One run of ``hgs mesh`` on Gaussians that were written for it, in a folder that goes when it ends."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..files.writing import write_splats
from ..splats import ActivatedSplats
from .jobs import Job, State

SOURCE, RESULT = "splats.hgs", "mesh.glb"


@dataclass(frozen=True)
class MeshOrder:
    """What mesh is wanted.

    Attributes:
        resolution: grid points along the longest side.
        faces: triangles at most.
        textured: colours in an image, otherwise at the vertices.
        unlit: colours as they are, without lamps.
    """

    resolution: int
    faces: int
    textured: bool
    unlit: bool

    def command(self, executable: str, folder: Path) -> list[str]:
        """Arguments of ``hgs mesh`` that make RESULT of SOURCE in ``folder``."""
        color = "texture" if self.textured else "vertex"
        return [
            executable, "mesh", str(folder / SOURCE), str(folder / RESULT), f"--resolution={self.resolution}",
            f"--faces={self.faces}", f"--color={color}", *(["--unlit"] if self.unlit else []), "--json-progress",
        ]  # fmt: skip


class MeshMaking:
    """A running or ended making of a mesh.

    Attributes:
        job: the program.
        mesh: the file it made, y up, once it is done; :meth:`close` removes it.
        problem: why there is none, once it has ended without one; the sentence to show.
    """

    def __init__(
        self,
        executable: str,
        folder: Path,
        splats: ActivatedSplats,
        order: MeshOrder,
        timeout: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Write ``splats``, which have y up, into the empty ``folder``, and start the program on them.

        Raises:
            JobError: if it cannot be run.
            OSError: if the file cannot be written.
        """
        self.folder = folder
        self.mesh: Path | None = None
        self.problem = ""
        try:
            write_splats(folder / SOURCE, splats)
            self.job = Job(order.command(executable, folder), timeout=timeout, clock=clock)
        except Exception:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    @property
    def running(self) -> bool:
        """Whether there is still something to wait for."""
        return self.mesh is None and not self.problem

    def poll(self) -> bool:
        """See how it is getting on, at once; whether it still runs."""
        if self.running and self.job.poll() not in (State.RUNNING, State.STOPPING):
            if self.job.state is not State.DONE:
                self.problem = self.job.text
            elif not (self.folder / RESULT).is_file():
                self.problem = f"{self.job.argv[0]} ended without a mesh"
            else:
                self.mesh = self.folder / RESULT
        return self.running

    def cancel(self) -> None:
        """Ask it to stop."""
        self.job.cancel()

    def close(self) -> None:
        """End it now, for certain, and remove its folder."""
        self.job.close()
        self.problem = self.problem or self.job.text
        shutil.rmtree(self.folder, ignore_errors=True)
