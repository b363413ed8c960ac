"""NVIDIA's usd-convert-gsplat (pip, without its pinned dependencies): its USD of our .ply is our USD."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from hgs_toolkit.encoding import quats_to_rotmats
from hgs_toolkit.exporters.table import export, load
from hgs_toolkit.gaussians import GaussianHierarchy
from tests.oracles.conftest import TIMEOUT, missing

pytestmark = pytest.mark.oracle


@pytest.mark.parametrize("degree", [0, 3])
def test_it_writes_what_we_write(degree: int, scene_factory: Callable[..., GaussianHierarchy], tmp_path: Path) -> None:
    if importlib.util.find_spec("usd_convert_gsplat") is None:
        missing("usd-convert-gsplat")
    export(scene_factory((200,), degree=degree), tmp_path / "a.ply", frame="y_up")  # it does not turn
    export(load(tmp_path / "a.ply"), tmp_path / "ours.usdc")
    command = [sys.executable, "-m", "usd_convert_gsplat", "-i", str(tmp_path / "a.ply")]
    command += ["-o", str(tmp_path / "theirs.usdc")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    assert done.returncode == 0, done.stderr
    theirs, ours = load(tmp_path / "theirs.usdc"), load(tmp_path / "ours.usdc")
    assert torch.equal(theirs.means, ours.means)
    assert torch.equal(theirs.sh, ours.sh)
    torch.testing.assert_close(theirs.log_scales, ours.log_scales, atol=1e-5, rtol=0)
    torch.testing.assert_close(theirs.opacity_logits, ours.opacity_logits, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(quats_to_rotmats(theirs.quats), quats_to_rotmats(ours.quats), atol=1e-5, rtol=0)
