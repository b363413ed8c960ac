"""The viewer's server: viser on one address, without its tunnel to the outside and its words on stdout."""

from __future__ import annotations

import contextlib
import errno
import io
import socket
from typing import TYPE_CHECKING

from hgs_toolkit.errors import HgsError, MissingExtraError
from hgs_toolkit.viewer.origins import is_loopback, local_pages_only

if TYPE_CHECKING:
    import viser

LOCALHOST = "127.0.0.1"

DEFAULT_PORT = 8080
TRIES = 20
"""Ports from the default on that are tried where none was asked for."""


def start_server(host: str = LOCALHOST, port: int | None = None) -> viser.ViserServer:
    """A running server on ``host``: this machine and its own pages only, unless it is told otherwise.

    Args:
        port: None takes the first free one from DEFAULT_PORT on.

    Raises:
        MissingExtraError: if viser is not installed.
        HgsError: if the port is in use or may not be used, or the host is not this machine's.
    """
    try:
        import viser
    except ImportError:
        raise MissingExtraError("viser", "viewer", "the live viewer") from None

    class Server(viser.ViserServer):
        """Viser would open a tunnel to a server of its makers if a client asks for one."""

        def request_share_url(self, verbose: bool = True) -> str | None:  # noqa: ARG002
            return None

    port = _free_port(host, port)
    guard = local_pages_only() if is_loopback(host) else contextlib.nullcontext()
    with contextlib.redirect_stdout(io.StringIO()), guard:
        return Server(host=host, port=port, label="hgs view", verbose=False)


def _free_port(host: str, wanted: int | None) -> int:
    ports = range(DEFAULT_PORT, DEFAULT_PORT + TRIES) if wanted is None else [wanted]
    for port in ports:
        try:
            with socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET):
                return port
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise HgsError(
                    f"cannot serve on {host}:{port}: {error.strerror or error}; choose another --host or --port"
                ) from error
    what = f"port {wanted} of {host} is" if wanted is not None else f"ports {ports[0]} to {ports[-1]} of {host} are"
    raise HgsError(f"{what} in use; choose another one with --port")
