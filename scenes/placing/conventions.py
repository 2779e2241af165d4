"""How poses are written: eight conventions that programs use, and which of them the pictures agree with.

A wrong one trains to the end and shows nothing. Each convention predicts, for a small patch of one picture, along which
line it lies in the pictures of the cameras nearby. With the right one, a patch is found there again, at one distance
from the camera for all of them; with a wrong one it is not. Nothing but the pictures tells a room that is photographed
from inside from an object, written with the camera's axes turned about.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, grid_sample, normalize

from render.camera import Camera, CameraBank, Intrinsics, project
from scenes.options import CONVENTIONS, Convention
from scenes.placing.box import Unplaced, fit_together

# Right, up and back of a camera, each as (column of the rotation, sign).
AXES: dict[str, tuple[tuple[int, int], ...]] = {
    "opengl": ((0, 1), (1, 1), (2, 1)),  # right, up, back: NeRF, instant-ngp, nerfstudio, Blender
    "opencv": ((0, 1), (1, -1), (2, -1)),  # right, down, forward: COLMAP, OpenCV, Open3D
    "llff": ((1, 1), (0, -1), (2, 1)),  # down, right, back: poses_bounds.npy
    "pytorch3d": ((0, -1), (1, 1), (2, -1)),  # left, up, forward
}
NAMES = {"opengl": "OpenGL", "opencv": "OpenCV", "llff": "LLFF", "pytorch3d": "PyTorch3D"}
LONG = 160  # pixels of the pictures' longest side in which patches are looked for
PATCH = 5  # pixels along a side of a patch
VIEWS, NEIGHBOURS = 8, 3  # pictures whose patches are looked for, and in how many others
POINTS = 96  # patches of each
DISTANCES = 48  # from the camera, evenly in 1 / distance
NEAREST = 0.8  # least distance in baselines
TEXTURED = 4.0  # least standard deviation of a patch, of 255
FEWEST = 100  # patches in all that are needed for a judgement
# Our captures have 0.58 to 0.82 as they are, and 0.09 to 0.37 less in the best of the other conventions, at most 0.67.
SURE = 0.5  # least correlation of a convention that is right
BETTER = 0.07  # by how much it must be better than what is stated
CLEAR = 0.75  # correlation of what is stated, above which nothing else is tried


@dataclass(frozen=True)
class Small:
    """A picture in grey at a small size."""

    grey: Tensor  # (H, W) float32
    usable: Tensor  # (H, W) bool: neither masked out nor empty
    lens: Intrinsics

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.grey.shape[1], self.grey.shape[0]


def turned(pose: Tensor, convention: Convention) -> Tensor:
    """A pose (4, 4) float64 written in a convention as camera-to-world with OpenGL axes."""
    axes = convention.removeprefix("w2c-")
    pose = torch.linalg.inv(pose) if axes != convention else pose
    result = pose.clone()
    for column, (source, sign) in enumerate(AXES[axes]):
        result[:3, column] = sign * pose[:3, source]
    return result


def describe(convention: Convention) -> str:
    """A convention in words."""
    axes = convention.removeprefix("w2c-")
    return f"{'camera-to-world' if axes == convention else 'world-to-camera'} with the axes of {NAMES[axes]}"


def suspect(shots: Sequence[Unplaced], *, transparent: bool) -> tuple[Convention, str] | None:
    """The convention that poses, which are taken for OpenGL's camera-to-world, seem to be written in instead, and why;
    None where there is no reason to doubt. Pictures without texture are judged by their silhouettes, where they are
    `transparent` and have no hull as they are."""
    scores = correlate(shots)
    stated = scores.get("opengl", 0.0)
    best: Convention = max(CONVENTIONS, key=lambda name: scores.get(name, 0.0))
    if scores.get(best, 0.0) >= max(stated + BETTER, SURE):
        found = f"patches of the pictures are found again with a correlation of {scores[best]:.2f} so"
        return best, f"{found}, and of {stated:.2f} as they are"
    if transparent and not scores:
        for name in CONVENTIONS:
            if fit_together([replace(shot, pose=turned(shot.pose, name)) for shot in shots]):
                return (name, "so the silhouettes fit together") if name != "opengl" else None
    return None


def correlate(shots: Sequence[Unplaced]) -> dict[Convention, float]:
    """How well the pictures agree in each convention, of -1 to 1; empty where they say nothing, and only as stated
    where that leaves no doubt."""
    pairs = neighbours(torch.stack([shot.pose for shot in shots]))
    if pairs is None:
        return {}
    smalls = {i: shrunk(shots[i]) for i in set(pairs.flatten().tolist())}
    scores: dict[Convention, float] = {}
    for name in CONVENTIONS:
        found = agreement(smalls, [turned(shot.pose, name) for shot in shots], pairs)
        scores |= {name: found} if found is not None else {}
        if scores.get("opengl", 0.0) >= CLEAR:
            break
    return scores


def shrunk(shot: Unplaced) -> Small:
    """A picture at a small size, and its lens."""
    width, height = shot.size
    shrink = max(1.0, max(width, height) / LONG)
    size = max(1, round(width / shrink)), max(1, round(height / shrink))
    alpha = shot.image[..., 3:].float() / 255
    grey = (shot.image[..., :3].float() * alpha).mean(-1) + 128 * (1 - alpha[..., 0])
    usable = (shot.valid & (shot.image[..., 3] > 0)).float()
    grey, usable = adaptive_avg_pool2d(torch.stack([grey, usable])[None], (size[1], size[0]))[0]
    return Small(grey, usable > 0.99, shot.intrinsics.resized(size[0] / width, size[1] / height))


def neighbours(poses: Tensor) -> Tensor | None:
    """For up to `VIEWS` cameras, first in a row of indices, those that are turned least against it: (V, 1 + N) int64.
    How far two are turned is the same in every convention. None where there are too few cameras."""
    if len(poses) <= NEIGHBOURS:
        return None
    chosen = torch.arange(0, len(poses), -(-len(poses) // VIEWS))
    turns = poses[chosen, :3, :3].flatten(1) @ poses[:, :3, :3].flatten(1).T  # 1 + 2 cos of the angle
    turns[torch.arange(len(chosen)), chosen] = torch.inf
    return turns.argsort(dim=1, descending=True, stable=True)[:, : 1 + NEIGHBOURS]


def agreement(smalls: Mapping[int, Small], poses: Sequence[Tensor], pairs: Tensor) -> float | None:
    """The mean correlation with which patches of some pictures are found again in the others of their row, at the best
    distance. None where too few patches have texture, or are seen by another camera."""
    found = [correlations(smalls, poses, row) for row in pairs.tolist()]
    every = torch.cat(found)
    return float(every.mean()) if len(every) >= min(FEWEST, POINTS * len(pairs)) else None


def correlations(smalls: Mapping[int, Small], poses: Sequence[Tensor], row: Sequence[int]) -> Tensor:
    """Of patches of the row's first picture: the best mean correlation (P,) with those of the others. P may be 0."""
    first, others = row[0], row[1:]
    pixels = textured(smalls[first])
    own = patches(smalls[first], pixels + 0.5)
    origin = poses[first][:3, 3]
    baseline = torch.stack([(poses[i][:3, 3] - origin).norm() for i in others]).median()
    if not len(pixels) or float(baseline) == 0:
        return torch.zeros(0)
    # In units of the baseline around the camera, so that float32 is enough whatever the input's origin and scale.
    nearby = [Camera(centered(poses[i], origin, float(baseline)), smalls[i].lens, smalls[i].size) for i in row]
    rays = CameraBank.of(nearby[:1]).rays(torch.zeros(len(pixels), dtype=torch.int64), pixels)
    inverse = torch.arange(DISTANCES) / (DISTANCES - 1) / NEAREST
    points = rays.directions[:, None] / inverse.clamp(min=1e-4)[:, None]  # (P, D, 3)
    scores = torch.stack([match(own, smalls[i], camera, points) for i, camera in zip(others, nearby[1:], strict=True)])
    seen = (~scores.isnan()).sum(0)
    mean = torch.where(seen >= len(others) - 1, scores.nanmean(0), -torch.inf).amax(1)
    return mean[mean.isfinite()]


def centered(pose: Tensor, origin: Tensor, scale: float) -> Tensor:
    """A pose (4, 4) float32 with `origin` (3,) at zero and `scale` input units as one."""
    result = pose.clone()
    result[:3, 3] = (pose[:3, 3] - origin) / scale
    return result.float()


def textured(small: Small) -> Tensor:
    """Up to `POINTS` pixels (P, 2), column and row, in the middle of patches with the most texture, spread evenly."""
    margin, (height, width) = PATCH // 2, small.grey.shape
    if min(height, width) <= 2 * PATCH:
        return torch.zeros(0, 2, dtype=torch.int64)
    tiles = small.grey.unfold(0, PATCH, PATCH).unfold(1, PATCH, PATCH)  # (h, w, PATCH, PATCH)
    whole = small.usable.unfold(0, PATCH, PATCH).unfold(1, PATCH, PATCH).flatten(2).all(-1)
    spread = torch.where(whole, tiles.flatten(2).std(-1), 0.0)
    best = spread.flatten().argsort(dim=0, descending=True, stable=True)[:POINTS]
    best = best[spread.flatten()[best] > TEXTURED]
    wide = spread.shape[1]
    return torch.stack([best % wide, best // wide], -1) * PATCH + margin


def patches(small: Small, pixels: Tensor) -> Tensor:
    """Patches (..., PATCH^2) around points (..., 2) of a picture, zero mean and unit length; NaN where they reach over
    what is usable."""
    steps = torch.arange(PATCH) - PATCH // 2
    offsets = torch.stack(torch.meshgrid(steps, steps, indexing="ij")[::-1], -1).reshape(-1, 2)
    places = (pixels[..., None, :] + offsets) / pixels.new_tensor(small.size) * 2 - 1
    picture = torch.where(small.usable, small.grey, torch.nan)[None, None]
    flat = grid_sample(picture, places.reshape(1, 1, -1, 2), padding_mode="border", align_corners=False)
    inside = (places.abs() < 1).all(-1)
    values = torch.where(inside, flat.view(inside.shape), torch.nan)
    return normalize(values - values.mean(-1, keepdim=True), dim=-1, eps=1e-3)


def match(own: Tensor, other: Small, camera: Camera, points: Tensor) -> Tensor:
    """Correlations (P, D) of patches `own` (P, PATCH^2) with those at points (P, D, 3) in another picture; NaN where it
    does not show them."""
    pixels, depth = project(camera, points.reshape(-1, 3))
    pixels = torch.where((depth > 0)[:, None], pixels, torch.nan).view(*points.shape[:2], 2)
    seen = pixels.isfinite().all(-1)
    found = (own[:, None] * patches(other, pixels.nan_to_num(nan=-1e6, posinf=1e6, neginf=-1e6))).sum(-1)
    return torch.where(seen, found, torch.nan)
