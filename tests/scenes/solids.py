"""Closed triangle meshes that tests know everything about."""

import numpy as np

CUBE = np.array([[x, y, z] for x in (0.0, 1.0) for y in (0.0, 1.0) for z in (0.0, 1.0)])  # corner 4x + 2y + z
CUBE_FACES = np.array(
    [
        *([0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1]),
        *([2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3]),
    ]
)


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
