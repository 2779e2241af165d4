"""Moving through a scene: orbit, fly, pan, zoom, roll, look through a view. Frozen state, pure updates, no window.

Scene units and radians; +X right, +Y up, looking along -Z, as everywhere (render/camera.py). Drags are in pixels, with
y growing downwards.
"""

from dataclasses import dataclass

Vector = tuple[float, float, float]


@dataclass(frozen=True)
class Eye:
    """From where a person looks, and how. The pivot that orbits turn around lies `distance` ahead."""

    position: Vector
    turn: tuple[float, float, float, float]  # quaternion w x y z, camera to world
    distance: float  # to the pivot, > 0
    up: Vector = (0.0, 0.0, 1.0)  # unit; what orbits and fly-throughs keep upright
    fov: float = 0.7  # vertical field of view, 0.02 to 3
    near: float = 0.0  # nothing nearer is drawn
    aperture: float = 0.0  # radius of the thin lens
    focus: float = 0.0  # sharp distance along the axis; 0: the pivot
    speed: float = 1.0  # factor on the flying speed
    view: int | None = None  # album view that is being looked through, unmoved
