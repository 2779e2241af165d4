"""Inside `hostfree()`, whatever would make the host wait for a GPU raises, on a machine without one too."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

READS = {"_local_scalar_dense", "nonzero", "masked_select", "equal", "_unique2", "unique_dim", "unique_consecutive"}
COPIES = {"lift_fresh"}  # torch.tensor(numbers): from memory that is not pinned
METHODS = {"tolist", "numpy", "cpu", "item", "__array__"}


class Waited(AssertionError):
    """The host would wait."""


class Methods(TorchFunctionMode):
    """Sees what asks no dispatcher."""

    def __init__(self, ops: "Ops") -> None:
        super().__init__()
        self.ops = ops

    def __torch_function__(self, func, types, args=(), kwargs=None):
        name = getattr(func, "__name__", "")
        to_host = name == "to" and any(str(a) == "cpu" for a in (*args[1:], *(kwargs or {}).values()))
        if not self.ops.ours and (name in METHODS or to_host):
            raise Waited(name)
        return func(*args, **(kwargs or {}))


class Ops(TorchDispatchMode):
    """Sees the rest. Ops of our own are let through: their kernels for a GPU are tested beside them."""

    def __init__(self) -> None:
        super().__init__()
        self.ours = False  # inside of an op of our own

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name, kwargs = func.name().split("::")[1].split(".")[0], kwargs or {}
        if func.namespace == "nf":
            self.ours = True
            try:
                return func(*args, **kwargs)
            finally:
                self.ours = False
        if not self.ours:
            if name in READS | COPIES or (name.startswith("index") and any(map(masks, args))):
                raise Waited(str(func))
            if name == "repeat_interleave" and kwargs.get("output_size") is None:
                raise Waited(f"{func} without output_size")
        return func(*args, **kwargs)


def masks(argument) -> bool:
    """Whether it is a list of indices with a mask among them."""
    return isinstance(argument, list | tuple) and any(
        isinstance(a, torch.Tensor) and a.dtype in (torch.bool, torch.uint8) for a in argument
    )


@contextmanager
def hostfree() -> Iterator[None]:
    """See the file's head."""
    ops = Ops()
    with ops, Methods(ops):
        yield
