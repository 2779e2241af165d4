"""Moving through a scene: orbit, fly, pan, zoom, roll, look through a view. Frozen state, pure updates, no window.

Scene units and radians; +X right, +Y up, looking along -Z, as everywhere (render/camera.py). Drags are in pixels, with
y growing downwards. Whatever moves the eye, or changes its lens, takes it off the view that it was looking through;
a movement by nothing leaves it there.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from render import paths, quaternions
from render.camera import Camera
from viewer.front.controls import FIELD_OF_VIEW, SPEED

Point3 = tuple[float, float, float]
Quaternion = tuple[float, float, float, float]

TURN = 0.005  # radians per pixel of a drag
POLE = 0.01  # radians that are kept from straight above and straight below
NOTCH = 1.1  # ratio of distances, of lens widths and of flying speeds from one notch to the next
PACE = 0.5  # distances to the pivot that are flown in a second
ROOM = 0.1  # scene units: nearer pivots do not slow a flight down, and no view puts the pivot nearer
NEAREST, FARTHEST = 1e-3, 1e4  # distances to the pivot
NARROWEST, WIDEST = math.radians(FIELD_OF_VIEW.low), math.radians(FIELD_OF_VIEW.high)  # along the shorter side
HIGH = math.radians(25)  # elevation of the first look where no cameras say another


@dataclass(frozen=True)
class Eye:
    """From where a person looks, and how. The pivot that orbits turn around lies `distance` ahead."""

    position: Point3
    turn: tuple[float, float, float, float]  # quaternion w x y z, camera to world
    distance: float  # to the pivot, > 0
    up: Point3 = (0.0, 0.0, 1.0)  # unit; what orbits and fly-throughs keep upright
    fov: float = math.radians(FIELD_OF_VIEW.usual)  # along the picture's shorter side, so that narrow ones show as much
    near: float = 0.0  # nothing nearer is drawn
    aperture: float = 0.0  # radius of the thin lens
    focus: float = 0.0  # sharp distance along the axis; 0: the pivot
    speed: float = 1.0  # factor on the flying speed
    view: int | None = None  # view that is being looked through, unmoved


def start(box: tuple[float, float, float, float, float, float], cameras: Sequence[Camera]) -> Eye:
    """The first look at a box, x0 y0 z0 x1 y1 z1: as an orbit among the cameras begins (render/paths.py).

    The lens shows what the cameras show along their shorter side. Without cameras the whole box is seen from in front
    (-Y) and above.
    """
    center = find_center(box)
    if cameras:
        corners = torch.tensor(box, dtype=torch.float64).view(2, 3)
        [first] = paths.orbit(list(cameras), corners, 1, (1, 1))
        eye = Eye(_vector(first.pose[:3, 3].tolist()), _quaternion(first), 1.0, fov=_lens(paths.vertical_fov(first)))
        return replace(eye, distance=_reach(math.dist(eye.position, center)))
    fov = Eye.fov
    distance = _reach(1.05 * math.dist(box[:3], box[3:]) / 2 / math.sin(fov / 2))
    back = (0.0, -math.cos(HIGH), math.sin(HIGH))
    turn = _around((1.0, 0.0, 0.0), math.pi / 2 - HIGH)  # from looking down, raised towards +Y
    return Eye(_moved(center, back, distance), turn, distance, fov=fov)


def find_center(box: tuple[float, float, float, float, float, float]) -> Point3:
    """The centre of a box x0 y0 z0 x1 y1 z1."""
    return (box[0] + box[3]) / 2, (box[1] + box[4]) / 2, (box[2] + box[5]) / 2


def look_through(eye: Eye, camera: Camera, view: int, center: Point3 | None = None) -> Eye:
    """At the pose of the camera number `view`, with its lens but for distortion.

    The pivot lies on the camera's axis, as near as can be to `center` (the pivot so far where not given); but ahead,
    by a quarter of the distance to it at least, so that cameras that look away from it can be flown from as well.
    """
    wanted = find_pivot(eye) if center is None else center
    position = _vector(camera.pose[:3, 3].tolist())
    moved = replace(eye, position=position, turn=_quaternion(camera), fov=_lens(_shorter_fov(camera)), view=view)
    _, _, back = find_axes(moved)
    ahead = -sum((w - p) * b for w, p, b in zip(wanted, position, back, strict=True))
    return replace(moved, distance=_reach(max(ahead, math.dist(position, wanted) / 4, ROOM)))


def orbit(eye: Eye, dx: float, dy: float) -> Eye:
    """Turned about the pivot by a drag, which takes the scene along: to the right, and down to see it from above.

    A level eye stays level and a rolled one keeps its roll. It stops short of the poles.
    """
    if not (dx or dy):
        return eye
    turned = replace(eye, turn=_dragged(eye, dx * TURN, dy * TURN), view=None)
    return replace(turned, position=_moved(find_pivot(eye), find_axes(turned)[2], eye.distance))


def look(eye: Eye, dx: float, dy: float) -> Eye:
    """Turned in place: a drag to the right looks to the right, down looks down; finer through a narrow lens."""
    if not (dx or dy):
        return eye
    rate = TURN * min(1.0, eye.fov / Eye.fov)
    return replace(eye, turn=_dragged(eye, dx * rate, dy * rate), view=None)


def pan(eye: Eye, dx: float, dy: float, shorter: int) -> Eye:
    """Moved in the picture plane, so that the pivot, left where it was, is seen (dx, dy) pixels away from the middle.

    `shorter` side of the picture in pixels. The new pivot lies ahead again.
    """
    if not (dx or dy):
        return eye
    pixel = 2 * eye.distance * math.tan(eye.fov / 2) / shorter
    right, above, _ = find_axes(eye)
    position = _moved(_moved(eye.position, right, -dx * pixel), above, dy * pixel)
    return replace(eye, position=position, view=None)


def zoom(eye: Eye, notches: float) -> Eye:
    """Nearer to the pivot (further away where negative), by a ratio per notch, and never through it."""
    if not notches:
        return eye
    distance = _reach(eye.distance * _power(-notches))
    return replace(eye, position=_moved(find_pivot(eye), find_axes(eye)[2], distance), distance=distance, view=None)


def widen(eye: Eye, notches: float) -> Eye:
    """A wider field of view (narrower where negative)."""
    if not notches:
        return eye
    return replace(eye, fov=_lens(2 * math.atan(math.tan(eye.fov / 2) * _power(notches))), view=None)


def hasten(eye: Eye, notches: float) -> Eye:
    """A faster flight (slower where negative)."""
    return replace(eye, speed=SPEED.clamp(eye.speed * _power(notches)))


def roll(eye: Eye, angle: float) -> Eye:
    """Tilted to the left about the axis of view; the picture tilts to the right."""
    if not angle:
        return eye
    return replace(eye, turn=_product(eye.turn, _around((0.0, 0.0, 1.0), angle)), view=None)


def fly(eye: Eye, along: Point3, seconds: float) -> Eye:
    """Flown along (right, up, back), each -1 to 1 (more to go faster), with the pivot ahead.

    Right and back are the eye's own axes, up is the scene's. The speed follows the scale of what is looked at: half a
    distance to the pivot in a second, times the eye's factor.
    """
    if not (any(along) and seconds):
        return eye
    length = PACE * max(eye.distance, ROOM) * eye.speed * seconds
    right, _, back = find_axes(eye)
    position = eye.position
    for axis, share in zip((right, eye.up, back), along, strict=True):
        position = _moved(position, axis, share * length)
    return replace(eye, position=position, view=None)


def set_up(eye: Eye) -> Eye:
    """What is up in the picture now is up in the scene from now on."""
    return replace(eye, up=find_axes(eye)[1])


def level(eye: Eye) -> Eye:
    """Without roll: the horizon of `up` is level."""
    angle = find_tilt(eye)
    return roll(eye, -angle) if abs(angle) > 1e-12 else eye


def refocus(eye: Eye, distance: float) -> Eye:
    """Sharp at a distance along the axis; 0: always at the pivot."""
    return replace(eye, focus=min(max(distance, NEAREST), FARTHEST) if distance > 0 else 0.0)


def find_focus(eye: Eye) -> float:
    """The distance along the axis at which a thin lens is sharp, > 0."""
    return eye.focus or eye.distance


def make_camera(eye: Eye, size: tuple[int, int]) -> Camera:
    """The camera of a picture of `size` pixels, a pinhole."""
    right, above, back = find_axes(eye)
    rows = [[*row] for row in zip(right, above, back, eye.position, strict=True)]
    height = 2 * math.atan(math.tan(eye.fov / 2) * size[1] / min(size))
    return paths.pinhole(torch.tensor([*rows, [0.0, 0.0, 0.0, 1.0]], dtype=torch.float64), height, size)


def find_pivot(eye: Eye) -> Point3:
    """The point that orbits turn around."""
    return _moved(eye.position, find_axes(eye)[2], -eye.distance)


def find_axes(eye: Eye) -> tuple[Point3, Point3, Point3]:
    """Unit vectors to the right, up and back of the eye."""
    w, x, y, z = eye.turn
    return (
        (1 - 2 * (y * y + z * z), 2 * (x * y + w * z), 2 * (x * z - w * y)),
        (2 * (x * y - w * z), 1 - 2 * (x * x + z * z), 2 * (y * z + w * x)),
        (2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y)),
    )


def find_tilt(eye: Eye) -> float:
    """Roll of the eye to the left, -pi to pi; 0 where its right is level."""
    right, above, _ = find_axes(eye)
    flat = _horizon(eye)
    return math.atan2(-_dot(above, flat), _dot(right, flat))


def _dragged(eye: Eye, dx: float, dy: float) -> Quaternion:
    """The eye's rotation turned by angles to the right and down in the picture, clear of the poles."""
    angle = find_tilt(eye)
    dx, dy = math.cos(angle) * dx + math.sin(angle) * dy, math.cos(angle) * dy - math.sin(angle) * dx
    flat, back = _horizon(eye), find_axes(eye)[2]
    from_up = math.atan2(_dot(_cross(eye.up, back), flat), _dot(eye.up, back))
    lowered = min(max(from_up - dy, POLE), math.pi - POLE) - from_up
    return _product(_around(eye.up, -dx), _product(_around(flat, lowered), eye.turn))


def _horizon(eye: Eye) -> Point3:
    """Unit vector to the right that is level; the eye's own where it looks straight up or down."""
    right, _, back = find_axes(eye)
    flat = _cross(eye.up, back)
    if math.hypot(*flat) < 1e-6:
        flat = _moved(right, eye.up, -_dot(right, eye.up))
    length = math.hypot(*flat)
    return flat[0] / length, flat[1] / length, flat[2] / length


def _quaternion(camera: Camera) -> Quaternion:
    """The rotation of a camera, w x y z."""
    w, x, y, z = quaternions.from_matrices(camera.pose[None, :3, :3])[0].tolist()
    return w, x, y, z


def _around(axis: Point3, angle: float) -> Quaternion:
    """The turn by `angle` about a unit axis."""
    s = math.sin(angle / 2)
    return math.cos(angle / 2), axis[0] * s, axis[1] * s, axis[2] * s


def _product(a: Quaternion, b: Quaternion) -> Quaternion:
    """The turn that does b, then a; of length 1 again."""
    w = a[0] * b[0] - a[1] * b[1] - a[2] * b[2] - a[3] * b[3]
    x = a[0] * b[1] + a[1] * b[0] + a[2] * b[3] - a[3] * b[2]
    y = a[0] * b[2] - a[1] * b[3] + a[2] * b[0] + a[3] * b[1]
    z = a[0] * b[3] + a[1] * b[2] - a[2] * b[1] + a[3] * b[0]
    length = math.hypot(w, x, y, z)
    return w / length, x / length, y / length, z / length


def _vector(values: Sequence[float]) -> Point3:
    x, y, z = values
    return x, y, z


def _moved(point: Point3, along: Point3, by: float) -> Point3:
    return point[0] + along[0] * by, point[1] + along[1] * by, point[2] + along[2] * by


def _dot(a: Point3, b: Point3) -> float:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def _cross(a: Point3, b: Point3) -> Point3:
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]


def _power(notches: float) -> float:
    """The ratio of so many notches; a thousand is as good as more."""
    return NOTCH ** min(max(notches, -1000.0), 1000.0)


def _reach(distance: float) -> float:
    return min(max(distance, NEAREST), FARTHEST)


def _shorter_fov(camera: Camera) -> float:
    """Field of view in radians along the shorter side, without distortion."""
    width, height = camera.size
    return 2 * math.atan(min(width / camera.intrinsics.fx, height / camera.intrinsics.fy) / 2)


def _lens(fov: float) -> float:
    return min(max(fov, NARROWEST), WIDEST)
