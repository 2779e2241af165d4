"""Strict settings for all tests: memory that was not written is NaN, and real captures are optional."""

from pathlib import Path

import pytest
import torch

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
