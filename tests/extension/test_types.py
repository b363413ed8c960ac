"""Blender's types are for mypy: installed beside the toolkit, they must not pass for Blender."""

from __future__ import annotations

from importlib import metadata

import pytest


def test_the_types_of_blender_bring_nothing_that_can_be_imported() -> None:
    try:
        files = metadata.files("fake-bpy-module-4.5")
    except metadata.PackageNotFoundError:
        pytest.skip("the types of Blender's interface are not installed")
    assert files
    assert not {file.parts[0] for file in files if not file.parts[0].endswith(("-stubs", ".dist-info"))}
    assert not [file for file in files if file.suffix in (".py", ".so", ".pth")]
