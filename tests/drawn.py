"""Tiny data sets that tests draw: a coloured block, seen by cameras on a ring."""

import json
import math
from pathlib import Path

import torch
from PIL import Image

from render.camera import Camera, Intrinsics, look_at
from scenes.placing.box import crosses

LOW, HIGH = (-0.5, -0.3, -0.2), (0.4, 0.3, 0.6)  # corners of the block, input units
UP = torch.tensor([0.0, 0.0, 1.0])


def ring(count=10, radius=4.0, target=(0.0, 0.0, 0.2), lowest=0.5):
    """Poses (4, 4) around a point, at three changing heights above it."""
    poses = []
    for i in range(count):
        angle, height = 2 * math.pi * i / count, lowest + 1.5 * (i % 3)
        eye = torch.tensor(target) + torch.tensor([radius * math.cos(angle), radius * math.sin(angle), height])
        poses.append(look_at(eye, torch.tensor(target), UP))
    return poses


def picture(pose, lens, size, *, opaque=False):
    """(H, W, 4) uint8: the block in colours of the ray's direction; around it nothing, or a pattern."""
    rays = Camera(pose.float(), lens, size).rays()
    hit = crosses(rays, torch.tensor([LOW, HIGH]))
    colour = (rays.directions * 0.4 + 0.5) * 255
    alpha = torch.where(hit | torch.tensor(opaque), 255.0, 0.0)
    back = (torch.sin(rays.directions * 40) * 0.5 + 0.5) * 255
    colour = torch.where(hit[:, None], colour, back if opaque else torch.zeros(3))
    return torch.cat([colour, alpha[:, None]], -1).to(torch.uint8).reshape(size[1], size[0], 4)


def save(path, pixels):
    """Write (H, W, 4) or (H, W) uint8 as PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.numpy()).save(path)


def blender(folder: Path, train=10, test=3, size=(48, 48)):
    """A folder as NeRF-Synthetic's, with extensionless file paths."""
    angle = 0.6
    focal = size[0] / 2 / math.tan(angle / 2)
    lens = Intrinsics(focal, focal, size[0] / 2, size[1] / 2)
    for part, count, radius in (("train", train, 4.0), ("test", test, 4.5)):
        frames = []
        for i, pose in enumerate(ring(count, radius) if count else []):
            save(folder / part / f"r_{i}.png", picture(pose, lens, size))
            frames.append({"file_path": f"./{part}/r_{i}", "transform_matrix": pose.tolist()})
        if count:
            write(folder / f"transforms_{part}.json", {"camera_angle_x": angle, "frames": frames})
    return folder


def transforms(folder: Path, poses=None, size=(48, 32), **extra):
    """A folder with one transforms.json of opaque pictures; `extra` replaces or adds keys. Returns its content."""
    lens = Intrinsics(60, 60, size[0] / 2, size[1] / 2)
    frames = []
    for i, pose in enumerate(ring() if poses is None else poses):
        save(folder / "images" / f"{i:03}.png", picture(pose, lens, size, opaque=True)[..., :3].contiguous())
        frames.append({"file_path": f"images/{i:03}.png", "transform_matrix": pose.tolist()})
    content = {"fl_x": 60, "fl_y": 60, "w": size[0], "h": size[1], "frames": frames} | extra
    write(folder / "transforms.json", content)
    return content


def write(path: Path, content):
    """JSON into a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
