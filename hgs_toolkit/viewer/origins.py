"""Whose web pages may talk to the viewer.

Browsers let any page open a websocket to any server, this machine's included; it is for the server to look at the
``Origin`` header, which names the page's (RFC 6455, section 10.2). Viser does not look and has no setting for it, while
the websockets library, which it serves with, has one.
"""

from __future__ import annotations

import functools
import ipaddress
import re
from collections.abc import Iterator
from contextlib import contextmanager

LOCAL_PAGES = re.compile(r"https?://(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d+)?")
"""Origins of pages that this machine serves; any port, since a tunnel from elsewhere may end in another."""


def is_loopback(host: str) -> bool:
    """Whether ``host`` is an address of this machine alone."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@contextmanager
def local_pages_only() -> Iterator[None]:
    """Servers that websockets starts while this is open refuse pages of other machines.

    Programs, which name no origin, are let in: whoever can run one here needs no web page.
    """
    from websockets.asyncio import server

    serve = server.serve
    server.serve = functools.partial(serve, origins=[LOCAL_PAGES, None])  # type: ignore[misc, assignment]
    try:
        yield
    finally:
        server.serve = serve  # type: ignore[misc]
