"""A device that is not there: tensors that say they lie on it, compute on the CPU, and refuse to meet the CPU's.

What runs here keeps to one device, as it must on a GPU, and `Remote.reads` counts what a GPU would make the host wait
for. Ops of our own run their CPU kernels on what lies inside. Built on PyTorch's Python backend, which may change.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, ClassVar
from unittest.mock import patch

import safetensors.torch
import torch
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from distill.conversion import job as conversion
from distill.photographs import job as training
from distill.photographs import settings

NAME = "remote"
WAITS = ("aten._local_scalar_dense", "aten.nonzero", "aten.equal", "aten._unique2", "aten.masked_select")
COPIES = ("aten._to_copy", "aten.copy_")
CPU = torch.device("cpu")
USUAL = [(settings, "STEPS"), (training, "PRESET"), (training, "BATCH"), (training, "STRIDE")]
USUAL += [(conversion, "STEPS"), (conversion, "BATCH"), (conversion, "STRIDE")]
PICKERS = ("viewer.worker.worker", "distill.photographs.job", "distill.conversion.job")


class Backend:
    """What PyTorch asks of a device's module."""

    def is_available(self) -> bool:
        return True

    def is_initialized(self) -> bool:
        return True

    def _is_in_bad_fork(self) -> bool:
        return False

    def current_device(self) -> int:
        return 0

    def device_count(self) -> int:
        return 1

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16]


class Remote(torch.Tensor):
    """A tensor on the device that is not there."""

    inner: torch.Tensor
    reads: ClassVar[Counter[str]] = Counter()  # by op: what the host waited for

    def __repr__(self) -> str:
        return f"Remote({self.inner!r})"

    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, inner: torch.Tensor) -> "Remote":
        return torch.Tensor._make_wrapper_subclass(
            cls,
            inner.shape,
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            device=torch.device(NAME, 0),
        )

    def __init__(self, inner: torch.Tensor) -> None:
        self.inner = inner

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return call(func, args, kwargs or {})


class Dispatch(TorchDispatchMode):
    """Sees the calls that make tensors, which have none among their arguments."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return call(func, args, kwargs or {})


class Generator:
    """Makes torch.Generator's of the CPU that remember which device they were asked for."""

    real = torch.Generator
    made: ClassVar[dict[int, tuple[torch.Generator, str]]] = {}

    def __new__(cls, device: Any = "cpu") -> torch.Generator:
        made = cls.real("cpu")
        cls.made[made._cdata] = made, torch.device(device).type
        return made

    @classmethod
    def check(cls, name: str, generator: Any, device: str) -> None:
        if isinstance(generator, cls.real):
            lives = cls.made.get(generator._cdata, (None, "cpu"))[1]
            if lives != device:
                raise RuntimeError(f"{name}: wants a generator on {device}, found one on {lives}")


def call(func, args: tuple, kwargs: dict[str, Any]) -> Any:
    """One op: checked as a GPU would check it, computed on the CPU."""
    name = str(func)
    tensors = [leaf for leaf in pytree.tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
    asked = kwargs.get("device")
    ours = any(isinstance(t, Remote) for t in tensors)
    to_us = torch.device(asked).type == NAME if asked is not None else ours
    if not ours and not to_us:
        return func(*args, **kwargs)
    if not name.startswith(COPIES):
        refuse(name, tensors[:1] if name == "aten.index.Tensor" else tensors, ours)
    if name.startswith(WAITS) or (name.startswith(COPIES) and leaves(args, to_us)):
        Remote.reads[name] += 1
    Generator.check(name, kwargs.get("generator"), NAME if to_us else "cpu")
    if to_us and asked is not None:
        kwargs = kwargs | {"device": CPU}
    result = func(*pytree.tree_map(strip, args), **pytree.tree_map(strip, kwargs))
    if name.startswith("aten.copy_"):
        return args[0]
    known = {id(t.inner): t for t in tensors if isinstance(t, Remote)}
    return pytree.tree_map(lambda t: wrapped(t, known) if to_us else t, result)


def leaves(args: tuple, to_us: bool) -> bool:
    """Whether a copy goes from the device to the host."""
    source = args[1] if len(args) > 1 and isinstance(args[1], torch.Tensor) else args[0]
    target = isinstance(args[0], Remote) if source is not args[0] else to_us
    return isinstance(source, Remote) and not target


def refuse(name: str, tensors: list[torch.Tensor], ours: bool) -> None:
    """RuntimeError where a CPU tensor meets ours. Single numbers may, but for ops of our own."""
    for tensor in tensors:
        if ours and not isinstance(tensor, Remote) and (tensor.dim() or name.startswith("nf.")):
            raise RuntimeError(f"{name}: a CPU tensor {tuple(tensor.shape)} among tensors on {NAME}")


def strip(value: Any) -> Any:
    return value.inner if isinstance(value, Remote) else value


def wrapped(value: Any, known: dict[int, Remote]) -> Any:
    if not isinstance(value, torch.Tensor):
        return value
    return known[id(value)] if id(value) in known else Remote(value)


def product(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """a @ b. PyTorch squeezes the product of a vector and a matrix in place, which a wrapper cannot follow."""
    if a.dim() == 1 and b.dim() == 2:
        return torch.mm(a[None], b)[0]
    return torch.mv(a, b) if a.dim() == 2 and b.dim() == 1 else torch.matmul(a, b)


def tensor(data: Any, *, device: Any = None, real=torch.tensor, **kwargs: Any) -> torch.Tensor:
    """torch.tensor, which asks no dispatcher; on a GPU it copies from the host, as it does here."""
    made = real(data, device="cpu" if device is None or torch.device(device).type == NAME else device, **kwargs)
    return made.to(device) if device is not None and torch.device(device).type == NAME else made


@contextmanager
def remote() -> Iterator[torch.device]:
    """The device, inside this block. Arithmetic stays in float32: autocast has no rules for it."""
    if not hasattr(torch, NAME):
        from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

        _setup_privateuseone_for_python_backend(NAME, Backend())
    Remote.reads.clear()
    Generator.made.clear()
    save = safetensors.torch.save

    def fetch_and_save(tensors, metadata=None):  # as safetensors does with tensors on a GPU
        return save({k: v.cpu() if isinstance(v, Remote) else v for k, v in tensors.items()}, metadata)

    with (
        patch("torch.Generator", Generator),
        patch("torch.tensor", tensor),
        patch.object(torch.Tensor, "__matmul__", product),
        patch("torch.cpu._is_avx512_bf16_supported", lambda: False),
        patch("torch.cpu._is_amx_tile_supported", lambda: False),
        patch("safetensors.torch.save", fetch_and_save),
        Dispatch(),
    ):
        yield torch.device(NAME, 0)


@contextmanager
def chosen():
    """As `remote`, where commands choose that device and take the CPU's usual sizes."""
    with remote() as device, ExitStack() as stack:
        for module, name in USUAL:
            table = getattr(module, name)
            stack.enter_context(patch.dict(table, {NAME: table["cpu"]}))
        for module in PICKERS:
            stack.enter_context(patch(f"{module}.pick_device", lambda name: device))
        stack.enter_context(patch("distill.conversion.job.choose", choosing))
        yield device


def choosing(*args, real=conversion.choose, **kwargs):
    """The chooser's tables know no device of this name."""
    return real(*("cpu" if value == NAME else value for value in args), **kwargs)
