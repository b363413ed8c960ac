"""The memory in which USD reads: enough for files that say what they hold, no more for those that lie."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from hgs_toolkit.errors import FormatError
from hgs_toolkit.exporters.splats import usd_child
from hgs_toolkit.exporters.table import export, load
from tests.exporters.splats.accuracy import reference_scene

pytest.importorskip("pxr", reason="needs usd-core: pip install 'hgs_toolkit[usd]'")
pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is bounded where /proc tells it")

from pxr import Sdf  # noqa: E402

PEAK = """
import os, sys
child = os.posix_spawn(sys.executable, [sys.executable, *sys.argv[1:]], os.environ)
print(os.wait4(child, 0)[2].ru_maxrss)
"""
"""Runs a program and says its greatest resident memory in KiB. A child counts its parent's until it is its own: a small
process must be the parent."""

COUNT = 50_000_000
"""What sections of a damaged file promise; USD would take 0.3 to 5 GB for it."""


def peak(path: Path) -> int:
    """Bytes of resident memory of the process that reads ``path``, at most."""
    command = [sys.executable, "-c", PEAK, "-I", usd_child.__file__, str(path), str(path.with_name("out")), str(2**24)]
    environment = os.environ | usd_child.ENVIRONMENT
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return 1024 * int(done.stdout)


def lying(data: bytes, section: bytes) -> bytes:
    """A binary file whose ``section`` promises COUNT entries.

    Behind an 8-byte magic and an 8-byte version lies the offset of the table of contents: a count and rows of 16 bytes
    of name, offset and size. The sections begin with their number of entries.
    """
    result = bytearray(data)
    (table,) = struct.unpack_from("<q", data, 16)
    (rows,) = struct.unpack_from("<q", data, table)
    found = {name.rstrip(b"\0"): start for name, start, _ in
             (struct.unpack_from("<16sqq", data, table + 8 + 32 * row) for row in range(rows))}  # fmt: skip
    struct.pack_into("<Q", result, found[section], COUNT)
    return bytes(result)


@pytest.mark.parametrize("section", [b"TOKENS", b"FIELDS", b"FIELDSETS", b"PATHS", b"SPECS"])
def test_a_file_that_lies_about_its_size_gets_no_memory_for_it(section: bytes, tmp_path: Path) -> None:
    whole, damaged = tmp_path / "whole.usdc", tmp_path / "damaged.usdc"
    export(reference_scene(0, 100), whole)
    damaged.write_bytes(lying(whole.read_bytes(), section))
    with pytest.raises(
        FormatError, match=r"damaged\.usdc: it is not a readable USD file: USD itself failed on it \(it ask"
    ):
        load(damaged)
    assert peak(damaged) - peak(whole) <= 10 * damaged.stat().st_size + 2**24


def test_more_prims_than_there_is_memory_for_are_refused_at_once(tmp_path: Path) -> None:
    """USD waits for ever for a task that ended for want of memory; the process must end instead."""
    layer = Sdf.Layer.CreateNew(str(tmp_path / "a.usdc"))
    with Sdf.ChangeBlock():
        for index in range(60_000):
            Sdf.PrimSpec(layer, f"part_{index}", Sdf.SpecifierDef, "Xform")
    layer.Save()
    with pytest.raises(FormatError, match=r"a\.usdc: .*it asks for more memory than a file of its size may need"):
        load(tmp_path / "a.usdc")


@pytest.mark.parametrize("suffix", [".usdc", ".usda"])
def test_prims_of_other_kinds_have_room_in_a_small_file(suffix: str, tmp_path: Path) -> None:
    export(reference_scene(0, 1), tmp_path / "one.usdc")
    layer = Sdf.Layer.OpenAsAnonymous(str(tmp_path / "one.usdc"))
    for index in range(3000):
        Sdf.PrimSpec(layer, f"part_{index}", Sdf.SpecifierDef, "Xform")
    layer.Export(str(tmp_path / f"a{suffix}"))
    assert load(tmp_path / f"a{suffix}").num_gaussians == 1


def test_text_of_short_numbers_is_read(tmp_path: Path) -> None:
    """The parser needs 70 times such a file: a vector of its values has just doubled."""
    count = 2731  # 48 harmonics each: just beyond 2^17
    (tmp_path / "a.usda").write_text(f"""#usda 1.0
def {usd_child.TYPE} "g"
{{
    point3f[] positions = [{", ".join(["(1, 2, 3)"] * count)}]
    quatf[] orientations = [{", ".join(["(1, 0, 0, 0)"] * count)}]
    float3[] scales = [{", ".join(["(1, 1, 2)"] * count)}]
    float[] opacities = [{", ".join(["1"] * count)}]
    uniform int {usd_child.DEGREE} = 3
    float3[] radiance:sphericalHarmonicsCoefficients = [{", ".join(["(0, 0, 0)"] * 16 * count)}]
}}
""")
    assert load(tmp_path / "a.usda").num_gaussians == count


def test_arrays_that_prims_share_may_not_unpack_to_thousands_of_times_the_file(tmp_path: Path) -> None:
    export(reference_scene(3, 2000), tmp_path / "one.usda")
    layer = Sdf.Layer.OpenAsAnonymous(str(tmp_path / "one.usda"))
    for index in range(1000):
        copy = Sdf.PrimSpec(layer, f"copy_{index}", Sdf.SpecifierDef)
        copy.referenceList.Prepend(Sdf.Reference("", "/gaussians"))
    layer.Export(str(tmp_path / "a.usdc"))
    with pytest.raises(FormatError, match=r"a\.usdc: its prims hold \d+ bytes of arrays; expected at most \d+"):
        load(tmp_path / "a.usdc")
