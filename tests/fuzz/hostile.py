"""One hostile input of each kind, made of a good one, and which reader it is for."""

import base64
import functools
import io
import json
import math
import random
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import safetensors.torch
import torch
from PIL import Image

from fields.files import KEY

from . import good_inputs, nasty

Random = random.Random
Make = Callable[[Path, Random], Path]  # writes the input into a folder and says where it begins


def packed(header: str, tensors: dict[str, torch.Tensor]) -> bytes:
    """A model file."""
    return safetensors.torch.save({k: v.contiguous() for k, v in tensors.items()}, {KEY: header})


def put(folder: Path, name: str, content: bytes) -> Path:
    """A file in the folder."""
    path = folder / name
    path.write_bytes(content)
    return path


def some_model(rng: Random) -> bytes:
    return good_inputs.model(rng.choice(good_inputs.VARIANTS))


def model_header(folder: Path, rng: Random) -> Path:
    record, tensors = good_inputs.opened(some_model(rng))
    return put(folder, "m.safetensors", packed(nasty.written(nasty.changed(record, rng)), tensors))


def model_numbers(folder: Path, rng: Random) -> Path:
    """A change of what rays are followed by, and of nothing else."""
    record, tensors = good_inputs.opened(some_model(rng))
    for key in rng.sample(
        ("box", "step", "cone", "resolution", "transform", "background", "span"), rng.choice((1, 1, 2))
    ):
        record |= nasty.changed({key: record.get(key)}, rng, 1)
    return put(folder, "m.safetensors", packed(nasty.written(record), tensors))


def model_config(folder: Path, rng: Random) -> Path:
    record, tensors = good_inputs.opened(some_model(rng))
    record["config"] = nasty.changed(record["config"], rng)
    return put(folder, "m.safetensors", packed(nasty.written(record), tensors))


def model_cameras(folder: Path, rng: Random) -> Path:
    record, tensors = good_inputs.opened(good_inputs.model("hashgrid"))
    key = rng.choice(("train_cameras", "test_cameras"))
    record[key] = nasty.changed(record[key], rng)
    return put(folder, "m.safetensors", packed(nasty.written(record), tensors))


def model_words(folder: Path, rng: Random) -> Path:
    record, tensors = good_inputs.opened(good_inputs.model("hashgrid"))
    key = rng.choice(("provenance", "metrics", "thumbnail", "provenance"))
    record |= nasty.changed({key: record[key]}, rng, 1)
    if key == "thumbnail" and rng.random() < 0.5:
        record[key] = base64.b64encode(picture_bytes(rng)).decode()
    return put(folder, "m.safetensors", packed(nasty.written(record), tensors))


def model_text(folder: Path, rng: Random) -> Path:
    record, tensors = good_inputs.opened(good_inputs.model("hashgrid"))
    text = nasty.text(nasty.written(record), rng).decode("utf-8", "replace")
    return put(folder, "m.safetensors", packed(text, tensors))


def model_tensors(folder: Path, rng: Random) -> Path:
    record, tensors = good_inputs.opened(some_model(rng))
    names = sorted(name for name in tensors if name != "occupancy")
    for name in rng.sample(names, min(len(names), rng.choice((1, 1, 2)))):
        bent(tensors, name, rng)
    return put(folder, "m.safetensors", packed(nasty.written(record), tensors))


def bent(tensors: dict[str, torch.Tensor], name: str, rng: Random) -> None:
    """One tensor with other values, of another shape or type, or gone."""
    old = tensors.pop(name)
    values = (float("nan"), float("inf"), 3e38, -3e38, 1e30, 1e-40, 0.0, -1.0, 1e4, -1e4)
    kind = rng.choice(("all", "all", "one", "one", "some", "shape", "type", "gone", "name", "empty"))
    if kind in ("all", "one", "some"):
        flat = old.clone().flatten()
        where = {"all": slice(None), "one": rng.randrange(max(len(flat), 1)), "some": slice(None, None, 7)}[kind]
        number = rng.choice(values)
        if len(flat):
            whole = 0 if math.isnan(number) else int(max(-128, min(127, number)))
            flat[where] = number if flat.is_floating_point() else whole
        tensors[name] = flat.view(old.shape)
    elif kind == "shape":
        tensors[name] = rng.choice((old[None], old.flatten(), old.flatten()[:1], old.flatten()[:-1], torch.zeros(())))
    elif kind == "type":
        tensors[name] = old.to(
            rng.choice((torch.float16, torch.float64, torch.int8, torch.int64, torch.bool, torch.bfloat16))
        )
    elif kind == "name":
        tensors[rng.choice((name + "x", "\x1b[31m", "occupancy", "weights.head." + "x" * 4000))] = old
    elif kind == "empty":
        tensors[name] = torch.zeros(0)


@functools.cache
def bomb() -> bytes:
    """300 MB of zeros, compressed."""
    return zlib.compress(bytes(300 << 20), 1)


def model_occupancy(folder: Path, rng: Random) -> Path:
    record, tensors = good_inputs.opened(some_model(rng))
    good = tensors["occupancy"].numpy().tobytes()
    bits = zlib.decompress(good)
    streams = (
        lambda: nasty.damaged(good, rng), lambda: b"", lambda: good + b"x" * 1000, bomb,
        lambda: zlib.compress(bits + b"\0"), lambda: zlib.compress(bits * 3), lambda: zlib.compress(bits * 9),
        lambda: zlib.compress(bytes(len(bits))),
        lambda: zlib.compress(rng.randbytes(len(bits))), lambda: bits, lambda: zlib.compress(nasty.damaged(bits, rng)),
    )  # fmt: skip
    tensors["occupancy"] = torch.frombuffer(bytearray(rng.choice(streams)() or b"\0"), dtype=torch.uint8)
    record["resolution"] = rng.choice((32, 32, 32, 64, 256))
    return put(folder, "m.safetensors", packed(nasty.written(record), tensors))


def model_file(folder: Path, rng: Random) -> Path:
    """The container: its bytes, or the JSON that lists the tensors."""
    good = some_model(rng)
    if rng.random() < 0.5:
        return put(folder, "m.safetensors", nasty.damaged(good, rng))
    length = int.from_bytes(good[:8], "little")
    table, rest = json.loads(good[8 : 8 + length]), good[8 + length :]
    text = nasty.written(nasty.changed(table, rng)).encode()
    size = rng.choice((len(text), len(text), len(text), len(text) - 1, len(text) + 1, 0, 1 << 40, (1 << 64) - 1))
    return put(folder, "m.safetensors", size.to_bytes(8, "little") + text + rest)


def model_sparse(folder: Path, rng: Random) -> Path:
    """A few rows, or kernels, that ask for a large grid, or for work at every point."""
    if rng.random() < 0.5:
        record, tensors = good_inputs.opened(good_inputs.model("voxels"))
        size, rows = rng.choice((64, 128, 300, 512, 800)), rng.choice((1, 8, 27))
        record["config"] |= {"resolution": size, "finest": size, "rows": rows}
        mask = torch.zeros(-(-((size + 1) ** 3) // 8), dtype=torch.uint8)
        mask[: rows // 8] = 255
        mask[rows // 8] = (1 << rows % 8) - 1
        tensors["weights.architecture.mask"] = mask
        for name in ("weights.architecture.density", "weights.architecture.coefficients"):
            tensors[name] = torch.zeros(rows, *tensors[name].shape[1:])
    else:
        record, tensors = good_inputs.opened(good_inputs.model("rbf space"))
        count, side = rng.choice((64, 1 << 13, 1 << 15)), rng.choice((1e-38, 1e-6, 0.1, 0.5, 1.0, 1e3, 1e38))
        record["config"] |= {"kernels": count}
        start = "weights.architecture.beside.0."
        tensors[start + "centres"] = torch.rand(count, 3, generator=torch.Generator().manual_seed(1))
        tensors[start + "shapes"] = torch.tensor([side, 0, 0, side, 0, side]).repeat(count, 1)
        tensors[start + "coefficients"] = torch.zeros(count, record["config"]["coefficients"])
    return put(folder, "m.safetensors", packed(nasty.written(record), tensors))


def data_json(form: str, folder: Path, rng: Random) -> Path:
    files = good_inputs.data_set(folder, form)
    victim = rng.choice(list(files))
    for name, content in files.items():
        changed = content
        if name == victim:
            changed = nasty.changed(content, rng) if rng.random() < 0.97 else many(content)
        put(folder, name, nasty.written(changed).encode())
    return folder


def many(content: good_inputs.Json) -> good_inputs.Json:
    """As many frames as nobody took."""
    return content | {"frames": content["frames"][:1] * 120_000}


LENS = ("fl_x", "fl_y", "cx", "cy", "k1", "k2", "k3", "k4", "p1", "p2", "camera_angle_x", "camera_angle_y", "x_fov")


def data_lens(folder: Path, rng: Random) -> Path:
    """A change of lens keys, of those in the file and of others that are known."""
    files = good_inputs.data_set(folder, "ngp")
    content = files["transforms.json"]
    keys = (*LENS, *LENS, "w", "h", "is_fisheye", "camera_model", "aabb_scale")
    target = content if rng.random() < 0.7 else rng.choice(content["frames"])
    for key in rng.sample(keys, rng.choice((1, 1, 2, 3))):
        target[key] = nasty.value(rng)
    put(folder, "transforms.json", nasty.written(content).encode())
    return folder


def data_text(folder: Path, rng: Random) -> Path:
    content = good_inputs.data_set(folder, "ngp")["transforms.json"]
    put(folder, "transforms.json", nasty.text(nasty.written(content), rng))
    return folder


def chunk(kind: bytes, content: bytes) -> bytes:
    """Of a PNG."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png_header(width: int, height: int, depth: int = 8, color: int = 6) -> bytes:
    """A PNG of this size that has next to no pixels."""
    head = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    pixels = zlib.compress(bytes(100_000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


EPS = b"""%!PS-Adobe-3.0 EPSF-3.0
%%BoundingBox: 0 0 24 16
%%EndComments
newpath 0 0 moveto 24 16 lineto stroke
showpage
%%EOF
"""
SIZES = ((30_000, 30_000), (9_000, 9_000), (0, 0), (1, 1), (24, 16), (2**31 - 1, 2**31 - 1), (65_535, 1), (1 << 20, 1))


def encoded(image: Image.Image, form: str, **options: object) -> bytes:
    """A picture's file."""
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def picture_bytes(rng: Random) -> bytes:
    """A file that is no good picture, or one of a kind that few programs write."""
    plain = Image.frombytes("RGB", (24, 16), bytes(range(256)) * 4 + bytes(128))
    good = encoded(plain, rng.choice(("PNG", "JPEG", "WEBP")))
    kinds = (
        lambda: nasty.damaged(good, rng), lambda: nasty.damaged(good, rng), lambda: EPS, lambda: b"",
        lambda: png_header(*rng.choice(SIZES), rng.choice((1, 8, 16)), rng.choice((0, 2, 3, 4, 6))),
        lambda: encoded(plain.convert("P"), "PNG", transparency=3), lambda: encoded(plain.convert("CMYK"), "JPEG"),
        lambda: encoded(Image.new("I;16", (24, 16), 300), "PNG"), lambda: encoded(plain.convert("1"), "PNG"),
        lambda: encoded(plain.convert("LA"), "PNG"), lambda: encoded(plain.convert("F"), "TIFF"),
        lambda: encoded(plain, "GIF", save_all=True, append_images=[plain, plain]),
        lambda: encoded(plain, "PNG", save_all=True, append_images=[plain.rotate(90)]),
        lambda: encoded(plain, rng.choice(("BMP", "TIFF", "PPM", "ICO", "TGA", "PDF"))),
        lambda: good[: rng.randrange(len(good))], lambda: encoded(Image.new("L", (16, 24)), "PNG"),
        lambda: rng.randbytes(500), lambda: b"\x00\x00\x01\x00" + rng.randbytes(60),
        lambda: encoded(Image.new("L", (8_000, 5_000)), "PNG"), lambda: b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    )  # fmt: skip
    return rng.choice(kinds)()


def pictures(folder: Path, rng: Random) -> Path:
    form = rng.choice(("ngp", "blender"))
    for name, content in good_inputs.data_set(folder, form).items():
        put(folder, name, nasty.written(content).encode())
    found = sorted(path for path in folder.rglob("*.png"))
    for path in rng.sample(found, rng.choice((1, 1, len(found)))):
        path.write_bytes(picture_bytes(rng))
    return folder


def masks(folder: Path, rng: Random) -> Path:
    put(
        folder, "transforms.json", nasty.written(good_inputs.data_set(folder, "nerfstudio")["transforms.json"]).encode()
    )
    if rng.random() < 0.5:
        (folder / "masks" / rng.choice(("00.png", "01.png"))).write_bytes(picture_bytes(rng))
    else:
        (folder / "images" / "dynamic_mask_00.png").write_bytes(picture_bytes(rng))
    return folder


def mesh(kind: str, folder: Path, rng: Random) -> Path:
    path = good_inputs.mesh(folder, kind)
    if kind == "mtl":
        path.with_suffix(".mtl").write_bytes(words(path.with_suffix(".mtl").read_bytes(), rng))
        if rng.random() < 0.3:
            (folder / "paint.png").write_bytes(picture_bytes(rng))
    elif kind in ("gltf", "glb") and rng.random() < 0.7:
        document, binary = good_inputs.gltf(picture_bytes(rng) if rng.random() < 0.2 else good_inputs.pixel())
        if kind == "gltf":
            document["buffers"][0]["uri"] = "solid.bin"
            (folder / "solid.bin").write_bytes(binary)
        text = nasty.written(nasty.changed(document, rng)).encode()
        path.write_bytes(text if kind == "gltf" else good_inputs.glb(text, binary))
    elif kind in ("gltf", "glb", "stl"):
        path.write_bytes(nasty.damaged(path.read_bytes(), rng))
    else:
        path.write_bytes(words(path.read_bytes(), rng))
    return path


def words(content: bytes, rng: Random) -> bytes:
    """A file of words in lines, with some of them changed."""
    if rng.random() < 0.2:
        return nasty.damaged(content, rng)
    lines = [line.split(b" ") for line in content.split(b"\n")]
    for _ in range(rng.choice((1, 1, 2, 4))):
        line = rng.choice(lines)
        place = rng.randrange(len(line))
        what = rng.choice(("value", "value", "value", "delete", "twin", "lines", "line out", "swap"))
        if what == "value":
            number = nasty.value(rng)
            text = number if isinstance(number, str) else nasty.written(number)
            line[place] = text[:5000].encode("utf-8", "replace")
        elif what == "delete":
            del line[place]
            line += [] if line else [b""]
        elif what == "twin":
            line.insert(place, line[place])
        elif what == "lines":
            lines.insert(lines.index(line), list(line) * rng.choice((1, 1, 1000)))
        elif what == "line out" and len(lines) > 1:
            lines.remove(line)
        else:
            line[place] = rng.choice(rng.choice(lines))
    return b"\n".join(b" ".join(line) for line in lines)


def camera_path(form: str, folder: Path, rng: Random) -> Path:
    content = good_inputs.camera_path(form)
    if rng.random() < 0.15:
        return put(folder, "path.json", nasty.text(nasty.written(content), rng))
    return put(folder, "path.json", nasty.written(nasty.changed(content, rng)).encode())


def checkpoint(good: bytes, folder: Path, rng: Random) -> Path:
    """A file that --resume reads."""
    path = folder / "checkpoint.safetensors"
    if rng.random() < 0.25:
        path.write_bytes(nasty.damaged(good, rng))
        return path
    length = int.from_bytes(good[:8], "little")
    words, tensors = json.loads(good[8 : 8 + length])["__metadata__"], safetensors.torch.load(good)
    if rng.random() < 0.3:
        key = next(iter(words))
        record = json.loads(words[key])
        if rng.random() < 0.5:
            record["config"] = nasty.changed(record["config"], rng)
        text = nasty.written(nasty.changed(record, rng))
        if rng.random() < 0.3:
            text = nasty.text(words[key], rng).decode("utf-8", "replace")
        words = {key: text}
    else:
        for name in rng.sample(sorted(tensors), rng.choice((1, 1, 2))):
            bent(tensors, name, rng)
    path.write_bytes(safetensors.torch.save({k: v.contiguous() for k, v in tensors.items()}, words))
    return path
