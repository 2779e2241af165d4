import os
import subprocess
import sys
from pathlib import Path

import pytest

from fields import waiting

ROOT = Path(__file__).parents[2]
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="threads are counted in /proc")


def crowded(threads: int, cores: int, teams: int) -> bool:
    """Whether OpenMP counts more threads than cores, once the process computes with a team of so many, too."""
    return 1 + (teams + 1) * (threads - 1) > cores


@pytest.mark.parametrize("cores", [1, 2, 4, 6, 8, 16, 96])
@pytest.mark.parametrize("share", [1, 2])
def test_as_many_teams_as_outnumber_the_cores(cores, share):
    threads = max(2, cores // share)
    teams = waiting.count_teams(threads, cores)
    assert crowded(threads, cores, teams)
    assert teams == 0 or not crowded(threads, cores, teams - 1)


@pytest.mark.parametrize(("threads", "cores"), [(1, 1), (1, 8), (2, 8), (4, 64)])
def test_who_leaves_most_cores_to_others_needs_no_team(threads, cores):
    assert waiting.count_teams(threads, cores) == 0


def run(program: str, **environment: str) -> list[str]:
    """What a new process prints, a word each; it is told nothing of how threads wait but what is said here."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("OMP_", "GOMP_", "MKL_"))}
    done = subprocess.run(
        [sys.executable, "-c", program], env=inherited | environment, capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


TELL = """
import os, threading
names = [thread.name for thread in threading.enumerate()]
print(os.environ["OMP_WAIT_POLICY"], names.count("sleeps for OpenMP"))
"""


def test_before_pytorch_the_environment_says_that_threads_sleep():
    assert run(f"import fields, torch{TELL}") == ["passive", "0"]


@LINUX
def test_after_pytorch_teams_beside_have_threads_sleep():
    set_up = "import torch; torch.set_num_threads(2); os.sched_getaffinity = lambda process: {0, 1}"
    assert run(f"import os; {set_up}; import fields{TELL}") == ["passive", "1"]


@LINUX
def test_a_team_stays():
    program = """
import os, torch, fields.waiting
torch.set_num_threads(2)
os.sched_getaffinity = lambda process: {0, 1}
counts = []
for _ in range(3):
    fields.waiting.crowd(torch)
    counts.append(len(os.listdir("/proc/self/task")))
print(counts[1] - counts[0], counts[2] - counts[1])  # not the first: PyTorch starts threads of its own besides
"""
    assert run(program, OMP_WAIT_POLICY="passive") == ["2", "2"]  # who owns the team, and the other thread in it


@LINUX
@pytest.mark.parametrize("policy", ["active", "passive"])
def test_who_says_how_threads_wait_is_left_alone(policy):
    set_up = "import torch; torch.set_num_threads(2); os.sched_getaffinity = lambda process: {0, 1}"
    assert run(f"import os; {set_up}; import fields{TELL}", OMP_WAIT_POLICY=policy) == [policy, "0"]


@LINUX
def test_pytorch_keeps_its_number_of_threads():
    assert run("import torch; torch.set_num_threads(2); import fields; print(torch.get_num_threads())") == ["2"]


def test_a_program_ends_while_teams_sleep():
    assert run("import torch; torch.set_num_threads(2); import fields; print('over')") == ["over"]
