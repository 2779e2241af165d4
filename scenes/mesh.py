"""Reader of triangle meshes, `.glb .gltf .obj .ply .stl .off`: trimesh reads the file, our own ray caster draws it.

All geometries of the file stand where its scene graph puts them. glTF has +Y up and is turned to our +Z up; the other
formats do not say, and keep their axes. Pictures show the mesh from the whole sphere of directions, also from below,
under the fixed light of scenes/surface.py, on normals that are smooth across edges of less than 50 degrees (those of
the file are not used). Colours: textures (repeated, bilinear), colours of vertices or faces, the material's, else grey.
glTF's factors and vertex colours are linear and become display values here; Kd of a .mtl beside a texture is ignored.
"""

import importlib
import logging
import math
import struct
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from render.camera import Camera, Intrinsics, look_at
from scenes.scene import ReadOptions, Scene, SceneError, View
from scenes.surface import Surface, Texture, assembled, draw

SUFFIXES = (".glb", ".gltf", ".obj", ".ply", ".stl", ".off")
UPRIGHT = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])  # +Y up to +Z up: a quarter turn about x
SIZE, LEAST = 400, 8  # pixels along a side: without downscaling, and at least
TRAIN, TEST = 96, 16  # pictures
SPIRALS = ((TRAIN, 1, 0.0), (TEST, -1, 2.39))  # so begun, no test view is within 4.5 degrees of a training view
FIELD_OF_VIEW = math.radians(40)
MARGIN = 0.02  # of the longest side, that the box is longer than the mesh along every axis
FRAME = 1.06  # room around the mesh in the pictures
GREY = 0.7  # where the file has no colour
UNSET = (102, 102, 102)  # what trimesh gives a material that names no colour
THIN = 1e-12  # twice a triangle's area over its longest edge squared, below which it is no triangle


@dataclass(frozen=True)
class Part:
    """F triangles of one material, in the file's own axes."""

    corners: np.ndarray  # (F, 3, 3) float64
    colors: np.ndarray  # (F, 3, 3) float32, RGB in [0, 1], display values
    uv: np.ndarray  # (F, 3, 2) float32
    picture: Image.Image | None
    cutoff: float  # as in scenes/surface.py
    painted: str  # where its colour comes from

    def kept(self, which: np.ndarray) -> "Part":
        """Of the triangles those that `which` (F,) names."""
        arrays = (self.corners[which], self.colors[which], self.uv[which])
        return Part(*arrays, self.picture, self.cutoff, self.painted)


def matches(data: str) -> bool:
    """Whether this is the name of a mesh; the file may be missing."""
    return Path(data).suffix.lower() in SUFFIXES and not Path(data).is_dir()


def read(data: str, options: ReadOptions) -> Scene:
    """Draw the mesh, 96 pictures to train and 16 to test. SceneError where it cannot be used; it names the file."""
    path, begin = Path(data), time.perf_counter()
    size = picture_size(path, options)
    with heard() as notes:
        found = parts(path)
    parted, dropped = solid(path, found, notes)
    points = np.concatenate([part.corners for part in parted]).reshape(-1, 3)
    transform, box = placement(points, turned=path.suffix.lower() in (".glb", ".gltf"))
    points = points @ transform[:3, :3].T + transform[:3, 3]
    train, test = (around(whole_sphere(*spiral), points, size) for spiral in SPIRALS)
    surface = surfaced(parted, points.reshape(-1, 3, 3), pixel_at(train))
    read_in, begin = time.perf_counter() - begin, time.perf_counter()
    pictures = draw(surface, [*train, *test])
    drawn_in = time.perf_counter() - begin
    names = [f"train_{i:03d}.png" for i in range(TRAIN)] + [f"test_{i:03d}.png" for i in range(TEST)]
    views = [
        View(camera, torch.from_numpy(image), torch.ones((), dtype=torch.bool).expand(size, size), name)
        for camera, image, name in zip([*train, *test], pictures, names, strict=True)
    ]
    return Scene(
        name=path.stem,
        train=tuple(views[:TRAIN]),
        test=tuple(views[TRAIN:]),
        box=box,
        transform=torch.from_numpy(transform),
        background=(1.0, 1.0, 1.0),
        transparent=True,
        facts=(
            *described(path, parted, dropped),
            *(f"trimesh says: {note}" for note in dict.fromkeys(notes)),
            f"{TRAIN} pictures to train and {TEST} to test, {size} x {size}, from all around, also from below",
            f"read in {read_in:.1f} s, drawn in {drawn_in:.1f} s",
        ),
    )


def described(path: Path, parted: list[Part], dropped: int) -> list[str]:
    """What was found and assumed, one line each."""
    count = sum(len(part.corners) for part in parted)
    left_out = f"; {dropped} degenerate ones were dropped" if dropped else ""
    painted = Counter(part.painted for part in parted for _ in range(len(part.corners)))
    shares = ", ".join(f"{name} {n / count:.0%}" for name, n in painted.most_common())
    up = "+Y is up, as glTF has it" if path.suffix.lower() in (".glb", ".gltf") else "+Z is assumed to be up"
    return [
        f"format: {path.suffix[1:].lower()} mesh, {count} triangles in {len(parted)} parts{left_out}",
        f"colour, share of the triangles: {shares}; axes: {up}",
    ]


def picture_size(path: Path, options: ReadOptions) -> int:
    """Pixels along a side that `options` ask for."""
    size = min(SIZE // options.downscale, options.max_resolution)
    if size < LEAST:
        raise SceneError(f"{path}: downscale {options.downscale} leaves {size} pixels; wanted at least {LEAST}")
    return size


def parts(path: Path) -> list[Part]:
    """The file's triangles where its scene graph puts them."""
    scene, found = opened(path), []
    for node in scene.graph.nodes_geometry:
        matrix, name = scene.graph[node]
        geometry = scene.geometry[name]
        if len(getattr(geometry, "faces", ())):  # not points, not lines
            found.append(part(path, geometry, np.asarray(matrix, dtype=np.float64)))
    if not found:
        kinds = sorted({type(geometry).__name__ for geometry in scene.geometry.values()})
        raise SceneError(f"{path}: has no faces; wanted a triangle mesh, found {' and '.join(kinds) or 'nothing'}")
    return found


@contextmanager
def heard() -> Iterator[list[str]]:
    """What trimesh warns of meanwhile, one line each; it would otherwise go to standard error."""
    notes: list[str] = []
    log, handler = logging.getLogger("trimesh"), logging.Handler(logging.WARNING)
    handler.emit = lambda record: notes.append(" ".join(record.getMessage().split())[:200])
    kept, log.propagate = log.propagate, False
    log.addHandler(handler)
    try:
        yield notes
    finally:
        log.removeHandler(handler)
        log.propagate = kept


def opened(path: Path) -> Any:
    """trimesh's scene of a file."""
    if not path.is_file():
        raise SceneError(f"{path}: no such file; wanted a mesh")
    kind = path.suffix[1:].lower()
    try:
        trimesh = importlib.import_module("trimesh")
    except ImportError:
        raise SceneError(f"{path}: reading a mesh wants trimesh: pip install trimesh") from None
    check_whole(path, kind)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return trimesh.load_scene(str(path), file_type=kind, process=False)
    except Exception as error:  # a damaged file makes trimesh raise nearly anything
        raise SceneError(f"{path}: cannot be read as a .{kind} mesh: {one_line(error)}") from None


def one_line(error: Exception) -> str:
    """What another library says went wrong."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}".removesuffix(": ")


def check_whole(path: Path, kind: str) -> None:
    """SceneError for an empty file, and for a .glb that is shorter than its header says."""
    size = path.stat().st_size
    if not size:
        raise SceneError(f"{path}: is empty; wanted a .{kind} mesh")
    if kind == "glb":
        with path.open("rb") as file:
            head = file.read(12)
        if len(head) < 12 or head[:4] != b"glTF":
            raise SceneError(f"{path}: wanted a binary glTF file, found one that does not begin with 'glTF'")
        (said,) = struct.unpack("<I", head[8:12])
        if size < said:
            raise SceneError(f"{path}: file is cut off: its header says {said} bytes, found {size}")


def part(path: Path, geometry: Any, matrix: np.ndarray) -> Part:
    """One geometry under its transform (4, 4)."""
    with np.errstate(invalid="ignore", over="ignore"):  # told below
        vertices = np.asarray(geometry.vertices, dtype=np.float64) @ matrix[:3, :3].T + matrix[:3, 3]
    faces = np.asarray(geometry.faces)
    if faces.min() < 0 or faces.max() >= len(vertices):
        raise SceneError(f"{path}: a face names vertex {faces.max()}, but there are {len(vertices)}")
    corners = vertices[faces]
    if not np.isfinite(corners).all():
        broken = int((~np.isfinite(corners).all((1, 2))).sum())
        raise SceneError(f"{path}: {broken} of {len(faces)} triangles have corners that are not finite numbers")
    found = Part(corners, *paint(geometry, faces, linear=path.suffix.lower() in (".glb", ".gltf")))
    try:
        if found.picture is not None:
            found.picture.load()  # trimesh has only looked at its header
    except Exception as error:  # as in `opened`
        raise SceneError(f"{path}: its texture cannot be read: {one_line(error)}") from None
    return found


def paint(geometry: Any, faces: np.ndarray, *, linear: bool) -> tuple[Any, ...]:
    """Colours (F, 3, 3), uv (F, 3, 2), picture, cutoff and what was used, for faces (F, 3)."""
    visual, uv = geometry.visual, np.zeros((*faces.shape, 2), np.float32)
    colors = np.full((*faces.shape, 3), GREY, np.float32)
    kind = getattr(visual, "kind", None)
    if kind == "texture":
        return textured(visual, faces, linear=linear)
    if kind == "vertex":
        colors = display(visual.vertex_colors[faces], linear=linear)
    elif kind == "face":
        colors = np.repeat(display(visual.face_colors, linear=linear)[:, None], 3, 1)
    return colors, uv, None, 0.0, f"{kind} colours" if kind in ("vertex", "face") else "none, so grey"


def textured(visual: Any, faces: np.ndarray, *, linear: bool) -> tuple[Any, ...]:
    """As `paint`, of a geometry that has a material."""
    material, uv = visual.material, np.zeros((*faces.shape, 2), np.float32)
    pbr = hasattr(material, "baseColorFactor")
    picture = getattr(material, "baseColorTexture" if pbr else "image", None)
    where, name = getattr(visual, "uv", None), "material"
    if where is None or faces.max() >= len(where) or (picture is not None and stand_in(picture)):
        picture = None
    color = getattr(material, "baseColorFactor" if pbr else "diffuse", None)
    flat = np.ones(3, np.float32)
    if picture is not None:
        uv, name = np.nan_to_num(np.asarray(where, dtype=np.float32)[faces][..., :2], posinf=0, neginf=0), "texture"
    if color is not None and (pbr or picture is None):
        flat = display(np.asarray(color), linear=linear)
        if not pbr and tuple(color[:3]) == UNSET:
            flat, name = np.full(3, GREY, np.float32), "none, so grey"
    colors = np.broadcast_to(flat, (*faces.shape, 3))
    corner = getattr(visual, "vertex_attributes", {}).get("color")
    if corner is not None and len(corner) > faces.max():
        colors, name = colors * display(as_bytes(corner)[faces], linear=linear), f"{name} and vertex colours"
    mode = str(getattr(material, "alphaMode", None) or "OPAQUE")
    cutoff = {"MASK": getattr(material, "alphaCutoff", None) or 0.5, "BLEND": 0.5}.get(mode, 0.0)
    return np.ascontiguousarray(colors), uv, picture, float(cutoff), name


def stand_in(picture: Image.Image) -> bool:
    """Whether this is the grey that trimesh puts where a material is missing."""
    return picture.size == (2, 2) and picture.convert("RGB").getextrema() == ((100, 100),) * 3


def as_bytes(colors: Any) -> np.ndarray:
    """Colours as uint8: those of trimesh's attributes may be 0 to 1, 0 to 255 or 0 to 65535."""
    colors = np.asarray(colors)
    if colors.dtype == np.uint8:
        return colors
    whole = np.iinfo(colors.dtype).max if colors.dtype.kind == "u" else 1
    return (np.clip(colors / whole, 0, 1) * 255 + 0.5).astype(np.uint8)


def display(rgba: np.ndarray, *, linear: bool) -> np.ndarray:
    """Display values (..., 3) float32 in [0, 1] of uint8 colours (..., 3 or 4), which may be linear light."""
    values = rgba[..., :3].astype(np.float32) / 255
    if not linear:
        return values
    return np.where(values <= 0.0031308, 12.92 * values, 1.055 * values ** (1 / 2.4) - 0.055).astype(np.float32)


def solid(path: Path, found: list[Part], notes: list[str]) -> tuple[list[Part], int]:
    """The parts without their degenerate triangles, and how many these were. SceneError, with the first of the notes
    that trimesh made on the way, where nothing is left."""
    note = f"; trimesh says: {notes[0]}" if notes else ""
    points = np.concatenate([p.corners.reshape(-1, 3) for p in found])
    with np.errstate(over="ignore"):
        longest = float((points.max(0) - points.min(0)).max())
    if not 0 < longest < 1e150:
        raise SceneError(f"{path}: the mesh has no extent: it is {longest:.3g} units long; wanted more than 0{note}")
    kept = []
    for one in found:
        edges = (np.roll(one.corners, -1, 1) - one.corners) / longest  # (F, 3, 3)
        area = np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=1)
        kept.append(one.kept(area > THIN * (edges**2).sum(-1).max(1)))
    total = sum(len(one.corners) for one in found)
    dropped = total - sum(len(one.corners) for one in kept)
    if dropped == total:
        raise SceneError(f"{path}: all {total} triangles are degenerate; wanted some that have an area{note}")
    return [one for one in kept if len(one.corners)], dropped


def placement(points: np.ndarray, *, turned: bool) -> tuple[np.ndarray, Tensor]:
    """Transform (4, 4) float64 from the file's coordinates to scene units, and the box (2, 3) float32 there.

    The mesh is centred; its longest side and the margin fill the unit cube, and every side gets the same margin.
    """
    turn = UPRIGHT if turned else np.eye(3)
    points = points @ turn.T
    low, high = points.min(0), points.max(0)
    longest = float((high - low).max())
    scale = 1 / (longest * (1 + MARGIN))
    transform = np.eye(4)
    transform[:3, :3] = scale * turn
    transform[:3, 3] = 0.5 - scale * (low + high) / 2
    half = torch.from_numpy(scale * (high - low + MARGIN * longest) / 2).float()
    return transform, torch.stack([0.5 - half, 0.5 + half])


def whole_sphere(count: int, way: int, begin: float) -> np.ndarray:
    """Unit directions (count, 3) evenly over the sphere, on a spiral that turns one `way`, 1 or -1."""
    z = 1 - (2 * np.arange(count) + 1) / count
    turn = way * np.arange(count) * math.pi * (3 - math.sqrt(5)) + begin
    flat = np.sqrt(1 - z * z)
    return np.stack([flat * np.cos(turn), flat * np.sin(turn), z], -1)


def around(back: np.ndarray, points: np.ndarray, size: int) -> list[Camera]:
    """Cameras that look from directions (M, 3) at the middle of the unit cube, as near as shows all points (N, 3)."""
    focal = size / 2 / math.tan(FIELD_OF_VIEW / 2)
    lens = Intrinsics(focal, focal, size / 2, size / 2)
    slope = math.tan(FIELD_OF_VIEW / 2) / FRAME
    right = np.cross([0.0, 0.0, 1.0], back)
    right /= np.linalg.norm(right, axis=1, keepdims=True)
    up = np.cross(back, right)
    # a point q is inside the right edge where q.right <= slope (distance - q.back); so for the other edges
    edges = np.concatenate([side / slope + back for side in (right, -right, up, -up)])
    reach = np.full(len(edges), -np.inf)
    for some in np.array_split(points - 0.5, len(points) // 8192 + 1):
        reach = np.maximum(reach, (some @ edges.T).max(0))
    eyes = 0.5 + back * reach.reshape(4, -1).max(0)[:, None]
    target, zenith = torch.full((3,), 0.5), torch.tensor([0.0, 0.0, 1.0])
    return [Camera(look_at(eye, target, zenith), lens, (size, size)) for eye in torch.from_numpy(eyes).float()]


def pixel_at(cameras: list[Camera]) -> float:
    """Scene units that a pixel covers in the middle of the scene, in the median picture."""
    widths = [float((c.pose[:3, 3] - 0.5).norm()) / c.intrinsics.fx for c in cameras]
    return float(np.median(widths))


def surfaced(parted: list[Part], corners: np.ndarray, pixel: float) -> Surface:
    """The surface to draw, of parts whose corners lie at (T, 3, 3) in scene units where a pixel has this length."""
    colors, uv = (np.concatenate([getattr(one, name) for one in parted]) for name in ("colors", "uv"))
    owner = np.repeat(np.arange(len(parted)), [len(one.corners) for one in parted])
    texture, textures = np.full(len(corners), -1, np.int32), []
    keys = [(id(one.picture), one.cutoff) for one in parted]  # parts may share a picture
    for key, one in dict(zip(keys, parted, strict=True)).items():
        if one.picture is not None:
            mine = np.isin(owner, [i for i, other in enumerate(keys) if other == key])
            texture[mine] = len(textures)
            pixels = shrunk(one.picture.convert("RGBA" if one.cutoff else "RGB"), corners[mine], uv[mine], pixel)
            textures.append(Texture(pixels, one.cutoff))
    return assembled(corners, colors, uv, texture, tuple(textures))


def shrunk(picture: Image.Image, corners: np.ndarray, uv: np.ndarray, pixel: float) -> np.ndarray:
    """A picture (H, W, C) uint8 on triangles (T, 3, 3) at uv (T, 3, 2), reduced by the whole number at which a pixel
    of length `pixel` still covers at least one of its texels along a side, so that drawings do not alias."""
    (a, b), (u, v) = ((x[:, 1] - x[:, 0], x[:, 2] - x[:, 0]) for x in (corners, uv.astype(np.float64)))
    area = float(np.linalg.norm(np.cross(a, b), axis=1).sum())
    texels = float(np.abs(u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]).sum()) * picture.width * picture.height
    times = max(1, int(pixel * math.sqrt(texels / area)))
    if times > 1:
        size = (max(1, picture.width // times), max(1, picture.height // times))
        picture = picture.resize(size, Image.Resampling.BOX)
    return np.asarray(picture)
