"""Camera path files: our own JSON format and nerfstudio's camera_path.json, read as cameras in scene units.

Our format, poses in INPUT coordinates (camera-to-world, OpenGL axes, as in transforms.json), times in seconds:

    {"fps": 24, "size": [800, 600], "closed": false, "keyframes": [
        {"time": 0.0, "fov": 40, "pose": [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 4], [0, 0, 0, 1]]},
        {"time": 2.0, "fov": 35, "position": [4, 0, 0], "quaternion": [0.5, 0.5, 0.5, 0.5]}]}

`fov` is the full angle along the height in degrees; `quaternion` is w, x, y, z. `closed` (optional) says that the last
keyframe repeats the first one. A frame is drawn every 1/fps seconds from the first to the last keyframe.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from render import quaternions
from render.camera import Camera, moved
from render.paths import pinhole, through
from render.units import MOST_FRAMES, MOST_PIXELS


@dataclass(frozen=True)
class CameraPath:
    """Cameras to draw one after the other."""

    cameras: tuple[Camera, ...]  # scene units, at least one, all of one size
    fps: float  # frames per second, > 0


def load(path: Path, transform: Tensor) -> CameraPath:
    """Read a camera path; `transform` (4, 4) is the similarity from the file's coordinates to scene units.

    ValueError with the file's name where it cannot be used. nerfstudio writes poses in the coordinates that it has
    normalised; where those are not the scene's input coordinates, `transform` must undo that as well.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{path}: wanted a camera path in JSON, could not read it: {error}") from None
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
    fps = number(record, "fps", 0.01, 1000)
    size = pair(record)
    frames = entries(record, "keyframes")
    times = torch.tensor([number(f, "time", -1e6, 1e6, of) for of, f in frames], dtype=torch.float64)
    if bool((times[1:] <= times[:-1]).any()):
        index = int((times[1:] <= times[:-1]).nonzero()[0]) + 1
        raise ValueError(f"keyframe {index}: wanted a 'time' later than {times[index - 1]:g}, found {times[index]:g}")
    fov = torch.tensor([math.radians(number(f, "fov", 0.1, 179, of)) for of, f in frames], dtype=torch.float64)
    poses = torch.stack([moved(keyframe_pose(f, of), transform) for of, f in frames])
    closed = record.get("closed", False)
    if not isinstance(closed, bool):
        raise ValueError(f"wanted 'closed' to be true or false, found {closed!r}")
    seconds = float(times[-1] - times[0])
    if seconds * fps > MOST_FRAMES:
        raise ValueError(f"wanted at most {MOST_FRAMES} frames, found {seconds:g} seconds at {fps:g} per second")
    steps = math.floor(seconds * fps + 1e-6)
    at = times[0] + torch.arange(steps + 1, dtype=torch.float64) / fps
    return CameraPath(tuple(through(times, poses, fov, at, size, closed=closed)), fps)


def keyframe_pose(frame: dict[str, Any], of: str) -> Tensor:
    """Pose (4, 4) of a keyframe with either 'pose' or 'position' and 'quaternion'."""
    if ("pose" in frame) == ("position" in frame or "quaternion" in frame):
        raise ValueError(f"{of}: wanted either 'pose' or 'position' with 'quaternion', found {sorted(frame)}")
    if "pose" in frame:
        return rigid(numbers(frame, "pose", (4, 4), of), of)
    pose = torch.eye(4, dtype=torch.float64)
    quaternion = numbers(frame, "quaternion", (4,), of)
    if float(quaternion.norm()) < 1e-6:
        raise ValueError(f"{of}: wanted a 'quaternion' (w, x, y, z) of length 1, found zeros")
    pose[:3, :3] = quaternions.to_matrices(quaternion[None])[0]
    pose[:3, 3] = numbers(frame, "position", (3,), of)
    return pose


def nerfstudio(record: dict[str, Any], transform: Tensor) -> CameraPath:
    """nerfstudio's format: one camera per frame. ValueError where an entry is missing or wrong."""
    kind = record.get("camera_type", "perspective")
    if kind != "perspective":
        raise ValueError(f"wanted 'camera_type' perspective, found {kind!r}")
    size = (whole(record, "render_width"), whole(record, "render_height"))
    cameras = []
    for of, frame in entries(record, "camera_path"):
        pose = rigid(numbers(frame, "camera_to_world", (16,), of).reshape(4, 4), of)
        cameras.append(pinhole(moved(pose, transform), math.radians(number(frame, "fov", 0.1, 179, of)), size))
    return CameraPath(tuple(cameras), number(record, "fps", 0.01, 1000))


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
    found = record.get(key)
    if isinstance(found, bool) or not isinstance(found, (int, float)) or not low <= found <= high:
        raise ValueError(f"{of and of + ': '}wanted {key!r} to be a number, {low:g} to {high:g}, found {brief(found)}")
    return float(found)


def whole(record: dict[str, Any], key: str) -> int:
    """A number of pixels."""
    return pixels(record.get(key), key)


def pixels(found: object, key: str) -> int:
    """The same, of a value."""
    if isinstance(found, bool) or not isinstance(found, int) or not 1 <= found <= MOST_PIXELS:
        raise ValueError(f"wanted {key!r} to be 1 to {MOST_PIXELS} pixels, found {brief(found)}")
    return found


def pair(record: dict[str, Any]) -> tuple[int, int]:
    """Width and height in pixels."""
    found = record.get("size")
    if not isinstance(found, list) or len(found) != 2:
        raise ValueError(f"wanted 'size' to be [width, height] in pixels, found {brief(found)}")
    return pixels(found[0], "size"), pixels(found[1], "size")


def numbers(record: dict[str, Any], key: str, shape: tuple[int, ...], of: str) -> Tensor:
    """Finite numbers of a shape, float64."""
    found = record.get(key)
    form = " x ".join(map(str, shape))
    try:
        result = torch.tensor(found, dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        result = torch.zeros(0)
    if result.shape != shape or not bool(result.isfinite().all()):
        raise ValueError(f"{of}: wanted {key!r} to be {form} finite numbers, found {brief(found)}")
    return result


def rigid(pose: Tensor, of: str) -> Tensor:
    """The pose itself; ValueError unless it is a rotation and a position."""
    turn, last = pose[:3, :3], torch.tensor([0.0, 0.0, 0.0, 1.0], dtype=torch.float64)
    off = float((turn @ turn.T - torch.eye(3, dtype=torch.float64)).abs().max())
    if off > 1e-3 or float(torch.linalg.det(turn)) < 0 or not torch.allclose(pose[3], last):
        raise ValueError(f"{of}: wanted a rotation and a position above a last row 0 0 0 1, found something else")
    return pose


def brief(found: object) -> str:
    """A value on one line, shortened."""
    text = json.dumps(found, default=str)
    return text if len(text) <= 60 else text[:57] + "..."
