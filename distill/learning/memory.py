"""What training a preset takes in memory, told before it begins."""

import os
import sys
from dataclasses import dataclass

import psutil
import torch

from distill.learning.budget import most_rays
from fields.shape import Shape

COPIES = 13  # float32: weights, gradient, Adam's two; three kept to return to; three copied and three packed at a save
PROGRAM = 1 << 30  # bytes: libraries, a batch's activations, occupancy

# On a GPU, where buffers are of a fixed size: bytes, those of a step as measured on the CPU with tensors counted
LEARNT = 18  # for each parameter: float32 weight, gradient and Adam's two, and a copy in half precision
STATES = 2  # at once, of three float32 for each parameter: to return to, and about to be that
RAY, MARCHED, KEPT = 216, 92, 48  # for each ray, and each sample before and after those are dropped that nobody sees;
# with what a fused field keeps of a sample, 120 were measured
OCCUPANCY = 64 << 20  # of 128^3 cells
LIBRARIES = 256 << 20  # kernels, work spaces of matrix products
SHARE = 0.25  # of what is free that photographs may take
BATCH = 1 << 18  # samples of a step, where nobody says


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


def demand(shape: Shape, batch: int = BATCH, pictures: int = 0) -> Demand:
    """What a field of this final shape takes with `batch` samples a step and `pictures` bytes on the device."""
    parameters = shape.parameters
    rays, marched, kept = most_rays(batch), 4 * batch, batch * 9 // 8  # as distill/device/captured.py begins
    asked, learnt = shape.activation_bytes
    first = rays * RAY + marched * max(MARCHED, 28 + asked)  # 28: position, and sample that it is of
    second = rays * RAY + marched * 16 + kept * (KEPT + learnt)  # 16: samples, which are not forgotten in between
    return Demand(parameters * LEARNT, parameters * 12 * STATES, max(first, second) + OCCUPANCY, pictures)


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


def lines(shape: Shape, device: torch.device, batch: int, pictures: int) -> list[str]:
    """What a run with photographs of `pictures` bytes will take, for a person; nothing on the CPU."""
    if device.type == "cpu":
        return []
    have = free(device)
    return [told(demand(shape.final, batch, pictures if images_fit(pictures, have) else 0), have)]


def needed(parameters: int) -> int:
    """Bytes that training this many parameters takes at its peak on the CPU, without the pictures."""
    return parameters * 4 * COPIES + PROGRAM


def free(device: torch.device) -> int:
    """Bytes that are free where the run computes."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return psutil.virtual_memory().available


def peak() -> int:
    """Most bytes that this process has held."""
    if os.name == "nt":
        return psutil.Process().memory_info().peak_wset  # pyright: ignore[reportAttributeAccessIssue]
    import resource  # which Windows has not

    return in_bytes(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def in_bytes(maxrss: int) -> int:
    """Bytes of a `ru_maxrss`, which counts kilobytes, but for macOS."""
    return maxrss if sys.platform == "darwin" else maxrss * 1024


def faults() -> int:
    """How often this process had to be given memory that it touched."""
    if os.name == "nt":
        return psutil.Process().memory_info().num_page_faults  # pyright: ignore[reportAttributeAccessIssue]
    import resource

    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_minflt + usage.ru_majflt


def check(shape: Shape, preset: str, device: torch.device, batch: int = BATCH) -> None:
    """ValueError, with the estimate, where a preset cannot fit; on a GPU, with `batch` samples a step."""
    final = shape.final
    parameters = final.parameters
    cpu = device.type == "cpu"
    want, have = needed(parameters) if cpu else demand(final, batch).total, free(device)
    if want > have:
        raise ValueError(
            f"{shape.name} preset {preset!r} needs about {want / 1e9:.1f} GB to train ({parameters / 1e6:.1f} M "
            f"parameters); {have / 1e9:.1f} GB are free on {device.type}: take a smaller preset"
            + ("" if cpu else f", or a smaller --batch than {batch}")
        )
