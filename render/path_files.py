"""Camera path files: our own JSON format and nerfstudio's camera_path.json, read as cameras in scene units.

Our format, poses in INPUT coordinates (camera-to-world, OpenGL axes, as in transforms.json), times in seconds:

    {"fps": 24, "size": [800, 600], "closed": false, "keyframes": [
        {"time": 0.0, "fov": 40, "pose": [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 4], [0, 0, 0, 1]]},
        {"time": 2.0, "fov": 35, "position": [4, 0, 0], "quaternion": [0.5, 0.5, 0.5, 0.5]}]}

`fov` is the full angle along the height in degrees; `quaternion` is w, x, y, z. `closed` (optional) says that the last
keyframe repeats the first one. A frame is drawn every 1/fps seconds from the first to the last keyframe.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fields import json_files, numbers
from fields.numbers import brief
from render import quaternions
from render.camera import FARTHEST, MOST, Camera, moved
from render.paths import pinhole, through
from render.units import MOST_FRAMES, MOST_PIXELS

FOV = (0.1, 179.0)  # degrees
FPS = (0.01, 1000.0)
SCALE = (1e-6, 1e6)  # uniform, that a rotation may bear
RIGID = 1e-3  # how far a rotation may be off one
NERFSTUDIO = (
    "nerfstudio's camera path: its poses are taken to be in the coordinates of the pictures' poses; "
    "where nerfstudio has moved or scaled these, the path misses the scene"
)
CROP = "nerfstudio's camera path: its crop is not applied, all of the model is drawn"


@dataclass(frozen=True)
class CameraPath:
    """Cameras to draw one after the other."""

    cameras: tuple[Camera, ...]  # scene units, at least one, all of one size
    fps: float  # frames per second, > 0
    notes: tuple[str, ...] = ()  # what a person should know of how the file was read, a line each


def load(path: Path, transform: Tensor) -> CameraPath:
    """Read a camera path; `transform` (4, 4) is the similarity from the file's coordinates to scene units.

    ValueError with the file's name where it cannot be used. nerfstudio writes poses in the coordinates that it has
    normalised; where those are not the scene's input coordinates, `transform` must undo that as well.
    """
    record = json_files.parse(path)
    try:
        if isinstance(record, dict) and "camera_path" in record:
            return nerfstudio(record, transform)
        if isinstance(record, dict) and "keyframes" in record:
            return ours(record, transform)
        raise ValueError("wanted an object with 'keyframes' (ours) or 'camera_path' (nerfstudio's), found neither")
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def ours(record: dict[str, Any], transform: Tensor) -> CameraPath:
    """Our own format, read from JSON values. ValueError where an entry is missing or wrong."""
    fps = number(record, "fps", *FPS)
    size = record.get("size")
    if not isinstance(size, list) or len(size) != 2:
        raise ValueError(f"'size' must be [width, height] in pixels, found {brief(size)}")
    size = size_of(*size)
    frames = entries(record, "keyframes")
    times = torch.tensor([number(f, "time", -1e6, 1e6, of) for of, f in frames], dtype=torch.float64)
    if bool((times[1:] <= times[:-1]).any()):
        index = int((times[1:] <= times[:-1]).nonzero()[0]) + 1
        raise ValueError(f"keyframe {index}: wanted a 'time' later than {times[index - 1]:g}, found {times[index]:g}")
    fov = torch.tensor([math.radians(number(f, "fov", *FOV, of)) for of, f in frames], dtype=torch.float64)
    found = [keyframe_pose(f, of) for of, f in frames]
    poses = torch.stack([placed(pose, transform, of) for (of, _), (pose, _) in zip(frames, found, strict=True)])
    closed = record.get("closed", False)
    if not isinstance(closed, bool):
        raise ValueError(f"wanted 'closed' to be true or false, found {brief(closed)}")
    seconds = float(times[-1] - times[0])
    if seconds * fps > MOST_FRAMES:
        raise ValueError(f"wanted at most {MOST_FRAMES} frames, found {seconds:g} seconds at {fps:g} per second")
    steps = math.floor(seconds * fps + 1e-6)
    at = times[0] + torch.arange(steps + 1, dtype=torch.float64) / fps
    return CameraPath(
        tuple(through(times, poses, fov, at, size, closed=closed)), fps, told([scale for _, scale in found])
    )


def keyframe_pose(frame: dict[str, Any], of: str) -> tuple[Tensor, float]:
    """Pose (4, 4) of a keyframe with either 'pose' or 'position' and 'quaternion', and the uniform scale that was in
    it."""
    if ("pose" in frame) == ("position" in frame or "quaternion" in frame):
        raise ValueError(f"{of}: wanted either 'pose' or 'position' with 'quaternion', found {brief(sorted(frame))}")
    if "pose" in frame:
        return rigid(numbers.array(frame["pose"], f"{of}: 'pose'", (4, 4)), of)
    pose = torch.eye(4, dtype=torch.float64)
    quaternion = numbers.array(frame.get("quaternion"), f"{of}: 'quaternion'", (4,), 1e6)
    if float(quaternion.norm()) < 1e-6:
        raise ValueError(f"{of}: wanted a 'quaternion' (w, x, y, z) of length 1, found zeros")
    pose[:3, :3] = quaternions.to_matrices(quaternion[None])[0]
    pose[:3, 3] = numbers.array(frame.get("position"), f"{of}: 'position'", (3,))
    return pose, 1.0


def nerfstudio(record: dict[str, Any], transform: Tensor) -> CameraPath:
    """nerfstudio's format: one camera per frame. ValueError where an entry is missing or wrong."""
    kind = record.get("camera_type", "perspective")
    if kind != "perspective":
        raise ValueError(f"wanted 'camera_type' perspective, found {brief(kind)}")
    size = size_of(record.get("render_width"), record.get("render_height"))
    cameras, scales = [], []
    for of, frame in entries(record, "camera_path"):
        listed = numbers.array(frame.get("camera_to_world"), f"{of}: 'camera_to_world'", (16,))
        pose, scale = rigid(listed.reshape(4, 4), of)
        fov = math.radians(number(frame, "fov", *FOV, of))
        cameras.append(pinhole(placed(pose, transform, of), fov, size))
        scales.append(scale)
    notes = (NERFSTUDIO, *([CROP] if record.get("crop") else []), *told(scales))
    return CameraPath(tuple(cameras), number(record, "fps", *FPS), notes)


def entries(record: dict[str, Any], key: str) -> list[tuple[str, dict[str, Any]]]:
    """Objects of a list, each with its name for messages."""
    found = record[key]
    if not isinstance(found, list) or not 1 <= len(found) <= MOST_FRAMES:
        raise ValueError(f"wanted {key!r} to be a list of 1 to {MOST_FRAMES} objects, found {brief(found)}")
    for i, entry in enumerate(found):
        if not isinstance(entry, dict):
            raise ValueError(f"{key} {i}: wanted an object, found {brief(entry)}")
    return [(f"{key.removesuffix('s')} {i}", entry) for i, entry in enumerate(found)]


def number(record: dict[str, Any], key: str, low: float, high: float, of: str = "") -> float:
    """A number from low to high."""
    return numbers.number(record.get(key), f"{of and of + ': '}{key!r}", low, high)


def size_of(width: object, height: object) -> tuple[int, int]:
    """Width and height in pixels, which may be written as 480.0."""
    size = (numbers.whole(width, "width", 1, MOST_PIXELS), numbers.whole(height, "height", 1, MOST_PIXELS))
    if size[0] * size[1] > MOST:
        raise ValueError(f"a picture must have at most {MOST} pixels, found {size[0]} x {size[1]}")
    return size


def rigid(pose: Tensor, of: str) -> tuple[Tensor, float]:
    """A pose (4, 4) without the uniform scale that its rotation bears, and that scale; ValueError unless it is a
    rotation and a position then."""
    turn, last = pose[:3, :3], pose.new_tensor([0, 0, 0, 1])
    scale = max(float(torch.linalg.det(turn)), 0.0) ** (1 / 3)
    if SCALE[0] <= scale <= SCALE[1] and torch.allclose(pose[3], last):
        turn = turn / scale
        if float((turn @ turn.T - torch.eye(3, dtype=torch.float64)).abs().max()) <= RIGID:
            return torch.cat([torch.cat([turn, pose[:3, 3:]], 1), last[None]]), scale
    raise ValueError(f"{of}: wanted a rotation and a position above a last row 0 0 0 1, found something else")


def placed(pose: Tensor, transform: Tensor, of: str) -> Tensor:
    """A pose in scene units; ValueError where no camera may stand."""
    result = moved(pose, transform)
    if not bool((result[:3, 3].abs() <= FARTHEST).all()):
        raise ValueError(f"{of}: stands more than {FARTHEST:g} scene units away from the scene")
    return result


def told(scales: list[float]) -> tuple[str, ...]:
    """The note that rotations bore a scale, where they did."""
    if all(abs(scale - 1) <= RIGID for scale in scales):
        return ()
    return (f"camera path: a uniform scale of {min(scales):.4g} to {max(scales):.4g} was taken out of the rotations",)
