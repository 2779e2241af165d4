"""Good inputs, small, as our own code and the programs around it write them. Hostile ones are changes of these."""

import base64
import functools
import io
import json
import math
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from PIL import Image

import fields
from fields.files import KEY, Header, Model, save
from fields.shape import Shape
from fields.space import Space
from render.camera import Camera, Intrinsics, look_at

G = 32  # occupancy cells per axis
UP = torch.tensor([0.0, 0.0, 1.0])
BOX, WIDE = [[0.0, 0.1, 0.2], [1.0, 0.9, 0.8]], [[-1.5] * 3, [2.5] * 3]
VARIANTS = (*fields.NAMES, "rbf space", "hashgrid half", "hashgrid wide")  # of model files

Json = dict[str, Any]


def eyes(count: int, radius: float, center: float) -> list[torch.Tensor]:
    """Poses (4, 4) on a ring around a point on the diagonal."""
    target = torch.full((3,), center)
    places = [(2 * math.pi * i / count, 0.3 + 0.4 * (i % 3)) for i in range(count)]
    away = [torch.tensor([math.cos(a), math.sin(a), z]) * radius for a, z in places]
    return [look_at(target + one, target, UP) for one in away]


@functools.cache
def model(variant: str) -> bytes:
    """A model file with three cameras."""
    name, _, special = variant.partition(" ")
    config = fields.module(name).PRESETS["tiny" if special != "space" else "space-tiny"]
    if special == "space":
        config = replace(config, placed=True)
    if name in ("hashgrid", "rbf"):
        config = replace(config, table_bits=8)
    generator, box = torch.Generator().manual_seed(1), WIDE if special == "wide" else BOX
    lens = Intrinsics(9.0, 9.0, 4.0, 4.0, "opencv", (0.01, 0.0, 0.0, 0.0))
    cameras = [Camera(pose, lens, (8, 8)).to_record() for pose in eyes(3, 2.0, 0.5)]
    picture = io.BytesIO()
    Image.new("RGB", (8, 8), (200, 100, 50)).save(picture, "PNG")
    header = Header(
        name, asdict(config), box, 0.01, 1 / 256 if special == "wide" else 0.0, G,
        [[0.5, 0, 0, 0.1], [0, 0.5, 0, 0.2], [0, 0, 0.5, 0.3], [0, 0, 0, 1]], [1.0, 1.0, 1.0], cameras[:2], cameras[2:],
        {
            "recipe": {"data": "builtin:48", "preset": "tiny", "architecture": name, "steps": 3},
            "command": ["train-scene", "builtin:48"], "date": "2026-01-01T00:00:00+00:00", "steps": 3,
            "versions": {"polyfield": "0.1.0", "torch": "2.12"}, "train_seconds": 1.5,
        },
        {"psnr": 20.5, "ssim": 0.7, "frame_ms_median": 3.0, "device": "cpu, 1 thread", "scored_on": "3 pictures"},
        base64.b64encode(picture.getvalue()).decode(), half=special == "half",
    )  # fmt: skip
    field = Shape(name, config).build(Space(torch.tensor(box)), generator)
    bits = torch.full((3 if special == "wide" else 1, G**3 // 8), 255, dtype=torch.uint8)
    return _saved(lambda path: save(path, Model(field, bits, header)))


def _saved(write: Any) -> bytes:
    """What a function writes to a path."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.safetensors"
        write(path)
        return path.read_bytes()


def opened(content: bytes) -> tuple[Json, dict[str, torch.Tensor]]:
    """Our JSON header and the tensors of a model file."""
    length = int.from_bytes(content[:8], "little")
    return json.loads(json.loads(content[8 : 8 + length])["__metadata__"][KEY]), safetensors.torch.load(content)


def pixels(pose: torch.Tensor, size: tuple[int, int], *, cut: bool) -> np.ndarray:
    """(H, W, 4) uint8 of a ball at the origin; around it nothing, or a pattern."""
    camera = Camera(pose, Intrinsics(size[0], size[0], size[0] / 2, size[1] / 2), size)
    rays = camera.rays()
    middle = -(rays.origins * rays.directions).sum(-1, keepdim=True) * rays.directions + rays.origins
    hit = middle.norm(dim=-1, keepdim=True) < 0.8
    colour = (rays.directions * 0.4 + 0.5) * 255
    back = (torch.sin(rays.directions * 40) * 0.5 + 0.5) * 255
    rgb = torch.where(hit, colour, torch.zeros(3) if cut else back)
    alpha = torch.where(hit, 255.0, 0.0) if cut else torch.full_like(hit, 255, dtype=torch.float32)
    return torch.cat([rgb, alpha], -1).to(torch.uint8).reshape(size[1], size[0], 4).numpy()


def data_set(folder: Path, form: str) -> dict[str, Json]:
    """Pictures into a folder; returns its JSON files by name. Forms: ngp, nerfstudio, blender."""
    cut, size, files = form == "blender", (24, 16), {}
    for part, count in (("train", 4), ("test", 2)) if cut else (("", 5),):
        frames = []
        for i, pose in enumerate(eyes(count, 3.0, 0.0)):
            name = f"{part or 'images'}/{i:02}.png"
            (folder / name).parent.mkdir(exist_ok=True)
            Image.fromarray(pixels(pose, size, cut=cut)).save(folder / name)
            frame: Json = {"file_path": name.removesuffix(".png") if cut else name, "transform_matrix": pose.tolist()}
            frames.append(frame)
        files[f"transforms_{part}.json" if cut else "transforms.json"] = {"frames": frames}
    if cut:
        return {name: {"camera_angle_x": 2 * math.atan(0.5), **one} for name, one in files.items()}
    one = files["transforms.json"]
    lens = {"fl_x": 24.0, "fl_y": 24.0, "cx": 12.0, "cy": 8.0, "w": 24, "h": 16}
    if form == "ngp":
        lens |= {"k1": 0.01, "k2": -0.002, "p1": 0.001, "p2": 0.0, "aabb_scale": 4, "scale": 0.33, "offset": [0.5] * 3}
        return {"transforms.json": lens | one}
    for i, frame in enumerate(one["frames"]):
        frame |= lens | {"time": 0.1 * i, "colmap_im_id": i}
        if i < 2:
            frame["mask_path"] = f"masks/{i:02}.png"
            (folder / "masks").mkdir(exist_ok=True)
            Image.fromarray(np.pad(np.zeros((4, 4), np.uint8), ((0, 12), (0, 20)), constant_values=255)).save(
                folder / frame["mask_path"]
            )
    names = [frame["file_path"] for frame in one["frames"]]
    extra = {"camera_model": "OPENCV", "applied_transform": torch.eye(4)[:3].tolist(), "ply_file_path": "points.ply"}
    return {
        "transforms.json": extra
        | one
        | {"train_filenames": names[1:], "val_filenames": [], "test_filenames": names[:1]}
    }


def camera_path(form: str) -> Json:
    """Ours or nerfstudio's."""
    poses = [pose.tolist() for pose in eyes(3, 3.0, 0.0)]
    if form == "ours":
        frames = [{"time": 0.5 * i, "fov": 40 + i, "pose": pose} for i, pose in enumerate(poses[:2])]
        frames.append({"time": 1.5, "fov": 30, "position": [3.0, 0.0, 1.0], "quaternion": [0.5, 0.5, 0.5, 0.5]})
        return {"fps": 4, "size": [8, 8], "closed": False, "keyframes": frames}
    frames = [{"camera_to_world": [v for row in pose for v in row], "fov": 50, "aspect": 1.0} for pose in poses]
    head = {"camera_type": "perspective", "render_height": 8, "render_width": 8, "fps": 4, "seconds": 1}
    crop = {"crop_center": [0, 0, 0], "crop_scale": [2, 2, 2], "crop_bg_color": {"r": 0, "g": 0, "b": 0}}
    return {**head, "is_cycle": False, "smoothness_value": 0, "camera_path": frames, "crop": crop}


CORNERS = [(0, 0, 0), (2, 0, 0), (0, 2, 0), (0, 0, 2)]
SIDES = [(0, 2, 1), (0, 1, 3), (0, 3, 2), (1, 2, 3)]


def mesh(folder: Path, kind: str) -> Path:
    """A tetrahedron, with a texture where the format has any. Kinds: glb, gltf, obj, ply, stl, off, or mtl: an obj."""
    path = folder / f"solid.{'obj' if kind == 'mtl' else kind}"
    texture = np.arange(48, dtype=np.uint8).reshape(4, 4, 3) * 5
    picture = io.BytesIO()
    Image.fromarray(texture).save(picture, "PNG")
    if kind in ("obj", "mtl"):
        (folder / "paint.png").write_bytes(picture.getvalue())
        (folder / "solid.mtl").write_text("newmtl paint\nKa 0 0 0\nKd 0.8 0.5 0.2\nd 1.0\nmap_Kd paint.png\n")
        lines = ["mtllib solid.mtl", *(f"v {x} {y} {z}" for x, y, z in CORNERS), "vt 0 0", "vt 1 0", "vt 0 1"]
        lines += ["usemtl paint", *(f"f {a + 1}/1 {b + 1}/2 {c + 1}/3" for a, b, c in SIDES)]
        path.write_text("\n".join(lines) + "\n")
    elif kind == "off":
        rows = [f"{x} {y} {z}" for x, y, z in CORNERS] + [f"3 {a} {b} {c}" for a, b, c in SIDES]
        path.write_text("OFF\n4 4 6\n" + "\n".join(rows) + "\n")
    elif kind == "ply":
        head = [
            "ply",
            "format ascii 1.0",
            "element vertex 4",
            "property float x",
            "property float y",
            "property float z",
        ]
        head += [f"property uchar {name}" for name in ("red", "green", "blue")]
        head += ["element face 4", "property list uchar int vertex_indices", "end_header"]
        rows = [f"{x} {y} {z} {x * 100} {y * 100} 50" for x, y, z in CORNERS] + [f"3 {a} {b} {c}" for a, b, c in SIDES]
        path.write_text("\n".join(head + rows) + "\n")
    elif kind == "stl":
        record = np.dtype([("n", "<f4", 3), ("v", "<f4", (3, 3)), ("a", "<u2")])
        faces = np.zeros(4, record)
        faces["v"] = np.array(CORNERS, np.float32)[np.array(SIDES)]
        path.write_bytes(b"\0" * 80 + np.uint32(4).tobytes() + faces.tobytes())
    else:
        document, binary = gltf(picture.getvalue())
        if kind == "gltf":
            document["buffers"][0]["uri"] = "solid.bin"
            (folder / "solid.bin").write_bytes(binary)
            path.write_text(json.dumps(document))
        else:
            path.write_bytes(glb(json.dumps(document).encode(), binary))
    return path


def gltf(picture: bytes) -> tuple[Json, bytes]:
    """The document and its buffer."""
    parts = [
        np.array(CORNERS, np.float32).tobytes(), np.array(SIDES, np.uint16).tobytes(),
        np.array([[0, 0], [1, 0], [0, 1], [1, 1]], np.float32).tobytes(), picture,
    ]  # fmt: skip
    views, binary = [], b""
    for part in parts:
        views.append({"buffer": 0, "byteOffset": len(binary), "byteLength": len(part)})
        binary += part + b"\0" * (-len(part) % 4)
    accessors = [
        {"bufferView": 0, "componentType": 5126, "count": 4, "type": "VEC3", "min": [0, 0, 0], "max": [2, 2, 2]},
        {"bufferView": 1, "componentType": 5123, "count": 12, "type": "SCALAR"},
        {"bufferView": 2, "componentType": 5126, "count": 4, "type": "VEC2"},
    ]
    paint = {"baseColorTexture": {"index": 0}, "baseColorFactor": [1, 1, 1, 1], "metallicFactor": 0.0}
    attributes = {"POSITION": 0, "TEXCOORD_0": 2}
    document: Json = {
        "asset": {"version": "2.0"}, "scene": 0, "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "scale": [1, 1, 1], "children": [1]}, {"mesh": 0, "translation": [3, 0, 0]}],
        "meshes": [{"primitives": [{"attributes": attributes, "indices": 1, "material": 0, "mode": 4}]}],
        "materials": [{"pbrMetallicRoughness": paint, "alphaMode": "OPAQUE"}],
        "textures": [{"source": 0, "sampler": 0}], "samplers": [{"wrapS": 10497, "wrapT": 10497}],
        "images": [{"bufferView": 3, "mimeType": "image/png"}],
        "accessors": accessors, "bufferViews": views, "buffers": [{"byteLength": len(binary)}],
    }  # fmt: skip
    return document, binary


def glb(document: bytes, binary: bytes) -> bytes:
    """The binary form."""
    document += b" " * (-len(document) % 4)
    chunks = len(document).to_bytes(4, "little") + b"JSON" + document
    chunks += len(binary).to_bytes(4, "little") + b"BIN\0" + binary
    return b"glTF" + (2).to_bytes(4, "little") + (12 + len(chunks)).to_bytes(4, "little") + chunks


def pixel() -> bytes:
    """A small picture as PNG."""
    picture = io.BytesIO()
    Image.fromarray(np.arange(48, dtype=np.uint8).reshape(4, 4, 3) * 5).save(picture, "PNG")
    return picture.getvalue()


@functools.cache
def run() -> Any:
    """A small run that nothing was learnt in."""
    from distill.learning.run import Recipe
    from distill.photographs.job import PhotographsRecipe, prepare
    from scenes.assemble import load
    from scenes.options import ReadOptions

    scene = load("builtin:32", ReadOptions())
    recipe = Recipe("builtin:32", 1, "hashgrid", "tiny", 0, 20, 1024, "cpu", PhotographsRecipe(0.01))
    return prepare(scene, recipe, torch.device("cpu"))


@functools.cache
def checkpoint() -> bytes:
    """Of that run."""
    return _saved(run().save_checkpoint)
