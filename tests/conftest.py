"""Strict settings for all tests: memory that was not written is NaN, and real captures are optional."""

import os
from pathlib import Path

if "PYTEST_XDIST_WORKER" in os.environ:  # each of several processes is one thread: more would wait for each other
    os.environ.setdefault("NUMBA_NUM_THREADS", "1")

import pytest
import torch

torch.set_num_threads(1)  # small tensors: threads only wait for each other; the Numba kernels keep theirs
CAPTURES = Path(__file__).parents[2] / "shared" / "data"


def pytest_addoption(parser):
    parser.addoption("--device", default="cpu", choices=("cpu", "cuda"), help="where kernels and fields are tested")


def pytest_configure(config):
    """Before any kernel is made: Triton runs them in Python where they are tested on the CPU."""
    if config.getoption("--device") == "cpu":
        os.environ["TRITON_INTERPRET"] = "1"


@pytest.fixture
def device(request) -> torch.device:
    name = request.config.getoption("--device")
    if name == "cuda" and not torch.cuda.is_available():
        pytest.fail("--device cuda: PyTorch finds no CUDA device here")
    return torch.device(name)


@pytest.fixture(autouse=True)
def strict():
    torch.use_deterministic_algorithms(True, warn_only=True)  # fills torch.empty with NaN
    yield
    torch.use_deterministic_algorithms(False)


@pytest.fixture
def capture():
    def find(name: str) -> Path:
        path = CAPTURES / name
        if not path.exists():
            pytest.skip(f"the capture {name} is not beside this checkout")
        return path

    return find


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)
