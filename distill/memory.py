"""What training a preset takes in memory, told before it begins."""

from typing import Any

import psutil
import torch

import fields
from fields.base import parameter_count

COPIES = 13  # float32: weights, gradient, Adam's two; three kept to return to; three copied and three packed at a save
PROGRAM = 1 << 30  # bytes: libraries, a batch's activations, occupancy


def needed(parameters: int) -> int:
    """Bytes that training this many parameters takes at its peak, without the pictures."""
    return parameters * 4 * COPIES + PROGRAM


def free(device: torch.device) -> int:
    """Bytes that are free where the run computes."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return psutil.virtual_memory().available


def check(architecture: str, preset: str, config: Any, device: torch.device) -> None:
    """ValueError, with the estimate, where a preset cannot fit."""
    parameters = parameter_count(architecture, fields.module(architecture).Network.final(config))
    want, have = needed(parameters), free(device)
    if want > have:
        raise ValueError(
            f"{architecture} preset {preset!r} needs about {want / 1e9:.1f} GB to train ({parameters / 1e6:.1f} M "
            f"parameters); {have / 1e9:.1f} GB are free on {device.type}: take a smaller preset"
        )
