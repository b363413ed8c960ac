# SPDX-License-Identifier: GPL-3.0-or-later
"""Operators that run the program hgs beside Blender: they start it, watch it, wait for it and cancel it alike."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, ClassVar, Protocol

import bpy

from ..typed import Outcome, present

POLL_SECONDS = 0.2
"""Seconds between two looks at a program."""


class Run(Protocol):
    """A program that was started, and what it is for."""

    def poll(self) -> bool:
        """See how it is getting on, at once; whether it still runs."""

    def cancel(self) -> None:
        """Ask it to stop."""


class StartsRun:
    """Operators that start a program; without an event loop, or if asked to, they wait for it.

    Attributes:
        refusals: exceptions whose message is the reason why nothing was started.
    """

    wait: bpy.props.BoolProperty(
        name="Wait", description="Return when everything is made (for scripts)", options={"HIDDEN", "SKIP_SAVE"}
    )
    refusals: ClassVar[tuple[type[Exception], ...]]

    def start(self, context: bpy.types.Context) -> Run:
        """Start the program."""
        raise NotImplementedError

    def timer(self) -> Callable[[], float | None]:
        """What looks after the program where it is not waited for."""
        raise NotImplementedError

    def finish(self, context: bpy.types.Context) -> tuple[str, bool]:
        """Take what the program has made; what is to be said, and whether it failed."""
        raise NotImplementedError

    def execute(self, context: bpy.types.Context) -> Outcome:
        """Start it, and wait for it or leave it to the timer."""
        operator: Any = self
        try:
            run = self.start(context)
        except self.refusals as error:
            operator.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        if not (self.wait or bpy.app.background):
            bpy.app.timers.register(self.timer(), first_interval=POLL_SECONDS, persistent=True)
            return {"FINISHED"}
        while run.poll():
            time.sleep(POLL_SECONDS / 10)
        words, failed = self.finish(context)
        if words:
            operator.report({"ERROR" if failed else "INFO"}, words)
        return {"CANCELLED"} if failed else {"FINISHED"}


class CancelsRun:
    """Operators that stop a program."""

    @classmethod
    def run(cls) -> Run | None:
        """The program while it runs."""
        raise NotImplementedError

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """There must be something to cancel."""
        return cls.run() is not None

    def execute(self, context: bpy.types.Context) -> Outcome:
        """Ask it to stop; the timer sees to the rest."""
        run = self.run()
        if run is not None:
            run.cancel()
        return {"FINISHED"}


def watch(run: Run) -> bool:
    """A timer's look at a program: its panel is drawn anew; whether it still runs."""
    running = run.poll()
    for window in present(bpy.context.window_manager).windows:
        for area in window.screen.areas:
            if area.type == "VIEW_3D":
                area.tag_redraw()
    return running
