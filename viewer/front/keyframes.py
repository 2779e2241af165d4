"""Camera paths made of keyframes: put together here, kept as path files, flown by the code that `render-scene` uses."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fields import json_files
from fields.files import write_beside
from render import path_files, paths, quaternions
from render.camera import Camera, moved
from viewer.front.navigation import Eye, Point3, Quaternion

POINTS = 24  # of a drawn path from one keyframe to the next
SPACING = 2.0  # seconds from one new keyframe to the next
CLOSEST = 0.01  # seconds that two keyframes stand apart at least
Matrix = Sequence[Sequence[float]]  # 4 x 4
IDENTITY: Matrix = torch.eye(4).tolist()


@dataclass(frozen=True)
class Keyframe:
    """Where the camera is at one time; scene units."""

    time: float  # seconds
    position: Point3
    turn: Quaternion  # w x y z, camera to world, unit
    fov: float  # radians along the height


@dataclass(frozen=True)
class CameraKeys:
    """A camera path."""

    keys: tuple[Keyframe, ...] = ()  # times ascend, at least `CLOSEST` apart
    loop: float = 0.0  # seconds from the last keyframe back to the first; 0: the path ends with the last

    @property
    def seconds(self) -> float:
        """How long it takes."""
        return self.keys[-1].time - self.keys[0].time + self.loop if self.keys else 0.0


@dataclass(frozen=True)
class PathFile:
    """What a camera path file holds, to be worked on."""

    keys: CameraKeys
    fps: float  # frames per second
    size: tuple[int, int]  # pixels
    notes: tuple[str, ...] = ()  # see CameraPath


def add(path: CameraKeys, eye: Eye, time: float | None = None) -> CameraKeys:
    """With a keyframe at the eye, `SPACING` seconds after the last one where no time is given."""
    if time is None:
        time = path.keys[-1].time + SPACING if path.keys else 0.0
    return _sorted(path, [*path.keys, Keyframe(time, eye.position, eye.turn, eye.fov)])


def remove(path: CameraKeys, index: int) -> CameraKeys:
    """Without keyframe `index`."""
    return replace(path, keys=path.keys[:index] + path.keys[index + 1 :])


def move(path: CameraKeys, index: int, eye: Eye) -> CameraKeys:
    """With keyframe `index` at the eye, at the same time as before."""
    key = replace(path.keys[index], position=eye.position, turn=eye.turn, fov=eye.fov)
    return replace(path, keys=(*path.keys[:index], key, *path.keys[index + 1 :]))


def retime(path: CameraKeys, index: int, time: float) -> CameraKeys:
    """With keyframe `index` at another time, and in its order; those that it would meet give way to later."""
    return _sorted(path, [replace(path.keys[index], time=time), *remove(path, index).keys])


def look_from_key(path: CameraKeys, index: int, eye: Eye) -> Eye:
    """The eye at keyframe `index`."""
    key = path.keys[index]
    return replace(eye, position=key.position, turn=key.turn, fov=key.fov, view=None)


def look_at_time(path: CameraKeys, time: float, eye: Eye) -> Eye:
    """The eye as the path has it at a time in seconds; the ends hold. An empty path leaves it where it is."""
    if not path.keys:
        return eye
    keys = close_loop(path)
    poses, fov = torch.stack([_pose(key) for key in keys]), torch.tensor([key.fov for key in keys])
    times = torch.tensor([key.time for key in keys], dtype=torch.float64)
    at = torch.tensor([time], dtype=torch.float64)
    [camera] = paths.through(times, poses, fov.double(), at, (2, 2), closed=path.loop > 0)
    key = _key(time, camera)
    return replace(eye, position=key.position, turn=key.turn, fov=key.fov, view=None)


def make_cameras(path: CameraKeys, fps: float, size: tuple[int, int]) -> tuple[Camera, ...]:
    """Cameras of all frames, scene units, exactly as `render-scene` reads them from the file of this path.

    ValueError for an empty path and for too many frames.
    """
    return path_files.ours(to_record(path, fps, size), torch.eye(4, dtype=torch.float64)).cameras


def sketch(path: CameraKeys, size: tuple[int, int]) -> tuple[np.ndarray, list[Camera], float]:
    """How a path is drawn: points (P, 3) float64 that it passes, cameras of `size` at its keyframes, and how deep their
    pyramids are; scene units. At least one keyframe."""
    keys = close_loop(path)
    times = torch.tensor([key.time for key in keys], dtype=torch.float64)
    poses, fov = torch.stack([_pose(key) for key in keys]), torch.tensor([key.fov for key in keys]).double()
    at = torch.linspace(float(times[0]), float(times[-1]), POINTS * max(len(keys) - 1, 1) + 1, dtype=torch.float64)
    passed = paths.through(times, poses, fov, at, (2, 2), closed=path.loop > 0)
    points = torch.stack([camera.pose[:3, 3] for camera in passed]).double().numpy()
    cameras = [paths.pinhole(_pose(key), key.fov, size) for key in path.keys]
    length = float(np.linalg.norm(np.diff(points, axis=0), axis=-1).sum())
    return points, cameras, max(length / (12 * len(path.keys)), 0.03)


def to_record(path: CameraKeys, fps: float, size: tuple[int, int], to_input: Matrix = IDENTITY) -> dict[str, Any]:
    """The path as JSON values of our format (render/path_files.py); `to_input` is the similarity from scene units to
    the file's coordinates. ValueError for an empty path."""
    if not path.keys:
        raise ValueError("a camera path needs at least 1 keyframe, found none")
    similarity = torch.tensor(to_input, dtype=torch.float64)
    turn = similarity[:3, :3] / similarity[:3, :3].det().abs() ** (1 / 3)
    frames = []
    for key in close_loop(path):
        pose = similarity @ _pose(key)
        pose[:3, :3] = turn @ _pose(key)[:3, :3]
        frames.append({"time": key.time, "fov": math.degrees(key.fov), "pose": pose.tolist()})
    return {"fps": fps, "size": list(size), "closed": path.loop > 0, "keyframes": frames}


def write(file: Path, path: CameraKeys, fps: float, size: tuple[int, int], to_input: Matrix) -> None:
    """Write a path file that `render-scene --camera` reads."""
    text = json.dumps(to_record(path, fps, size, to_input), indent=1, allow_nan=False)
    write_beside(file, (text + "\n").encode())


def read(file: Path, from_input: Tensor) -> PathFile:
    """Read a camera path, ours or nerfstudio's (whose every frame becomes a keyframe); `from_input` (4, 4) is the
    similarity to scene units. ValueError with the file's name where it cannot be used."""
    loaded = path_files.load(file, from_input)  # which also says what is wrong with the file
    values = json_files.parse(file)
    if "camera_path" in values:
        keys = tuple(_key(index / loaded.fps, camera) for index, camera in enumerate(loaded.cameras))
        return PathFile(CameraKeys(keys), loaded.fps, loaded.cameras[0].size, loaded.notes)
    size = loaded.cameras[0].size
    keys = tuple(
        _key(frame["time"], paths.pinhole(moved(pose, from_input), math.radians(frame["fov"]), size))
        for frame, (pose, _) in (
            (f, path_files.keyframe_pose(f, of)) for of, f in path_files.entries(values, "keyframes")
        )
    )
    if values.get("closed") and len(keys) > 1:  # the last one is the first again
        return PathFile(CameraKeys(keys[:-1], keys[-1].time - keys[-2].time), loaded.fps, size, loaded.notes)
    return PathFile(CameraKeys(keys), loaded.fps, size, loaded.notes)


def close_loop(path: CameraKeys) -> tuple[Keyframe, ...]:
    """All keyframes, with the first one again at the end of a loop."""
    if not (path.keys and path.loop > 0):
        return path.keys
    return (*path.keys, replace(path.keys[0], time=path.keys[-1].time + path.loop))


def _sorted(path: CameraKeys, keys: list[Keyframe]) -> CameraKeys:
    """The path with these keyframes, in order of time and apart; of two at one time, the first one given stays."""
    result: list[Keyframe] = []
    for key in sorted(keys, key=lambda key: key.time):
        soonest = result[-1].time + CLOSEST if result else key.time
        result.append(replace(key, time=max(key.time, soonest)))
    return replace(path, keys=tuple(result))


def _pose(key: Keyframe) -> Tensor:
    """Pose (4, 4) float64 of a keyframe."""
    pose = torch.eye(4, dtype=torch.float64)
    pose[:3, :3] = quaternions.to_matrices(torch.tensor([key.turn], dtype=torch.float64))[0]
    pose[:3, 3] = torch.tensor(key.position, dtype=torch.float64)
    return pose


def _key(time: float, camera: Camera) -> Keyframe:
    """A camera as a keyframe."""
    x, y, z = camera.pose[:3, 3].tolist()
    w, i, j, k = quaternions.from_matrices(camera.pose[None, :3, :3])[0].tolist()
    return Keyframe(float(time), (x, y, z), (w, i, j, k), paths.vertical_fov(camera))
