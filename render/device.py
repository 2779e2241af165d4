"""Which device a command computes on."""

import sys
from functools import cache

import torch

from fields.backend import TRITON


def pick_device(name: str) -> torch.device:
    """The device for a `--device` flag; `auto` without kernels for the GPU is the CPU, and says so. ValueError where
    CUDA is asked for and there is none, or no Triton."""
    found = torch.cuda.is_available()
    if name == "cuda" and not found:
        raise ValueError("--device cuda: PyTorch finds no CUDA device here; use --device cpu or auto")
    if name == "cpu" or not found:
        return torch.device("cpu")
    if TRITON:
        return torch.device("cuda")
    package = "triton-windows" if sys.platform == "win32" else "triton"
    if name == "cuda":
        raise ValueError(f"--device cuda: our kernels need Triton, which is not installed; pip install {package}")
    say(f"using the CPU: a GPU is here, but no Triton for our kernels; pip install {package}")
    return torch.device("cpu")


@cache
def say(line: str) -> None:
    """A line on stderr, once however often it is said."""
    sys.stderr.write(f"{line}\n")
