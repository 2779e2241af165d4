"""What a mesh file holds, whatever its kind: read by the reader that its ending names, without what has no area."""

import importlib
from pathlib import Path

import numpy as np

from fields.files import LARGEST_UNIT
from scenes.mesh_files.part import Contents, Part
from scenes.options import SceneError

READERS = {".glb": "gltf", ".gltf": "gltf", ".obj": "obj", ".ply": "ply", ".stl": "stl", ".off": "off"}
LARGEST = 4 << 30  # bytes of a file
EXTENT = LARGEST_UNIT / 2  # units of the longest side at most, and 1 / EXTENT at least: a model can be saved of it
THIN = 1e-12  # twice a triangle's area over its longest edge squared, below which it is no triangle


def contents(path: Path) -> Contents:
    """What the file holds. SceneError, which names it, where it cannot be used."""
    kind = path.suffix.lower()
    if not path.is_file():
        raise SceneError(f"{path}: no such file; wanted a mesh")
    size = path.stat().st_size
    if not size:
        raise SceneError(f"{path}: is empty; wanted a {kind} mesh")
    if size > LARGEST:
        raise SceneError(f"{path}: is {size >> 30} GiB large; wanted a mesh of at most {LARGEST >> 30} GiB")
    with np.errstate(all="ignore"):  # readers look for what is no number, and tell
        found = importlib.import_module(f"scenes.mesh_files.{READERS[kind]}").read(path)
    if not any(len(part.corners) for part in found.parts):
        raise SceneError(f"{path}: has no faces of three corners; wanted a triangle mesh")
    return found


def solid(path: Path, found: list[Part]) -> tuple[list[Part], int]:
    """The parts without their degenerate triangles, and how many these were. SceneError where nothing is left."""
    points = np.concatenate([part.corners.reshape(-1, 3) for part in found])
    longest = float((points.max(0) - points.min(0)).max())
    if not longest > 0:
        raise SceneError(f"{path}: the mesh has no extent: it is {longest:.3g} units long; wanted more than 0")
    if not 1 / EXTENT <= longest <= EXTENT:
        raise SceneError(f"{path}: the mesh is {longest:.3g} units long; wanted {1 / EXTENT:g} to {EXTENT:g}")
    kept = []
    for one in found:
        edges = (np.roll(one.corners, -1, 1) - one.corners) / longest  # (F, 3, 3)
        area = np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=1)
        kept.append(one.kept(area > THIN * (edges**2).sum(-1).max(1)))
    total = sum(len(one.corners) for one in found)
    dropped = total - sum(len(one.corners) for one in kept)
    if dropped == total:
        raise SceneError(f"{path}: all {total} triangles are degenerate; wanted some that have an area")
    return [one for one in kept if len(one.corners)], dropped
