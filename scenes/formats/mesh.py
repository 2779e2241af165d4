"""Reader of triangle meshes, `.glb .gltf .obj .ply .stl .off`: read by scenes/mesh_files, drawn by our ray caster.

All parts of the file stand where its scene graph puts them. The axis that is up is turned to our +Z: +Y in glTF, and in
.obj files of programs that export it so; the other formats do not say, and +Z is assumed. Pictures show the mesh from
the whole sphere of directions, also from below, under the fixed light of scenes/drawn/surface.py, on normals that are
smooth across edges of less than 50 degrees (those of the file are not used). Colours: textures (repeated, bilinear),
colours of vertices or faces, the material's, else grey. glTF's factors and vertex colours are linear and become display
values here; Kd of a .mtl beside a texture is ignored.
"""

import math
import time
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from render.camera import Camera
from scenes.drawn.studio import fit_cube, pose_pictures, square_lens, stand_around
from scenes.drawn.surface import Surface, Texture, assembled, draw
from scenes.mesh_files.contents import READERS, contents, solid
from scenes.mesh_files.part import Contents, Part
from scenes.mesh_files.summary import MeshSummary, summarise
from scenes.options import ReadOptions, SceneError
from scenes.placing.box import Placement
from scenes.posed import Reading
from scenes.scene import Fact

SUFFIXES = tuple(READERS)
TAKES = f"a mesh ({' '.join(SUFFIXES)})"
UPRIGHT = {  # the turn that brings an axis to +Z
    "x": np.array([[0.0, 0, -1], [0, 1, 0], [1, 0, 0]]),
    "-x": np.array([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]]),
    "y": np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]),
    "-y": np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]]),
    "z": np.eye(3),
    "-z": np.diag([1.0, -1, -1]),
}
SIZE, LEAST = 400, 8  # pixels along a side: without downscaling, and at least
TRAIN, TEST = 96, 16  # pictures
SPIRALS = ((TRAIN, 1, 0.0), (TEST, -1, 2.39))  # so begun, no test view is within 4.5 degrees of a training view
MARGIN = 0.02  # of the longest side, that the box is longer than the mesh along every axis
FRAME = 1.06  # room around the mesh in the pictures


def matches(data: str) -> int:
    """Whether this is a file with the ending of a mesh."""
    return int(Path(data).suffix.lower() in SUFFIXES and Path(data).is_file())


def read(data: str, options: ReadOptions) -> Reading:
    """Draw the mesh, 96 pictures to train and 16 to test. SceneError where it cannot be used; it names the file."""
    path, begin = Path(data), time.perf_counter()
    size = picture_size(path, options)
    found = contents(path)
    parted, dropped = solid(path, found.parts)
    up, axes = standing(path, found, options)
    points = np.concatenate([part.corners for part in parted]).reshape(-1, 3)
    transform, box = placement(points, UPRIGHT[up])
    points = points @ transform[:3, :3].numpy().T + transform[:3, 3].numpy()
    poses = stand(np.concatenate([whole_sphere(*spiral) for spiral in SPIRALS]), points)
    cameras = [Camera(pose, square_lens(size), (size, size)) for pose in poses]
    surface = surfaced(parted, points.reshape(-1, 3, 3), pixel_at(cameras[:TRAIN]))
    read_in, begin = time.perf_counter() - begin, time.perf_counter()
    pictures = draw(surface, cameras)
    drawn_in = time.perf_counter() - begin
    facts = [
        described(path, parted, dropped),
        axes,
        *found.facts,
        Fact(
            "found", f"{TRAIN} pictures to train and {TEST} to test, {size} x {size}, from all around, also from below"
        ),
        Fact("found", f"read in {read_in:.1f} s, drawn in {drawn_in:.1f} s"),
    ]
    poses = [carry_back(pose, transform) for pose in poses]
    return Reading(path.stem, data, pose_pictures(poses, pictures, TRAIN), tuple(facts), Placement(transform, box, ()))


def survey(data: str, options: ReadOptions) -> MeshSummary:
    """What the mesh is, without drawing it. SceneError where it cannot be used; it names the file."""
    path = Path(data)
    found = contents(path)
    parted, dropped = solid(path, found.parts)
    facts = (described(path, parted, dropped), standing(path, found, options)[1], *found.facts)
    return summarise(path.stem, found.parts, parted, facts)


def described(path: Path, parted: list[Part], dropped: int) -> Fact:
    """What was found, one line."""
    count = sum(len(part.corners) for part in parted)
    left_out = f"; {dropped} degenerate ones were dropped" if dropped else ""
    painted: Counter[str] = Counter()
    for part in parted:
        painted[part.painted] += len(part.corners)
    shares = ", ".join(f"{name} {n / count:.0%}" for name, n in painted.most_common())
    held = f"{count} triangles in {len(parted)} parts{left_out}; colour, share of the triangles: {shares}"
    return Fact("found", f"format: {path.suffix[1:].lower()} mesh, {held}")


def standing(path: Path, found: Contents, options: ReadOptions) -> tuple[str, Fact]:
    """The axis of the file that is up, and how that is known."""
    if options.up != "auto":
        return options.up, Fact("found", f"axes: {signed(options.up)} is up, as --up says")
    if READERS[path.suffix.lower()] == "gltf":
        return "y", Fact("found", "axes: +Y is up, as glTF has it")
    if found.maker:
        return "y", Fact("assumed", f"axes: +Y is assumed to be up, as {found.maker} exports it (--up z: +Z is)")
    return "z", Fact("assumed", "axes: +Z is assumed to be up (--up y where it lies on its back)")


def signed(axis: str) -> str:
    """An axis in words."""
    return axis.upper() if axis.startswith("-") else f"+{axis.upper()}"


def picture_size(path: Path, options: ReadOptions) -> int:
    """Pixels along a side that `options` ask for."""
    size = min(SIZE // options.downscale, options.max_resolution)
    if size < LEAST:
        raise SceneError(f"{path}: downscale {options.downscale} leaves {size} pixels; wanted at least {LEAST}")
    return size


def placement(points: np.ndarray, turn: np.ndarray) -> tuple[Tensor, Tensor]:
    """Transform (4, 4) float64 from the file's coordinates to scene units, and the box (2, 3) float32 there.

    `turn` (3, 3) makes the mesh stand upright. It is centred; its longest side and the margin fill the unit cube, and
    every side gets the same margin.
    """
    points = points @ turn.T
    low, high = points.min(0), points.max(0)
    return fit_cube(low, high, high - low + MARGIN * (high - low).max(), turn)


def carry_back(pose: Tensor, transform: Tensor) -> Tensor:
    """A pose (4, 4) from scene units into the file's coordinates, float64."""
    back = torch.linalg.inv(transform)
    result = back @ pose.double()
    result[:3, :3] /= torch.linalg.det(back[:3, :3]) ** (1 / 3)
    return result


def whole_sphere(count: int, way: int, begin: float) -> np.ndarray:
    """Unit directions (count, 3) evenly over the sphere, on a spiral that turns one `way`, 1 or -1."""
    z = 1 - (2 * np.arange(count) + 1) / count
    turn = way * np.arange(count) * math.pi * (3 - math.sqrt(5)) + begin
    flat = np.sqrt(1 - z * z)
    return np.stack([flat * np.cos(turn), flat * np.sin(turn), z], -1)


def stand(back: np.ndarray, points: np.ndarray) -> list[Tensor]:
    """Poses (4, 4) that look from directions (M, 3) at the middle of the unit cube, so near that points (N, 3) fit."""

    def reach(edges: np.ndarray) -> np.ndarray:
        far = np.full(len(edges), -np.inf)
        for some in np.array_split(points - 0.5, len(points) // 8192 + 1):
            far = np.maximum(far, (some @ edges.T).max(0))
        return far

    return stand_around(back, torch.full((3,), 0.5), reach, FRAME)


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
