"""Strict settings for all tests: memory that was not written is NaN, and real captures are optional."""

from pathlib import Path

import pytest
import torch

torch.set_num_threads(1)  # small tensors: threads only wait for each other; the Numba kernels keep theirs
CAPTURES = Path(__file__).parents[2] / "shared" / "data"


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
