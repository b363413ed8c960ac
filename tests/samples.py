"""Real files of other programs, which are no part of the repository: ``shared/samples`` in a folder above it.

A test asks for such a file by its name and is skipped, with the reason, where the folder is missing. No test counts the
folders between itself and the samples: one that is moved would skip ever after.
"""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

FOLDERS = [folder / "shared" / "samples" for folder in ROOT.parents]
"""Where the samples may lie, the nearest folder first."""

SAMPLES = next((folder for folder in FOLDERS if folder.is_dir()), FOLDERS[0])


def sample_file(name: str) -> Path:
    """The path of a sample; skips the test where there are no samples.

    Raises:
        FileNotFoundError: if there are samples, but none of this name, since a wrong name must not skip.
    """
    if not SAMPLES.is_dir():
        pytest.skip(f"{name} needs ../shared/samples beside the checkout")
    path = SAMPLES / name
    if not path.is_file():
        raise FileNotFoundError(f"there is no sample {path}")
    return path
