"""Safetensors files, opened with their sizes checked. Headers and numpy arrays are read without torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open

from hgs_toolkit.errors import FormatError

if TYPE_CHECKING:
    from torch import Tensor


def read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a safetensors file.

    The header's sizes are compared with the file's before anything is read, and nothing is executed.

    Raises:
        FormatError: if the file is missing, truncated or no safetensors file.
    """
    with open_safetensors(path, "pt") as file:
        # Copies: the originals are a map of the file, which must stay replaceable.
        return {name: file.get_tensor(name).clone() for name in file.keys()}, file.metadata() or {}  # noqa: SIM118


def open_safetensors(path: Path, framework: str = "numpy") -> Any:
    """A safetensors file, opened as a context; raises as :func:`read_safetensors`.

    Args:
        framework: what its tensors become, ``numpy`` or ``pt`` (torch).
    """
    if not path.is_file():
        raise FormatError(f"{path} {'is a folder' if path.is_dir() else 'does not exist'}; expected a file")
    try:
        return safe_open(path, framework=framework)
    except SafetensorError as error:
        raise FormatError(f"{path} is truncated or no safetensors file ({error}); write or download it anew") from error
    except OSError as error:
        raise FormatError(f"cannot read {path}: {error.strerror or error}") from error
