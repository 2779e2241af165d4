"""What can be said about a scene before training: lenses, coverage, suspicious pictures, memory and time."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from render.camera import Intrinsics
from scenes.placing.box import ray_shares
from scenes.probe import busy, flops, seconds
from scenes.scene import Fact, Scene, View

NEIGHBOURS = 8  # cameras whose sharpness a picture is compared with
STRAY = 4.0  # robust standard deviations below its neighbours from which a picture counts as blurred
BLUR = 0.4  # and at most this share of their sharpness
SAME_PLACE = 1e-4  # scene units between cameras that count as one
SAME_ANGLE = 1e-3  # radians between their axes
PROGRAM = 600 << 20  # bytes for Python, PyTorch and a model in training, roughly


Item = TypeVar("Item")


@dataclass(frozen=True)
class Examination:
    """Lengths are in input units unless they say otherwise."""

    name: str
    format: str  # the reader's name
    train: int  # views
    test: int
    sizes: list[list[int]]  # distinct width and height in pixels
    lenses: list[Intrinsics]  # distinct; the first few
    lens_count: int
    transparent: bool
    empty_share: float  # pixels with alpha 0
    masked_share: float  # pixels that are ignored
    background: list[float]
    box: list[list[float]]  # low and high corner, scene units
    box_input: list[list[float]]  # the same corners in input coordinates
    transform: list[list[float]]  # 4 x 4, input coordinates to scene units
    unit: float  # length of a scene unit
    rays_core: float  # share of rays that cross the unit cube
    rays_box: float
    cameras_inside: list[str]  # in the object's box, or in the core of an open scene
    blurred: list[str]
    duplicates: list[list[str]]  # names of two views each
    facts: list[Fact]
    picture_bytes: int
    memory_bytes: int  # main memory that training takes, roughly
    minutes: float  # of STEPS steps on this machine's CPU as it is now, roughly
    busy: float  # share of its cores that other work takes
    command: str  # to run next

    def to_record(self) -> dict[str, Any]:
        """Plain JSON values."""
        said = {"lenses": [lens.to_record() for lens in self.lenses], "facts": [fact.text for fact in self.facts]}
        return asdict(self) | said


def examine(scene: Scene, format: str, command: str) -> Examination:
    """Everything a report says. Takes about as long as reading the pictures."""
    views = [*scene.train, *scene.test]
    lenses = _distinct([view.camera.intrinsics for view in views])
    core, inside = ray_shares([view.camera for view in scene.train], scene.box)
    back = torch.linalg.inv(scene.transform)
    ends = torch.cartesian_prod(*scene.box.double().T) @ back[:3, :3].T + back[:3, 3]  # a reader may turn axes
    pixels = sum(view.valid.numel() for view in views)
    size = 4 * pixels
    return Examination(
        name=scene.name,
        format=format,
        train=len(scene.train),
        test=len(scene.test),
        sizes=_distinct([list(view.camera.size) for view in views]),
        lenses=lenses[:4],
        lens_count=len(lenses),
        transparent=scene.transparent,
        empty_share=sum(int((view.image[..., 3] == 0).sum()) for view in views) / pixels,
        masked_share=1 - sum(int(view.valid.sum()) for view in views) / pixels,
        background=list(scene.background),
        box=scene.box.tolist(),
        box_input=[ends.amin(0).tolist(), ends.amax(0).tolist()],
        transform=scene.transform.tolist(),
        unit=scene.unit,
        rays_core=core,
        rays_box=inside,
        cameras_inside=_inside(scene),
        blurred=blurred(views),
        duplicates=duplicates(views),
        facts=list(scene.facts),
        picture_bytes=size,
        memory_bytes=size + PROGRAM,
        minutes=seconds(flops()) / 60,
        busy=busy(),
        command=command,
    )


def sharpness(view: View) -> float:
    """Variance of the Laplacian over variance of the picture, in green and on white: unitless, lower where blurred."""
    pixels = view.image.numpy()
    grey = np.where(pixels[..., 3] == 0, 255, pixels[..., 1]).astype(np.float32)
    if min(grey.shape) < 3:
        return 0.0
    across = grey[1:-1, :-2] + grey[1:-1, 2:] + grey[:-2, 1:-1] + grey[2:, 1:-1] - 4 * grey[1:-1, 1:-1]
    return float(across.var() / max(grey.var(), 1e-3))


def blurred(views: Sequence[View]) -> list[str]:
    """Names of pictures much less sharp than those taken from nearby; none is named among fewer than nine."""
    if len(views) <= NEIGHBOURS:
        return []
    level = torch.tensor([math.log(max(sharpness(view), 1e-9)) for view in views])
    apart = _apart(views) + _turned(views)  # (M, M), a radian weighs like a scene unit
    near = apart.fill_diagonal_(math.inf).topk(NEIGHBOURS, largest=False).indices
    below = level - level[near].median(-1).values
    spread = 1.4826 * float((below - below.median()).abs().median())
    strays = (below < -STRAY * max(spread, 0.05)) & (below < math.log(BLUR))
    return [views[i].name for i in strays.nonzero()[:, 0].tolist()]


def duplicates(views: Sequence[View]) -> list[list[str]]:
    """Names of pairs that were taken from one place in one direction, or whose pixels are equal."""
    same = (_apart(views) < SAME_PLACE) & (_turned(views) < SAME_ANGLE)
    digests = [hashlib.blake2b(view.image.numpy().tobytes(), digest_size=16).digest() for view in views]
    first: dict[bytes, int] = {}
    for i, digest in enumerate(digests):
        same[first.setdefault(digest, i), i] = True
    return [[views[i].name, views[j].name] for i, j in same.triu(1).nonzero().tolist()]


def _apart(views: Sequence[View]) -> Tensor:
    """Distances (M, M) between cameras in scene units."""
    positions = torch.stack([view.camera.pose[:3, 3] for view in views]).double()
    return torch.cdist(positions, positions, compute_mode="donot_use_mm_for_euclid_dist")


def _turned(views: Sequence[View]) -> Tensor:
    """Angles (M, M) in radians by which cameras are turned against one another."""
    turns = torch.stack([view.camera.pose[:3, :3] for view in views]).double().flatten(1)
    apart = torch.cdist(turns, turns, compute_mode="donot_use_mm_for_euclid_dist")  # sqrt(8) sin(angle / 2)
    return 2 * (apart / 8**0.5).clamp(max=1).asin()


def _inside(scene: Scene) -> list[str]:
    """Names of cameras within the object's box, or within the core where the scene is open."""
    low, high = scene.box if scene.transparent else (torch.zeros(3), torch.ones(3))
    views = (*scene.train, *scene.test)
    return [v.name for v in views if bool(((v.camera.pose[:3, 3] > low) & (v.camera.pose[:3, 3] < high)).all())]


def _distinct(items: list[Item]) -> list[Item]:
    """The items without repetition, in order."""
    return [item for i, item in enumerate(items) if item not in items[:i]]
