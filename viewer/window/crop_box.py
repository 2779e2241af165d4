"""The crop box as it is held: handles on its faces, a knob that turns it, and what dragging them does. Pure.

Pixels are those of the camera that the picture was drawn with, from its top left corner. A face is numbered as its
coordinate in a `WorldBox`: 0 1 2 are low x y z, 3 4 5 high x y z; the knob is number 6.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from render.camera import Camera, CameraBank, project
from viewer.messages import WorldBox

Pixel = tuple[float, float]

NEAR = 1e-3  # scene units in front of the eye where lines are cut, and handles are lost
THINNEST = 0.01  # of the scene box's side, that a crop box keeps
HANDLE = 12.0  # pixels around a handle in which it is taken
KNOB = 6  # number of what turns the box
ARM = 0.3  # of the box's side along x, that the knob stands off its face of high x


@dataclass(frozen=True)
class Handle:
    """Where a face of the crop box is taken."""

    face: int  # 0 to 5, or KNOB
    at: Pixel
    depth: float  # scene units along the camera's axis


@dataclass(frozen=True)
class CropBox:
    """A box, turned about the upright axis through its middle."""

    box: WorldBox  # before it is turned, world
    turn: float = 0.0  # radians

    @property
    def middle(self) -> np.ndarray:
        """(3,)."""
        return (np.array(self.box[:3]) + self.box[3:]) / 2

    @property
    def rotation(self) -> np.ndarray:
        """(3, 3), from the box's own axes to the world's."""
        c, s = math.cos(self.turn), math.sin(self.turn)
        return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])

    def place(self, points: np.ndarray) -> np.ndarray:
        """Points (..., 3) beside the box before it is turned, where they are once it is."""
        return (points - self.middle) @ self.rotation.T + self.middle

    def facing(self, camera: Camera) -> Camera:
        """The camera as the box sees it: what it shows of the box before it is turned is what the camera shows of it
        turned."""
        if not self.turn:
            return camera
        pose, back = camera.pose.double(), torch.from_numpy(self.rotation.T)
        moved, middle = pose.clone(), torch.from_numpy(self.middle)
        moved[:3, :3] = back @ pose[:3, :3]
        moved[:3, 3] = back @ (pose[:3, 3] - middle) + middle
        return replace(camera, pose=moved.float())

    @property
    def knob(self) -> np.ndarray:
        """(3,) of the box before it is turned: off the middle of the face of high x."""
        return self.middle + np.array([(0.5 + ARM) * (self.box[3] - self.box[0]), 0.0, 0.0])

    def handles(self, camera: Camera) -> list[Handle]:
        """Those that the camera sees, the knob last."""
        own = self.facing(camera)
        pixels, depth = project(own, torch.from_numpy(self.knob[None]))
        (x, y), away = pixels[0].tolist(), float(depth[0])
        knob = [Handle(KNOB, (x, y), away)] if x == x and y == y and away > NEAR else []
        return [*list_handles(own, self.box), *knob]

    def find(self, camera: Camera, pixel: Pixel) -> int | None:
        """The handle that is taken at a point, the nearest to the eye of those within `HANDLE` pixels; None: none."""
        near = [h for h in self.handles(camera) if math.dist(h.at, pixel) <= HANDLE]
        return min(near, key=lambda h: h.depth).face if near else None

    def dragged(self, face: int, camera: Camera, drag: tuple[Pixel, Pixel], scene: WorldBox) -> "CropBox":
        """The box after a handle was dragged from one pixel to another: the opposite face stays where it is; the knob
        turns the box about its middle."""
        own = self.facing(camera)
        if face == KNOB:
            return replace(self, turn=math.remainder(self.turn + self.angle(own, drag), 2 * math.pi))
        result = replace(self, box=drag_face(self.box, face, own, drag, scene))
        shift = self.place(result.middle) - result.middle  # it turns about another middle from now on
        x0, y0, z0, x1, y1, z1 = (float(n) for n in np.array(result.box) + np.tile(shift, 2))
        return replace(self, box=(x0, y0, z0, x1, y1, z1))

    def angle(self, own: Camera, drag: tuple[Pixel, Pixel]) -> float:
        """Radians by which the knob follows the pointer; 0 where it moves straight to the eye or away from it."""
        reach = float(self.knob[0] - self.middle[0])
        ahead = self.knob + np.array([0.0, 1e-3 * reach, 0.0])
        pixels = project(own, torch.from_numpy(np.stack([self.knob, ahead])))[0].double().numpy()
        along = (pixels[1] - pixels[0]) / 1e-3  # pixels in a radian
        length = float(along @ along)
        if not length > 1.0:
            return 0.0
        return float((np.array(drag[1]) - np.array(drag[0])) @ along) / length


def list_handles(camera: Camera, crop: WorldBox) -> list[Handle]:
    """The handles of a crop box that the camera sees: the middles of its faces."""
    pixels, depth = project(camera, torch.from_numpy(_middles(crop)))
    found = zip(range(6), pixels.tolist(), depth.tolist(), strict=True)
    return [Handle(face, (x, y), away) for face, (x, y), away in found if x == x and y == y and away > NEAR]


def find_handle(camera: Camera, crop: WorldBox, pixel: Pixel) -> int | None:
    """The face whose handle is taken at a point, the nearest to the eye of those within `HANDLE` pixels; None: none."""
    near = [h for h in list_handles(camera, crop) if np.hypot(h.at[0] - pixel[0], h.at[1] - pixel[1]) <= HANDLE]
    return min(near, key=lambda h: h.depth).face if near else None


def drag_face(crop: WorldBox, face: int, camera: Camera, drag: tuple[Pixel, Pixel], scene: WorldBox) -> WorldBox:
    """The crop box after its face was dragged along its axis, so that the handle follows the pointer in the picture.

    `drag` goes from the pixel where the pointer took the handle to where it is now, and `crop` is the box as it was
    then. The face stays in the scene box and on its side of the opposite one. Nothing changes where the axis runs
    straight away from the eye, or where the pointer is past the point at which it vanishes.
    """
    axis = face % 3
    pose = camera.pose.double().numpy()
    x, y, z = (_middles(crop)[face] - pose[:3, 3]) @ pose[:3, :3]
    i, j, k = pose[axis, :3]  # the axis, as the camera sees it
    middle, step, depth = np.array([x, -y]), np.array([i, -j]), -z
    begin, end = _planes(camera, drag)
    track = step * depth + middle * k  # direction in which the handle moves in the picture
    length = float(track @ track) ** 0.5
    if depth < NEAR or not length > 1e-9 * depth:
        return crop
    track /= length
    wanted = float((middle / depth + end - begin) @ track)
    slope = float(step @ track) + wanted * k
    if not slope > 1e-9:
        return crop
    shift = (wanted * depth - float(middle @ track)) / slope
    return _within(crop, face, crop[face] + shift, scene)


def _within(crop: WorldBox, face: int, value: float, scene: WorldBox) -> WorldBox:
    """The crop box with a face at a coordinate, in the scene box and not inside out."""
    axis = face % 3
    gap = THINNEST * (scene[axis + 3] - scene[axis])
    low, high = (crop[axis] + gap, scene[axis + 3]) if face >= 3 else (scene[axis], crop[axis + 3] - gap)
    moved = [*crop]
    moved[face] = min(max(value, low), high)
    x0, y0, z0, x1, y1, z1 = moved
    return x0, y0, z0, x1, y1, z1


def _planes(camera: Camera, pixels: Sequence[Pixel]) -> np.ndarray:
    """Pixels (N, 2) as coordinates in the plane at distance 1, +x right and +y down, without the lens's distortion."""
    bank = CameraBank.of([camera])
    at = torch.tensor(pixels, dtype=torch.float32) - 0.5  # `rays` goes through pixels' centres
    rays = bank.rays(torch.zeros(len(at), dtype=torch.int64), at).directions @ camera.pose[:3, :3]
    plane = torch.stack([rays[:, 0], -rays[:, 1]], -1) / (-rays[:, 2:]).clamp(min=1e-3)
    return plane.double().numpy()


def _middles(box: WorldBox) -> np.ndarray:
    """The middles (6, 3) of a box's faces."""
    low, high = np.array(box[:3]), np.array(box[3:])
    result = np.stack([(low + high) / 2] * 6)
    for face in range(6):
        result[face, face % 3] = box[face]
    return result
