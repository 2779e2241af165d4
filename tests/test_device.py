"""The device comes with the tensors: device_checks.py in a process of its own, since PyTorch wants to know all devices
before its first backward pass."""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
CHECKS = [HERE / "device_checks.py", HERE / "viewer" / "worker_device_checks.py"]


def test_everything_keeps_to_one_device():
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *map(str, CHECKS)]
    done = subprocess.run(command, cwd=HERE.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:]
    assert " passed" in done.stdout and "skipped" not in done.stdout
