"""The toolkit's version, as ``hgs --version`` and the files it writes name it."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, version

NOT_INSTALLED = "0+unknown"
"""Version of a checkout that is imported without being installed."""


@cache
def toolkit_version() -> str:
    """The installed version of hgs_toolkit; :data:`NOT_INSTALLED` for a checkout that is not installed."""
    try:
        return version("hgs_toolkit")
    except PackageNotFoundError:
        return NOT_INSTALLED


def program_name() -> str:
    """Name and version of the toolkit: what written files state as the program that made them."""
    return f"hgs_toolkit {toolkit_version()}"
