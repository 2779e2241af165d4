"""What can be said about a scene before training: lenses, coverage, suspicious pictures, memory and time."""

from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import torch

from render.camera import Intrinsics
from scenes.coverage import Coverage, cover
from scenes.photographs import (
    Kind,
    PhotoCheck,
    brightness_spread,
    duplicates,
    look_over,
    plain_share,
    sharpness_spread,
)
from scenes.placing.box import NO_HULL, ray_shares
from scenes.probe import busy, flops, seconds
from scenes.scene import Fact, Scene

PROGRAM = 600 << 20  # bytes for Python, PyTorch and a model in training, roughly
EXPOSED: tuple[Kind, ...] = ("darker", "brighter", "blown out", "black")  # findings about exposure

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
    plain_share: float  # pictures whose edges all show one and the same colour
    masked_share: float  # pixels that are ignored
    background: list[float]
    box: list[list[float]]  # low and high corner, scene units
    box_input: list[list[float]]  # the same corners in input coordinates
    transform: list[list[float]]  # 4 x 4, input coordinates to scene units
    unit: float  # length of a scene unit
    rays_core: float  # share of rays that cross the unit cube
    rays_box: float
    photographs: list[PhotoCheck]  # one a view, train before test
    duplicates: list[list[str]]  # names of two views each
    brightness_spread: float  # stops between a picture and its neighbours, typically
    sharpness_spread: float  # factor between them, typically; 1 where all are as sharp
    coverage: Coverage
    hull_failed: bool  # the silhouettes of a cut-out scene have no place in common
    facts: list[Fact]
    picture_bytes: int
    memory_bytes: int  # main memory that training takes, roughly
    minutes: float  # of STEPS steps on this machine's CPU as it is now, roughly
    busy: float  # share of its cores that other work takes
    command: str  # to run next

    def to_record(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self) | {
            "lenses": [lens.to_record() for lens in self.lenses],
            "facts": [fact.text for fact in self.facts],
            "coverage": self.coverage.to_record(),
            "blurred": self.named("blurred"),
            "cameras_inside": self.named("inside"),
            "exposure": {"spread": self.brightness_spread, **{kind: self.named(kind) for kind in EXPOSED}},
        }

    def named(self, *kinds: Kind) -> list[str]:
        """Names of the pictures of which any of these was found."""
        return [photo.name for photo in self.photographs if any(f.kind in kinds for f in photo.findings)]


def examine(scene: Scene, format: str, command: str) -> Examination:
    """Everything a report says. Takes about as long as reading the pictures."""
    views = [*scene.train, *scene.test]
    lenses = _distinct([view.camera.intrinsics for view in views])
    core, inside = ray_shares([view.camera for view in scene.train], scene.box)
    back = torch.linalg.inv(scene.transform)
    ends = torch.cartesian_prod(*scene.box.double().T) @ back[:3, :3].T + back[:3, 3]  # a reader may turn axes
    pixels = sum(view.valid.numel() for view in views)
    size = 4 * pixels
    pairs = duplicates(views)
    photographs = look_over(scene, pairs)
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
        plain_share=plain_share(views),
        masked_share=1 - sum(int(view.valid.sum()) for view in views) / pixels,
        background=list(scene.background),
        box=scene.box.tolist(),
        box_input=[ends.amin(0).tolist(), ends.amax(0).tolist()],
        transform=scene.transform.tolist(),
        unit=scene.unit,
        rays_core=core,
        rays_box=inside,
        photographs=photographs,
        duplicates=[[views[i].name, views[j].name] for i, j in pairs],
        brightness_spread=brightness_spread(photographs),
        sharpness_spread=sharpness_spread(photographs),
        coverage=cover(scene),
        hull_failed=any(fact.text == NO_HULL for fact in scene.facts),
        facts=list(scene.facts),
        picture_bytes=size,
        memory_bytes=size + PROGRAM,
        minutes=seconds(flops()) / 60,
        busy=busy(),
        command=command,
    )


def _distinct(items: list[Item]) -> list[Item]:
    """The items without repetition, in order."""
    return [item for i, item in enumerate(items) if item not in items[:i]]
