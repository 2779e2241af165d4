"""What a mesh file holds: triangles with their colours, read by trimesh, in the file's own axes."""

import importlib
import logging
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from scenes.options import SceneError

GLTF = (".glb", ".gltf")  # whose factors and vertex colours are linear light
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
    cutoff: float  # as in scenes/drawn/surface.py
    painted: str  # where its colour comes from

    def kept(self, which: np.ndarray) -> "Part":
        """Of the triangles those that `which` (F,) names."""
        arrays = (self.corners[which], self.colors[which], self.uv[which])
        return Part(*arrays, self.picture, self.cutoff, self.painted)


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
    found = Part(corners, *paint(geometry, faces, linear=path.suffix.lower() in GLTF))
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
