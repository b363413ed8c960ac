"""Work that is done for the latest request only: what a dragged slider asks for in between is left out."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

logger = logging.getLogger(__name__)


class LatestOnly:
    """A thread that runs ``work`` after each request; requests made while it runs become one.

    An exception of ``work`` goes to ``failed`` and into the log; the thread goes on.
    """

    def __init__(self, work: Callable[[], None], failed: Callable[[Exception], None]) -> None:
        self._work, self._failed = work, failed
        self._wanted = threading.Condition()
        self._requests, self._done, self._closed = 0, 0, False
        self._thread = threading.Thread(target=self._run, name="hgs-viewer", daemon=True)
        self._thread.start()

    def request(self) -> None:
        """Ask for the work to be done, soon."""
        with self._wanted:
            self._requests += 1
            self._wanted.notify_all()

    def wait(self, timeout: float | None = None) -> bool:
        """Whether all that was asked for before is done, after waiting for it."""
        with self._wanted:
            until = self._requests
            return self._wanted.wait_for(lambda: self._done >= until or self._closed, timeout)

    def close(self) -> None:
        """End the thread, after what it is doing."""
        with self._wanted:
            self._closed = True
            self._wanted.notify_all()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._wanted:
                self._wanted.wait_for(lambda: self._requests > self._done or self._closed)
                if self._closed:
                    return
                current = self._requests
            try:
                self._work()
            except Exception as error:
                logger.warning("the viewer could not follow: %s", error)
                self._failed(error)
            with self._wanted:
                self._done = current
                self._wanted.notify_all()
