"""One file is one field: safetensors with weights and occupancy bits, and a JSON header. No pickle, no code.

Tensors: `weights.architecture.NAME` and `weights.head.NAME`, as the architecture and its head store themselves (8-bit
or sparse where they are; of a half file, float32 parameters in float16), and of a volume `occupancy`, uint8: the
(K, G^3 / 8) bits through zlib.
Metadata: one entry `polyfield`, JSON, whose keys are `version` and the fields of `Header`. Version 2 has no head but
"radiance", which then means the architecture's own, a box as its space, and always a volume; it is still written where
that is all there is to say, so that earlier versions open the file. In version 3 `head` is what it says.
Sizes are checked against the header before anything is allocated; files are written beside and renamed.
"""

import contextlib
import dataclasses
import json
import os
import re
import shutil
import tempfile
import zlib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

import fields
from fields import json_files, numbers
from fields.base import Volume
from fields.field import Field
from fields.processes import may_own
from fields.shape import Shape
from fields.space import Space

VERSIONS = (2, 3)  # that are read; 2: occupancy through zlib; 3: heads by their names, contraction, time, signals
KEY = "polyfield"
LARGEST_HEADER = 16 << 20  # bytes
LARGEST_FILE = 16 << 30  # bytes
KINDS: dict[str, tuple[type, str]] = {  # entries of the header that are no numbers
    **dict.fromkeys(("architecture", "head", "contraction", "thumbnail"), (str, "a text")),
    **dict.fromkeys(("config", "provenance", "metrics"), (dict, "an object")),
    **dict.fromkeys(("train_cameras", "test_cameras"), (list, "a list")),
    "half": (bool, "true or false"),
}
LARGEST_UNIT = 1e15  # of scene and input units, times the other
CELLS = (32, 64, 128, 256)  # per axis of an occupancy cascade
USUAL = {"half": False, "contraction": "none", "span": None}  # what the JSON leaves out
HALF_END = 65504.0  # largest float16
NAMED = 40  # letters of a file's name in that of its part
PART = re.compile(r"\..+\.\w{8}\.(\d{1,10})\.part")  # as `part_name` has it, the middle from tempfile
PICKLES = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"PK\x03\x04")


class ModelError(ValueError):
    """A file that is no model, or not one that this version can open."""


@dataclass(frozen=True)
class Header:
    """All that a model file says besides its tensors. Plain JSON values."""

    architecture: str
    config: dict[str, Any]  # entries of the architecture's Config
    box: list[list[float]]  # low and high corner, scene units
    step: float  # sampling step, scene units; of a signal, which is not sampled along rays, this and the next two are 0
    cone: float  # growth of steps with distance
    resolution: int  # occupancy cells per axis and cascade
    transform: list[list[float]]  # 4 x 4 similarity, input coordinates to scene units
    background: list[float]  # RGB that metrics were taken on
    train_cameras: list[dict[str, Any]] = field(default_factory=list)  # Camera.to_record of every training view
    test_cameras: list[dict[str, Any]] = field(default_factory=list)
    provenance: dict[str, Any] = field(default_factory=dict)  # data, command line, versions, seed, date
    metrics: dict[str, Any] = field(default_factory=dict)
    thumbnail: str = ""  # PNG, base64
    head: str = ""  # a file name of fields/heads; empty: the architecture's own
    half: bool = (
        False  # float32 parameters are float16 in the file; this and the next are left out of the JSON if usual
    )
    contraction: str = "none"  # see Space
    span: list[float] | None = None

    @property
    def shape(self) -> Shape:
        """The field's. ValueError or TypeError where there is no such shape."""
        return Shape.from_record({"architecture": self.architecture, "config": self.config, "head": self.head})

    @property
    def space(self) -> Space:
        """The field's. ValueError where there is no such space."""
        span = None if self.span is None else (self.span[0], self.span[1])
        return Space(torch.tensor(self.box, device="cpu"), self.contraction, span)

    def record(self) -> dict[str, Any]:
        """The JSON entry, in the lowest version that can say it."""
        own = fields.module(self.architecture).Network.head
        record = {k: v for k, v in asdict(self).items() if k not in USUAL or v != USUAL[k]} | {"head": self.head or own}
        plain = record["head"] == own == "radiance" and "contraction" not in record and "span" not in record
        return record | {"version": 2 if plain else 3}

    @property
    def scored(self) -> float | None:
        """dB that the model was scored with; None where the file does not say."""
        try:
            return float(self.metrics["psnr"])
        except (KeyError, TypeError, ValueError, OverflowError):
            return None


@dataclass(frozen=True)
class Model:
    """What a file holds."""

    field: Field
    occupancy: Tensor  # (K, G^3 / 8) uint8; (0, 0) of a signal
    header: Header


def write_beside(path: Path, content: bytes) -> None:
    """Write a file whole or not at all: into a neighbour, then renamed over `path`. OSError, which names `path`, leaves
    the old file."""
    try:
        write_part(path, content)
    except FileNotFoundError:  # somebody removes the folder meanwhile
        write_part(path, content)


def write_part(path: Path, content: bytes) -> None:
    """`write_beside` in one attempt."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = None
    try:
        handle, name = tempfile.mkstemp(*part_name(path), path.parent)
        part = Path(name)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.chmod(0o666 & ~umask())
        part.replace(path)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None
    finally:
        if part:
            part.unlink(missing_ok=True)


def part_name(path: Path) -> tuple[str, str]:
    """Suffix and prefix, for `tempfile`, of what becomes a file once it is whole: by what process, and of which."""
    return f".{os.getpid()}.part", f".{path.name[:NAMED]}."


def sweep(folder: Path) -> None:
    """Remove what writers that were killed left in a folder. What cannot be removed stays."""
    for part in folder.glob(".*.part"):
        owner = PART.fullmatch(part.name)
        with contextlib.suppress(OSError):
            if owner and not may_own(int(owner[1]), part.stat().st_mtime):
                shutil.rmtree(part) if part.is_dir() else part.unlink()


def find_free(path: Path, ending: str = "") -> Path:
    """A path where nothing is: the one given, else with _2, _3, ... before its `ending`."""
    name, number, free = path.name.removesuffix(ending), 1, path
    while os.path.lexists(free):
        number += 1
        free = path.with_name(f"{name}_{number}{ending}")
    return free


def write_json(path: Path, record: Any) -> None:
    """Write plain JSON values as `write_beside` does. ValueError for a number that JSON has not."""
    write_beside(path, (json.dumps(record, indent=1, allow_nan=False) + "\n").encode())


def umask() -> int:
    """The process's file mode mask, which can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def save(path: Path, model: Model) -> int:
    """Write a model; returns its size in bytes. ModelError where the header asks for float16, and a weight is too large
    for it."""
    tensors = {k: v.detach().cpu().contiguous() for k, v in stored(model.field).items()}
    if model.header.half:
        tensors = halved(path, model.field, tensors)
    if isinstance(model.field.head, Volume):
        packed = zlib.compress(model.occupancy.cpu().contiguous().numpy().tobytes(), 9)
        tensors["occupancy"] = torch.frombuffer(bytearray(packed), dtype=torch.uint8)
    content = safetensors.torch.save(tensors, {KEY: json.dumps(model.header.record(), allow_nan=False)})
    write_beside(path, content)
    return len(content)


def stored(field: Field) -> dict[str, Tensor]:
    """A field's tensors for the file."""
    parts = {"architecture": field.architecture.stored(), "head": field.head.stored()}
    return {f"weights.{part}.{name}": value for part, values in parts.items() for name, value in values.items()}


def learnt(field: Field, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """A field's parameters whose float32 numbers are among its stored tensors as they are: neither in 8 bits nor sparse
    nor already half, nor places and the like, which no training moves."""
    parts = {"architecture": field.architecture, "head": field.head}
    named = {f"weights.{p}.{name}": value for p, module in parts.items() for name, value in module.named_parameters()}
    return {n: v for n, v in named.items() if n in tensors and tensors[n].dtype == v.dtype == torch.float32}


def halved(path: Path, field: Field, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Stored tensors with float32 parameters in float16. ModelError for numbers that are too large."""
    names = learnt(field, tensors).keys()
    for name in names:
        largest = 0.0 if tensors[name].is_meta or not tensors[name].numel() else float(tensors[name].abs().max())
        if largest > HALF_END:
            raise ModelError(f"{path}: tensor '{name}' holds {largest:g}; float16 (--half) ends at {HALF_END:g}")
    return {name: value.half() if name in names else value for name, value in tensors.items()}


@torch.no_grad()
def round_to_half(field: Field) -> None:
    """Give a field the weights that a half file would give back."""
    for value in learnt(field, stored(field)).values():
        value.copy_(value.half())


def read_header(path: Path) -> Header:
    """The JSON header alone. ModelError names the file and what is wrong."""
    with opened(path) as file:
        return parse_header(path, (file.metadata() or {}).get(KEY))


def opened(path: Path):  # noqa: ANN201
    """An open safetensors file, after the checks that need no allocation."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start, first = file.read(8), file.read(1)
    if start.startswith(PICKLES) and first != b"{":  # a header may be 640 bytes long, which begins as a pickle does
        raise ModelError(f"{path}: is a pickle (torch.save), which can run code; wanted a Polyfield .safetensors file")
    if size < 8 or size > LARGEST_FILE:
        raise ModelError(f"{path}: {size} bytes; wanted a Polyfield .safetensors file")
    header = int.from_bytes(start, "little")
    if header > LARGEST_HEADER:
        raise ModelError(f"{path}: not a Polyfield model (header of {header} bytes; at most {LARGEST_HEADER})")
    if header + 8 > size:
        raise ModelError(f"{path}: truncated or not a model: header of {header} bytes in a file of {size}")
    try:
        return safetensors.safe_open(str(path), framework="pt")
    except safetensors.SafetensorError as error:
        raise ModelError(f"{path}: truncated or damaged: {error}") from None


def parse_header(path: Path, text: str | None) -> Header:
    """Header from its JSON."""
    if text is None:
        raise ModelError(f"{path}: safetensors without a '{KEY}' entry; wanted a Polyfield model")
    try:
        record = json_files.loads(text)
        numbers.check_plain(record, "header")
    except ValueError as error:
        raise ModelError(f"{path}: header is not JSON: {error}") from None
    version = record.pop("version", None) if isinstance(record, dict) else None
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise ModelError(f"{path}: header has no format version")
    if version not in VERSIONS:
        what = "upgrade it" if version > VERSIONS[-1] else "an earlier one wrote this file: train it again"
        wanted = " and ".join(map(str, VERSIONS))
        found = numbers.brief(version)
        raise ModelError(f"{path}: format version {found}; this Polyfield reads versions {wanted}: {what}")
    if version == 2 and record.get("head") == "radiance":
        del record["head"]  # the architecture's own
    try:
        return checked(record)
    except ValueError as error:
        raise ModelError(f"{path}: {error}") from None


def checked(record: dict[str, Any]) -> Header:
    """The header of JSON values, every entry of its type and every number within what it means. ValueError for others;
    a config is left to its architecture, cameras to render/camera.py."""
    entries = {one.name: one for one in dataclasses.fields(Header)}
    odd = sorted(record.keys() - entries.keys())
    absent = sorted(n for n, one in entries.items() if n not in record and needed(one))
    if odd or absent:
        what = f"has no entry {absent[0]!r}" if absent else f"has an entry {numbers.brief(odd[0])}, which is unknown"
        raise ValueError(f"header does not fit: it {what}")
    header = Header(**record)
    for name, (kind, words) in KINDS.items():
        if not isinstance(found := getattr(header, name), kind):
            raise ValueError(f"{name} must be {words}, found {numbers.brief(found)}")
    sides = len(header.box[0]) if isinstance(header.box, list) and header.box and is_row(header.box[0]) else 3
    numbers.array(header.box, "box", (2, 2 if sides == 2 else 3))
    numbers.number(header.step, "step", 0, 1)
    numbers.number(header.cone, "cone", 0, 0.1)
    for value in numbers.array(header.background, "background", (3,)).tolist():
        numbers.number(value, "background", 0, 1)
    if header.span is not None:
        numbers.array(header.span, "span", (2,))
    check_similarity(numbers.array(header.transform, "transform", (4, 4), LARGEST_UNIT))
    return dataclasses.replace(header, resolution=numbers.whole(header.resolution, "resolution", 0, CELLS[-1]))


def needed(entry: Any) -> bool:
    """Whether an entry of a dataclass has no default."""
    return entry.default is dataclasses.MISSING and entry.default_factory is dataclasses.MISSING


def is_row(found: object) -> bool:
    """Whether this is a list."""
    return isinstance(found, list)


def check_similarity(transform: Tensor) -> None:
    """ValueError for a matrix (4, 4) float64 that is no similarity, or one of a scale that no scene has."""
    turn, last = transform[:3, :3], transform.new_tensor([0, 0, 0, 1])
    scale = float(torch.linalg.det(turn).abs() ** (1 / 3))
    sound = 1 / LARGEST_UNIT <= scale <= LARGEST_UNIT and torch.allclose(transform[3], last, rtol=0, atol=1e-6)
    if not sound or float((turn @ turn.T / scale**2 - torch.eye(3, dtype=turn.dtype)).abs().max()) > 1e-3:
        raise ValueError(f"transform is no similarity: {numbers.brief(transform.tolist())}")


def load(path: Path) -> Model:
    """Read a model onto the CPU. ModelError for a file that is no model; OSError where it cannot be read."""
    with opened(path) as file:
        header = parse_header(path, (file.metadata() or {}).get(KEY))
        found = {name: described(file.get_slice(name)) for name in file.keys()}  # noqa: SIM118
        wanted = {name: described(value) for name, value in skeleton(path, header).items()}
        volume = header.resolution > 0  # as `skeleton` has checked
        packed = found.pop("occupancy", None) if volume else None
        for name in sorted(wanted.keys() | found.keys()):
            if found.get(name) != wanted.get(name):
                what = f"the header wants {wanted.get(name)} for a {header.architecture}"
                raise ModelError(f"{path}: tensor '{numbers.printable(name, 80)}' is {found.get(name)}; {what}")
        if volume and (packed is None or not packed.startswith("U8 (") or packed.count(",") != 1):
            raise ModelError(f"{path}: tensor 'occupancy' is {packed}; wanted a row of U8")
        weights = {name: file.get_tensor(name) for name in wanted}
        if header.half:
            weights = widened(header, weights)
        nothing = torch.zeros(0, 0, dtype=torch.uint8)
        occupancy = unpacked(path, file.get_tensor("occupancy"), header) if volume else nothing
    if not all(bool(torch.isfinite(w).all()) for w in weights.values() if w.is_floating_point()):
        raise ModelError(f"{path}: weights are not all finite numbers")
    result = header.shape.build(header.space, None)
    try:
        for part, module in (("architecture", result.architecture), ("head", result.head)):
            start = f"weights.{part}."
            module.restore({k.removeprefix(start): v for k, v in weights.items() if k.startswith(start)})
    except (ValueError, RuntimeError) as error:
        raise ModelError(f"{path}: {error}") from None
    return Model(result, occupancy, header)


def widened(header: Header, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Inverse of `halved`."""
    field = header.shape.outline(header.space)
    with torch.device("meta"):
        names = learnt(field, stored(field)).keys()
    return {name: value.float() if name in names else value for name, value in weights.items()}


TYPES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.float64: "F64", torch.int8: "I8"}
TYPES |= {torch.uint8: "U8", torch.int16: "I16", torch.int32: "I32", torch.int64: "I64", torch.bool: "BOOL"}


def described(tensor: Any) -> str:
    """Type and shape of a tensor or of a safetensors slice, such as "F32 (10, 2)"."""
    if isinstance(tensor, Tensor):
        return f"{TYPES[tensor.dtype]} {tuple(tensor.shape)}"
    return f"{tensor.get_dtype()} {tuple(tensor.get_shape())}"


def unpacked(path: Path, packed: Tensor, header: Header) -> Tensor:
    """The occupancy bits (K, G^3 / 8). Never takes more memory than 8 cascades do."""
    cascade = header.resolution**3 // 8
    stream = zlib.decompressobj()
    try:
        content = stream.decompress(packed.numpy().tobytes(), 8 * cascade + 1)
    except zlib.error as error:
        raise ModelError(f"{path}: tensor 'occupancy' is damaged: {error}") from None
    count, rest = divmod(len(content), cascade)
    if rest or not 1 <= count <= 8 or not stream.eof:
        raise ModelError(f"{path}: {len(content) / cascade:g} occupancy cascades; wanted 1 to 8")
    return torch.frombuffer(bytearray(content), dtype=torch.uint8).view(count, cascade)


def skeleton(path: Path, header: Header) -> dict[str, Tensor]:
    """The tensors that a file must hold, without memory behind them; config and head are checked here."""
    try:
        field = header.shape.outline(header.space)
        cells = CELLS if isinstance(field.head, Volume) else (0,)
        if header.resolution not in cells:
            wanted = ", ".join(map(str, cells))
            raise ValueError(
                f"resolution must be one of {wanted} for a {header.architecture}, found {header.resolution}"
            )
        with torch.device("meta"):
            return halved(path, field, stored(field)) if header.half else stored(field)
    except TypeError as error:
        raise ModelError(f"{path}: config does not fit architecture {header.architecture}: {error}") from None
    except (ValueError, RuntimeError) as error:
        raise ModelError(f"{path}: {error}") from None
