"""Random cameras where the training cameras were, and around them: a field can be seen from anywhere."""

import math

import torch
from torch import Tensor

from distill.conversion.active import HARD, HARD_POSES, hardest, newest
from render import quaternions
from render.camera import Camera, CameraBank
from render.paths import surrounding
from render.rays import RayBatch

NEIGHBOURS = 4  # training cameras that a new one may lie towards
BEYOND = 0.25  # share of the way to a neighbour that a new camera may go past either end
SHIFT = 0.1  # of the distance to its neighbours: standard deviation of a further move
TILT = 0.03  # radians, standard deviation of a further turn
ALONE = 0.05  # of the box's side: stands for the distance to neighbours where there are none


class Poses:
    """`count` random cameras, drawn anew by `renew`, and random rays through their pixels."""

    def __init__(self, cameras: tuple[Camera, ...], box: Tensor, count: int, generator: torch.Generator) -> None:
        """Cameras in scene units; surrounding ones stand in where there are none. The generator lives on the CPU."""
        cameras = cameras or surrounding(box)
        self.parents, self.count = CameraBank.of(list(cameras)), count
        self.sizes = torch.tensor([c.size for c in cameras])
        self.places = self.parents.poses[:, :3, 3].double()
        self.turns = quaternions.from_matrices(self.parents.poses[:, :3, :3])
        self.near = neighbours(self.parents.poses)
        reach = (self.places[:, None] - self.places[self.near]).norm(dim=-1).mean(1, keepdim=True)
        self.reach = torch.where(reach > 0, reach, ALONE * float((box[1] - box[0]).max()))
        self.parent = torch.zeros(count, dtype=torch.int64)  # whose lens and size each camera has
        self.poses = torch.eye(4).expand(count, 4, 4).clone()
        self.errors = torch.zeros(count, 2, dtype=torch.float64)  # of each camera's rays: their sum and number
        self.hard = torch.zeros(0, 4, 4), torch.zeros(0, dtype=torch.int64)  # poses and parents
        self.renew(generator)

    def note(self, camera: Tensor, errors: Tensor) -> None:
        """Errors (R,) of rays that `draw` gave, and its second answer (R,). A camera's score is their mean."""
        both = torch.stack([errors.detach().double(), torch.ones_like(errors, dtype=torch.float64)], -1).cpu()
        self.errors.index_add_(0, camera, both)

    def renew(self, generator: torch.Generator) -> None:
        """Draw all cameras anew, some of them around those that were worst so far. Whatever was noted is used up."""
        noted = self.errors[:, 1].nonzero()[:, 0]
        worst = noted[hardest(self.errors[noted, 0] / self.errors[noted, 1], HARD)]
        new = self.poses[worst], self.parent[worst]
        self.hard = newest(new[0], self.hard[0], HARD_POSES), newest(new[1], self.hard[1], HARD_POSES)
        self.errors = torch.zeros_like(self.errors)
        self.poses, self.parent = self.fresh(generator)
        if len(self.hard[0]):
            count = round(HARD * self.count)
            self.poses[:count], self.parent[:count] = self.again(count, generator)

    def again(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Poses (count, 4, 4) around hard ones, and their parents (count,)."""
        pick = torch.randint(len(self.hard[0]), (count,), generator=generator)
        poses, parent = self.hard[0][pick], self.hard[1][pick]
        turn = tilted(quaternions.from_matrices(poses[:, :3, :3]), TILT, generator)
        return posed(self.moved(poses[:, :3, 3].double(), parent, generator), turn), parent

    def moved(self, places: Tensor, parent: Tensor, generator: torch.Generator) -> Tensor:
        """Places (M, 3) float64 moved by a share of how far the parents' (M,) neighbours are."""
        steps = torch.randn(len(places), 3, generator=generator, dtype=torch.float64)
        return places + steps * SHIFT * self.reach[parent]

    def fresh(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Poses (count, 4, 4) around training cameras, and their parents (count,)."""
        some = torch.randint(len(self.sizes), (self.count,), generator=generator)
        other = self.near[some, torch.randint(self.near.shape[1], (self.count,), generator=generator)]
        along = torch.rand(self.count, generator=generator, dtype=torch.float64) * (1 + 2 * BEYOND) - BEYOND
        place = self.moved(torch.lerp(self.places[some], self.places[other], along[:, None]), some, generator)
        turn = quaternions.slerp(self.turns[some], self.turns[other], along)
        return posed(place, tilted(turn, TILT, generator)), some

    def state(self) -> dict[str, Tensor]:
        """The cameras as they stand, and what is known of them."""
        names = ("poses", "parent", "errors", "hard_poses", "hard_parent")
        values = (self.poses, self.parent, self.errors, *self.hard)
        return {name: value.clone() for name, value in zip(names, values, strict=True)}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Inverse of `state`."""
        for name, value in self.state().items():
            found, hard = tensors[name], name.startswith("hard")
            if found.dtype != value.dtype or found.shape[hard:] != value.shape[hard:]:
                raise ValueError(f"{name} is {tuple(found.shape)}, wanted {tuple(value.shape)}")
        for parent in (tensors["parent"], tensors["hard_parent"]):
            if bool(((parent < 0) | (parent >= len(self.sizes))).any()):
                raise ValueError(f"parents must be numbers of {len(self.sizes)} cameras")
        self.poses, self.parent = tensors["poses"].clone(), tensors["parent"].clone()
        self.errors = tensors["errors"].clone()
        self.hard = tensors["hard_poses"].clone(), tensors["hard_parent"].clone()

    def draw(self, count: int, generator: torch.Generator) -> tuple[RayBatch, Tensor]:
        """Rays through random pixels of random cameras, (count), and which camera each belongs to (count,)."""
        camera = torch.randint(self.count, (count,), generator=generator)
        parent = self.parent[camera]
        pixels = (torch.rand(count, 2, generator=generator) * self.sizes[parent]).long()
        lens = self.parents
        bank = CameraBank(self.poses[camera], lens.lenses[parent], lens.fisheye[parent], lens.distorted[parent])
        return bank.rays(torch.arange(count), pixels), camera


def tilted(turns: Tensor, angle: float, generator: torch.Generator) -> Tensor:
    """Rotations (N, 4) turned further about random axes, by `angle` radians of standard deviation on each."""
    vectors = torch.randn(len(turns), 3, generator=generator, dtype=torch.float64) * angle
    return quaternions.product(quaternions.exponential(vectors), turns)


def posed(places: Tensor, turns: Tensor) -> Tensor:
    """Positions (N, 3) and rotations (N, 4) -> poses (N, 4, 4) float32."""
    poses = torch.eye(4).repeat(len(places), 1, 1)
    poses[:, :3, :3] = quaternions.to_matrices(turns).float()
    poses[:, :3, 3] = places.float()
    return poses


def neighbours(poses: Tensor) -> Tensor:
    """(M, 4, 4) -> (M, k) the cameras nearest to each in place and view, itself where it is alone. k is 4 at most."""
    places, views = poses[:, :3, 3], -poses[:, :3, 2]
    spread = (places - places.mean(0)).norm(dim=-1).mean().clamp(min=1e-9)
    far = torch.cdist(places, places) / spread + torch.cdist(views, views)
    if len(poses) == 1:
        return torch.zeros(1, 1, dtype=torch.int64)
    far.fill_diagonal_(math.inf)
    return far.topk(min(NEIGHBOURS, len(poses) - 1), largest=False).indices
