"""The pieces of a glTF 2.0 file (Khronos 2021): its JSON, the bytes that this names, and arrays and pictures in them.

Every number goes through fields/numbers.py, and what it asks for is held against the bytes that are there before memory
is taken. What is wrong is a ValueError that names the entry.
"""

import base64
import binascii
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final
from urllib.parse import unquote

import numpy as np
from PIL import Image

from fields import json_files
from fields.numbers import brief, printable, whole
from scenes.mesh_files import textures

KINDS = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}
JSON, BINARY = 0x4E4F534A, 0x004E4942  # kinds of chunks
MOST = 1 << 28  # values of an array
UNWRITTEN = 1 << 24  # of those that are not in the file, since they are 0


def child(record: dict[str, Any], key: str) -> dict[str, Any]:
    """An object within an object, empty where there is none. ValueError where it is something else."""
    found = record.get(key, {})
    if not isinstance(found, dict):
        raise ValueError(f"'{key}' must be an object, found {brief(found)}")
    return found


def children(record: dict[str, Any], key: str) -> list[Any]:
    """A list within an object, empty where there is none. ValueError where it is something else."""
    found = record.get(key, [])
    if not isinstance(found, list):
        raise ValueError(f"'{key}' must be a list, found {brief(found)}")
    return found


def kind_of(record: dict[str, Any]) -> np.dtype:
    """The type of an array's values."""
    code = whole(record.get("componentType"), "a 'componentType'", min(KINDS), max(KINDS))
    if code not in KINDS:
        raise ValueError(f"a 'componentType' must be one of {', '.join(map(str, KINDS))}, found {code}")
    return np.dtype(KINDS[code])


@final
@dataclass(frozen=True)
class Document:
    """A file that has been opened."""

    path: Path
    record: dict[str, Any]
    binary: bytes  # that a .glb holds itself
    kept: dict[Any, Any] = field(default_factory=dict)  # what was read before

    def entry(self, key: str, index: object) -> dict[str, Any]:
        """One of the objects in a list."""
        every = children(self.record, key)
        if not every:
            raise ValueError(f"it names one of its '{key}' and has none")
        found = every[whole(index, f"a number of '{key}'", 0, len(every) - 1)]
        if not isinstance(found, dict):
            raise ValueError(f"'{key}' must hold objects, found {brief(found)}")
        return found

    def buffer(self, index: object) -> bytes:
        """The bytes of a buffer."""
        record = self.entry("buffers", index)
        if ("buffer", index) not in self.kept:
            uri = record.get("uri")
            self.kept["buffer", index] = self.binary if uri is None else self.fetched(uri)
        return self.kept["buffer", index]

    def fetched(self, uri: object) -> bytes:
        """What a `data:` address holds, or a file beside this one."""
        if not isinstance(uri, str):
            raise ValueError(f"'uri' must be text, found {brief(uri)}")
        if uri.startswith("data:"):
            head, _, content = uri.partition(",")
            try:
                return base64.b64decode(content) if head.endswith(";base64") else unquote(content).encode("latin-1")
            except (binascii.Error, ValueError):
                raise ValueError("a 'data:' address cannot be read") from None
        for name in (uri, unquote(uri)):
            try:
                return textures.locate(name, self.path.parent).read_bytes()
            except ValueError:
                continue
        raise ValueError(f"{printable(uri, 100)}: there is no such file")

    def view(self, index: object) -> tuple[memoryview, int]:
        """The bytes of a buffer view, and how far its rows are apart; 0: as long as they are."""
        record = self.entry("bufferViews", index)
        content = self.buffer(record.get("buffer"))
        begin = whole(record.get("byteOffset", 0), "a 'byteOffset'", 0, len(content))
        size = whole(record.get("byteLength"), "a 'byteLength'", 0, len(content) - begin)
        stride = whole(record.get("byteStride", 0), "a 'byteStride'", 0, 255)
        return memoryview(content)[begin : begin + size], stride

    def count(self, index: object) -> int:
        """How many rows an array has."""
        return whole(self.entry("accessors", index).get("count"), "the 'count' of an accessor", 0, MOST)

    def array(self, index: object, widths: tuple[int, ...]) -> np.ndarray:
        """An array (rows, one of `widths`), of integers as they are, or of float32; normalized ones lie in [-1, 1]."""
        record = self.entry("accessors", index)
        width, kind = WIDTHS.get(str(record.get("type"))), kind_of(record)
        if width not in widths:
            wanted = " or ".join(str(one) for one in widths)
            raise ValueError(f"an accessor must have {wanted} numbers a row, found {brief(record.get('type'))}")
        rows = self.count(index)
        if "bufferView" in record:
            values = self.window(record, (rows, width), kind)
        elif "sparse" in record and rows * width <= UNWRITTEN:
            values = np.zeros((rows, width), kind)
        else:
            raise ValueError(f"an accessor of {rows} rows has no buffer view: its values are not in the file")
        if "sparse" in record:
            values = self.spread(child(record, "sparse"), values)
        if record.get("normalized") is True and values.dtype.kind in "iu":
            values = np.maximum(values.astype(np.float32) / np.iinfo(values.dtype).max, -1)
        return values

    def window(self, record: dict[str, Any], shape: tuple[int, int], kind: np.dtype) -> np.ndarray:
        """The rows of an accessor, or of a part of a sparse one, as they lie in its buffer view."""
        content, stride = self.view(record.get("bufferView"))
        begin = whole(record.get("byteOffset", 0), "a 'byteOffset'", 0, len(content))
        row = shape[1] * kind.itemsize
        stride = stride or row
        if shape[0] and begin + (shape[0] - 1) * stride + row > len(content):
            raise ValueError(
                f"an accessor wants {shape[0]} rows, more than the {len(content)} bytes of its buffer view"
            )
        return np.ndarray(shape, kind, content, begin, (stride, kind.itemsize)) if shape[0] else np.zeros(shape, kind)

    def spread(self, sparse: dict[str, Any], values: np.ndarray) -> np.ndarray:
        """The values with those that a sparse accessor sets apart."""
        rows = whole(sparse.get("count"), "the 'count' of a sparse accessor", 0, len(values))
        places, changed = child(sparse, "indices"), child(sparse, "values")
        index = self.window(places, (rows, 1), kind_of(places))[:, 0].astype(np.int64)
        if len(index) and not 0 <= index.min() <= index.max() < len(values):
            raise ValueError(f"a sparse accessor changes row {index.max()} of {len(values)}")
        result = values.copy()
        result[index] = self.window(changed, (rows, values.shape[1]), values.dtype)
        return result

    def picture(self, texture: object) -> tuple[str, Image.Image | None, str]:
        """Name and pixels of the picture of a texture, and why there is none, where there is none."""
        record = self.entry("textures", texture)
        webp = child(child(record, "extensions"), "EXT_texture_webp")
        source = webp.get("source", record.get("source"))
        if source is None:
            return f"{texture}", None, "it is of a kind that is not read"
        image = self.entry("images", source)
        name = image.get("name") or image.get("uri") or f"image {source}"
        name = printable(str(name), 100) if not str(name).startswith("data:") else f"image {source}"
        if ("picture", source) not in self.kept:
            try:
                view = image.get("bufferView")
                content = bytes(self.view(view)[0]) if view is not None else self.fetched(image.get("uri"))
                self.kept["picture", source] = textures.decoded(content), ""
            except (ValueError, OSError) as error:
                self.kept["picture", source] = None, str(error)
        return name, *self.kept["picture", source]


def opened(path: Path) -> Document:
    """The document in a file. ValueError where it is none."""
    if path.suffix.lower() == ".gltf":
        return Document(path, checked(json_files.parse(path)), b"")
    content = path.read_bytes()
    if len(content) < 12 or content[:4] != b"glTF":
        raise ValueError("wanted a binary glTF file, found one that does not begin with 'glTF'")
    version, said = struct.unpack("<II", content[4:12])
    if version != 2:
        raise ValueError(f"wanted glTF of version 2, found {version}")
    if len(content) < said:
        raise ValueError(f"file is cut off: its header says {said} bytes, found {len(content)}")
    chunks, at = dict[int, bytes](), 12
    while at + 8 <= len(content):
        size, kind = struct.unpack("<II", content[at : at + 8])
        if at + 8 + size > len(content):
            raise ValueError(f"file is cut off: a part wants {size} bytes, found {len(content) - at - 8}")
        chunks.setdefault(kind, content[at + 8 : at + 8 + size])
        at += 8 + size
    if JSON not in chunks or len(chunks[JSON]) > json_files.MOST:
        raise ValueError(f"wanted a part of JSON of at most {json_files.MOST >> 20} MiB")
    try:
        record = json_files.loads(chunks[JSON].decode("utf-8").rstrip("\0"))
    except UnicodeDecodeError:
        raise ValueError("its JSON is not UTF-8") from None
    return Document(path, checked(record), chunks.get(BINARY, b""))


def checked(record: object) -> dict[str, Any]:
    """The JSON of a file of version 2. ValueError where it is something else."""
    if not isinstance(record, dict):
        raise ValueError(f"wanted a JSON object, found {brief(record)}")
    version = str(child(record, "asset").get("version", ""))
    if not version.startswith("2"):
        raise ValueError(f"wanted glTF of version 2, found {brief(version)}")
    return record
