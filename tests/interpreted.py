"""A GPU's kernels on the CPU: inside `triton_kernels()` every op of ours runs its Triton kernel, interpreted, in place
of Numba's, and the renderer asks fields by the fused kernels wherever a GPU would."""

import importlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import torch
from torch._library.custom_ops import OPDEFS
from torch.utils._python_dispatch import TorchDispatchMode

from fields import fused

ROOT = Path(__file__).parents[1]


def register() -> None:
    """Import every file of Triton kernels beside an op; where PyTorch is built for the CPU, nobody else does."""
    for path in sorted(ROOT.glob("*/kernels/*_cuda.py")):
        importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))


class Triton(TorchDispatchMode):
    """Sends ops of ours to their CUDA kernels, and counts them."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: Counter[str] = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func.namespace != "nf":
            return func(*args, **(kwargs or {}))
        name = func._schema.name
        self.calls[name.removeprefix("nf::")] += 1
        return OPDEFS[name]._backend_fns["cuda"](*args, **(kwargs or {}))


def fits(field, *points: torch.Tensor) -> bool:
    """As `suits`, but for the device."""
    wanted = torch.is_grad_enabled() and any(p.requires_grad for p in points)
    return not wanted and fused.fusible(field)


@contextmanager
def triton_kernels(*, whole: bool = True) -> Iterator[Counter[str]]:
    """Triton's kernels inside this block; `whole`: the fused ones too. Counts calls by op."""
    register()
    mode = Triton()
    with (
        patch("fields.tiled.suits", lambda *_: False),
        patch("fields.fused.suits", fits if whole else lambda *_: False),
        patch("render.fused_frame.suits", lambda field, grid: whole and fused.fusible(field)),
        mode,
    ):
        yield mode.calls
