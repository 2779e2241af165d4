"""Operands: what a fused kernel needs of an architecture or a head, besides its device functions: of a GPU's beside
NAME_cuda.py, of the CPU's beside NAME_cpu.py."""

import importlib
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Literal

from torch import Tensor


@cache
def device_functions(kind: type, device: Literal["cpu", "cuda"]) -> ModuleType | None:
    """The file with the device functions of a network or a head, beside its own; None where there is none."""
    name = f"{kind.__module__}_{device}"
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        return None


@dataclass(frozen=True)
class Operands:
    """Tensors and constants, in the order in which the device functions in `fields/arch/NAME_cuda.py` or
    `fields/heads/NAME_cuda.py` take them apart. All lie on one device."""

    tables: tuple[Tensor, ...]  # learnt, read here and there; their gradients are added up with atomics, in float32
    weights: tuple[Tensor, ...]  # learnt matrices and biases, read whole; their gradients are added up per program
    fixed: tuple[Tensor, ...]  # not learnt, read as they are
    shape: tuple[int | float, ...]  # constants of the kernel
    width: int  # features F; device functions hand on a tile (BLOCK, F rounded up to a power of two, 16 at least)
    exact: bool = False  # the weights are read in float32, also where products are of half precision
    small: bool = True  # whether a tile of points and what belongs to it fits a GPU's registers; else NAME_cuda.py is
    # not asked
