"""Closed triangle meshes that tests know everything about, and files of them."""

import numpy as np
import trimesh
from PIL import Image

CUBE = np.array([[x, y, z] for x in (0.0, 1.0) for y in (0.0, 1.0) for z in (0.0, 1.0)])  # corner 4x + 2y + z
CUBE_FACES = np.array(
    [
        *([0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1]),
        *([2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3]),
    ]
)
LONG = CUBE * [1, 2, 4] + [10, 20, 30]  # a brick, 1 x 2 x 4 from (10, 20, 30) on
STAMP = Image.fromarray(np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [255, 255, 0]]], np.uint8))
UV = CUBE[:, :2]


def sphere(times: int) -> np.ndarray:
    """An octahedron (8 4^times, 3, 3), each triangle cut into four that often, with corners on the unit sphere."""
    signs = np.array([[x, y, z] for x in (-1.0, 1) for y in (-1.0, 1) for z in (-1.0, 1)])
    faces = np.array([np.diag(s)[:: int(s.prod())] for s in signs])  # outward
    for _ in range(times):
        a, b, c = faces[:, 0], faces[:, 1], faces[:, 2]
        ab, bc, ca = (middle(p, q) for p, q in ((a, b), (b, c), (c, a)))
        faces = np.concatenate([np.stack(t, 1) for t in ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))])
    return faces


def middle(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Of two points on the unit sphere, the same whichever comes first."""
    m = p + q
    return m / np.linalg.norm(m, axis=1, keepdims=True)


def brick(**looks):
    """The brick as trimesh holds it."""
    return trimesh.Trimesh(LONG, CUBE_FACES, process=False, **looks)


def saved(folder, what, name):
    """The file of a mesh or scene, exported by its suffix."""
    path = folder / name
    scene = what if isinstance(what, trimesh.Scene) else what.scene()
    if path.suffix == ".gltf":
        for file, content in scene.export(file_type="gltf").items():
            (folder / (name if file == "model.gltf" else file)).write_bytes(content)
    else:
        (scene if path.suffix == ".glb" else what).export(path)
    return path
