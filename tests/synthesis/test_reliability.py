"""A killed Ray actor, a killed command: the dataset is the same, byte for byte."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hgs_toolkit.synthesis import check
from tests.synthesis.conftest import Make, contents

RAY_RUN = """
import os, signal, sys
from hgs_toolkit.synthesis import Workforce, synthesize_dataset
from hgs_toolkit.synthesis.engines import ray_cluster
from hgs_toolkit.synthesis.engines.schedule import Done, Lost

class WatchedCrew(ray_cluster.RayPool):
    killed = False

    def wait(self):
        events = super().wait()
        if not self.killed and any(isinstance(event, Done) for event in events):
            self.killed = True
            os.kill(self.pids()[0], signal.SIGKILL)
        return events

ray_cluster.RayPool = WatchedCrew
heard = []
values = {"count": 24, "format": "wds", "shard_images": 3}
synthesize_dataset(sys.argv[2], sys.argv[1], values, workforce=Workforce("ray", 2), listen=heard.append)
print("done", sum(isinstance(event, Done) for event in heard), "lost", sum(isinstance(event, Lost) for event in heard))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is POSIX")
def test_a_killed_actor_leaves_no_trace(make: Make, plain_file: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="the extra [ray]")
    script = tmp_path / "run.py"
    script.write_text(RAY_RUN)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "RAY_USAGE_STATS_ENABLED": "0"}
    command = [sys.executable, str(script), str(plain_file), str(tmp_path / "ray")]
    run = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=600)
    assert run.returncode == 0, run.stderr
    assert run.stdout.split()[-4:] == ["done", "8", "lost", "1"]
    make(tmp_path / "quiet", count=24, format="wds", shard_images=3)
    assert contents(tmp_path / "ray") == contents(tmp_path / "quiet")
    assert check(tmp_path / "ray").problems == []


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals of this kind are POSIX")
def test_a_command_whose_parent_is_killed_can_be_resumed(plain_file: Path, make: Make, tmp_path: Path) -> None:
    """Not only workers die: the whole command does, and its orphans end by themselves."""
    out = tmp_path / "set"
    words = ["synth", str(plain_file), "--out", str(out), "--count", "40", "--workers", "2", "--set", "shard_images=2"]
    command = [sys.executable, "-m", "hgs_toolkit.cli", *words]
    with open(tmp_path / "talk", "w") as talk, subprocess.Popen(command, stdout=talk, stderr=talk) as parent:
        while parent.poll() is None and len(list(out.glob("shards/*.json"))) < 3:
            time.sleep(0.05)
        parent.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 60
    while list(out.rglob(".tmp-*")) and time.monotonic() < deadline:  # the orphans tidy up when they notice
        time.sleep(0.1)
    assert not list(out.rglob(".tmp-*"))
    assert "Traceback" not in (tmp_path / "talk").read_text()
    resumed = subprocess.run([*command, "--resume"], capture_output=True, text=True, timeout=600)
    assert resumed.returncode == 0, resumed.stderr
    assert "images are there already" in resumed.stderr
    make(tmp_path / "quiet", count=40, shard_images=2)
    assert contents(out) == contents(tmp_path / "quiet")
