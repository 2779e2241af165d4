"""Which kernels this installation has on a GPU, and how exact their repetition must be."""

import importlib.util

import torch

GPU = bool(torch.version.cuda or torch.version.hip)  # PyTorch was built for one; it calls AMD's `cuda` too
TRITON = GPU and importlib.util.find_spec("triton") is not None  # op files import their *_cuda file where this holds


def repeats() -> bool:
    """Whether results must repeat bit for bit (--deterministic): sums of gradients then have a fixed order."""
    strict = torch.are_deterministic_algorithms_enabled()
    return strict and not torch.is_deterministic_algorithms_warn_only_enabled()
