"""What training a preset takes in memory, told before it begins."""

from dataclasses import dataclass
from typing import Any

import psutil
import torch
from torch import nn

import fields
from fields.backend import TRITON
from fields.base import parameter_count
from fields.fused import functions

COPIES = 13  # float32: weights, gradient, Adam's two; three kept to return to; three copied and three packed at a save
PROGRAM = 1 << 30  # bytes: libraries, a batch's activations, occupancy

# On a GPU, where buffers are of a fixed size: bytes, those of a step as measured on the CPU with tensors counted
LEARNT = 18  # for each parameter: float32 weight, gradient and Adam's two, and a copy in half precision
STATES = 2  # at once, of three float32 for each parameter: to return to, and about to be that
RAY, MARCHED, KEPT = 216, 92, 48  # for each ray, and each sample before and after those are dropped that nobody sees
FUSED = 80  # for each sample of a fused field: features in float32, sigma and RGB; 120 were measured with KEPT
OCCUPANCY = 64 << 20  # of 128^3 cells
LIBRARIES = 256 << 20  # kernels, work spaces of matrix products
SHARE = 0.25  # of what is free that photographs may take
BATCH = 1 << 18  # samples of a step, where nobody says
LAYER = 1024  # longest side of a matrix that is taken for a layer's, not for a table


@dataclass(frozen=True)
class Demand:
    """Bytes that training takes of a GPU at its peak."""

    learning: int  # weights, gradients, moments, half copies
    states: int  # that the run may return to
    step: int  # buffers and activations of a step, and the occupancy
    pictures: int  # 0 where they stay on the host

    @property
    def tensors(self) -> int:
        """Of all tensors together, as PyTorch tells its peak."""
        return self.learning + self.states + self.step + self.pictures

    @property
    def total(self) -> int:
        """With libraries, and with a step's memory twice: PyTorch keeps that of the first steps apart from the memory
        that the recorded one has."""
        return self.tensors + self.step + LIBRARIES


def demand(architecture: str, config: Any, batch: int = BATCH, pictures: int = 0) -> Demand:
    """What a field of this final shape takes with `batch` samples a step and `pictures` bytes on the device."""
    parameters = parameter_count(architecture, config)
    rays, marched, kept = min(batch, 1 << 17), 4 * batch, batch * 9 // 8  # as distill/device/captured.py begins
    asked, learnt = activations(architecture, config)
    first = rays * RAY + marched * max(MARCHED, 28 + asked)  # 28: position, and sample that it is of
    second = rays * RAY + marched * 16 + kept * (KEPT + learnt)  # 16: samples, which are not forgotten in between
    return Demand(parameters * LEARNT, parameters * 12 * STATES, max(first, second) + OCCUPANCY, pictures)


def activations(architecture: str, config: Any) -> tuple[int, int]:
    """Bytes for each sample between field and pixels, upper bounds: asked for density alone, and with gradients.

    Op by op they are about proportional to the widths of the layers, in half precision. Measured on all presets of up
    to 40 M parameters: 33 to 99 % of this.
    """
    with torch.device("meta"):
        network = fields.module(architecture).Network(config, 3, None)
        parts: tuple[nn.Module, ...] = (network, network.head(None))
        if TRITON and all(functions(type(part)) is not None and part.operands() is not None for part in parts):
            return 4, FUSED
    ends = [[sum(p.shape) for p in part.parameters() if p.dim() == 2 and max(p.shape) <= LAYER] for part in parts]
    return 128 + 5 * max(ends[0], default=0), 320 + 21 * sum(map(sum, ends)) // 10


def images_fit(size: int, have: int) -> bool:
    """Whether photographs of `size` bytes go to a device where `have` are free; else they stay on the host."""
    return size <= SHARE * have


def told(need: Demand, have: int) -> str:
    """One line: what a run will take of what is free on the device."""
    pictures = f"{need.pictures / 1e9:.2f} GB photographs" if need.pictures else "photographs stay on the host"
    return (
        f"memory: about {need.total / 1e9:.2f} of {have / 1e9:.1f} GB that are free on the GPU: "
        f"{need.learning / 1e9:.2f} GB field and optimiser, {need.states / 1e9:.2f} GB states to return to, "
        f"{2 * need.step / 1e9:.2f} GB steps, {pictures}"
    )


def lines(architecture: str, config: Any, device: torch.device, batch: int, pictures: int) -> list[str]:
    """What a run with photographs of `pictures` bytes will take, for a person; nothing on the CPU."""
    if device.type == "cpu":
        return []
    have, final = free(device), fields.module(architecture).Network.final(config)
    return [told(demand(architecture, final, batch, pictures if images_fit(pictures, have) else 0), have)]


def needed(parameters: int) -> int:
    """Bytes that training this many parameters takes at its peak on the CPU, without the pictures."""
    return parameters * 4 * COPIES + PROGRAM


def free(device: torch.device) -> int:
    """Bytes that are free where the run computes."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return psutil.virtual_memory().available


def check(architecture: str, preset: str, config: Any, device: torch.device, batch: int = BATCH) -> None:
    """ValueError, with the estimate, where a preset cannot fit; on a GPU, with `batch` samples a step."""
    final = fields.module(architecture).Network.final(config)
    parameters = parameter_count(architecture, final)
    cpu = device.type == "cpu"
    want, have = needed(parameters) if cpu else demand(architecture, final, batch).total, free(device)
    if want > have:
        raise ValueError(
            f"{architecture} preset {preset!r} needs about {want / 1e9:.1f} GB to train ({parameters / 1e6:.1f} M "
            f"parameters); {have / 1e9:.1f} GB are free on {device.type}: take a smaller preset"
            + ("" if cpu else f", or a smaller --batch than {batch}")
        )
