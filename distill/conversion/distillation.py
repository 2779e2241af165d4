"""A field teaches a field: progressive volume distillation (Fang et al. 2023).

Three phases: what the architectures say about points (features), then what the fields say about them (log-density and
colour), then what rays see. Cameras are random, near the training cameras; samples are those that the teacher's light
reaches, and teacher and student are asked at the very same ones. Nothing here knows which architectures they are.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from distill.conversion.active import HARD, HARD_RAYS, hardest, newest
from distill.conversion.edited import uncut
from distill.conversion.poses import Poses
from distill.conversion.settings import SHARES, Active
from distill.learning.budget import FIRST_RAYS, bounded_rays, restored_rays
from distill.learning.fit import Loss, Phase
from distill.learning.learnables import Learnables
from distill.learning.run import opacity
from distill.photographs.loss import HUBER
from fields.field import Field
from render.kernels.composite import composite, transmittance
from render.model import LoadedModel
from render.occupancy import OccupancyGrid
from render.precision import precision
from render.rays import RayBatch, Samples
from render.renderer import EXACT

POSES = 256  # cameras at a time
RENEW = 64  # steps until they are drawn anew
FAINTEST, THICKEST = 1e-4, 5.0  # optical thickness of one step: beyond these, log-densities are as good as equal
FLOOR = 0.2  # weight of a sample in the light that shows nothing, beside one that takes all of it
DENSITY = 0.03  # weight of squared differences in log-density beside features that vary by one, and beside colours
DEFAULT = Active()
SAMPLES = 0.1  # weight of what samples say, beside what rays see


@dataclass(frozen=True)
class Lesson:
    """What the teacher says about one batch. Nothing here carries gradients."""

    rays: RayBatch  # R
    camera: Tensor  # (R',) on the CPU, of the first R' rays; the others are hard ones that come again
    samples: Samples  # N, those that the teacher's light reaches
    sigma: Tensor  # (N,) per scene unit
    features: Tensor  # (N, F) of the teacher's architecture
    weight: Tensor  # (N,) that sum to 1: how much each sample matters

    @property
    def directions(self) -> Tensor:
        """(N, 3) unit vectors that the samples are seen along."""
        return self.rays.directions[self.samples.ray]


@dataclass(frozen=True)
class Seen:
    """What rays see of student and teacher."""

    difference: Tensor  # (R, 3) of colours, in front of random backgrounds
    ours: Tensor  # (N,) weights of the samples, of the student
    theirs: Tensor  # (N,) of the teacher


class Distillation:
    """The losses of a conversion, and the state of their random numbers."""

    def __init__(
        self, teacher: LoadedModel, field: Field, batch: int, seed: int,
        active: Active = DEFAULT, named: tuple[str, ...] = tuple(SHARES),
    ) -> None:  # fmt: skip
        """`batch` is the number of samples per step; `named` are the phases that the run goes through, where it can."""
        self.teacher, self.field, self.batch, self.active, self.named = teacher, field, batch, active, named
        self.grid: OccupancyGrid = teacher.grid  # where both are looked at
        device = self.grid.bits.device
        self.host = torch.Generator().manual_seed(seed)  # draws cameras and pixels
        self.generator = torch.Generator(device).manual_seed(seed)  # draws jitter and backgrounds
        self.poses = Poses(teacher.train_cameras, teacher.field.space.box.cpu(), POSES, self.host)
        self.rays = FIRST_RAYS
        self.hard = RayBatch(torch.zeros(0, 3, device=device), torch.zeros(0, 3, device=device))
        step = teacher.renderer.step
        self.low, self.high = math.log(FAINTEST / step), math.log(THICKEST / step)

    def phases(self) -> tuple[Phase, ...]:
        """Features first where both heads read as many of them for colour, then samples, then rays."""
        alike = count_colored(self.teacher.field) == count_colored(self.field)
        losses = {"features": self.features, "samples": self.points, "rays": self.pixels}
        shares = {k: v for k, v in SHARES.items() if k in self.named and (alike or k != "features")}
        return tuple(Phase(name, share / sum(shares.values()), losses[name]) for name, share in shares.items())

    def learnables(self) -> Learnables:
        """See Source: nothing but the field."""
        return Learnables()

    def opacity(self, x: Tensor) -> Tensor:
        """See Source: by the teacher, who knows it from the start."""
        return opacity(self.teacher.field, self.grid, self.teacher.renderer.step, x)

    def origin(self) -> dict[str, Any]:
        """See Source: where the teacher came from."""
        return {"teacher": self.teacher.header.provenance}

    @torch.no_grad()
    def lesson(self, index: int) -> Lesson:
        """Random rays, and what the teacher says along them as far as its light reaches."""
        if index % RENEW == 0:
            self.poses.renew(self.host)
        rays, camera = self.drawn()
        renderer = self.teacher.renderer
        marched = renderer.march(self.grid, rays, self.generator)
        samples = marched.samples
        with precision(rays.origins.device):
            sigma, features = self.teacher.field.density(samples.positions(rays))
        light = transmittance(sigma * samples.dt, samples.offsets)
        lit = light > renderer.stop
        weight = light * (FLOOR - torch.expm1(-sigma * samples.dt))
        wanted = len(rays) * self.batch / lit.sum().double().clamp(min=1)
        self.rays = int(bounded_rays(torch.tensor(len(rays)), wanted, self.batch))
        weight = weight[lit] / weight[lit].sum().clamp(min=1e-9)
        return Lesson(rays, camera, EXACT.keep(marched, lit).samples, sigma[lit], features[lit], weight)

    def drawn(self) -> tuple[RayBatch, Tensor]:
        """New random rays with their cameras, and hard ones as soon as there are any."""
        again = round(HARD * self.rays) if len(self.hard) else 0
        rays, camera = self.poses.draw(self.rays - again, self.host)
        rays = rays.to(self.grid.bits.device)
        if not again:
            return rays, camera
        pick = torch.randint(len(self.hard), (again,), generator=self.generator, device=rays.origins.device)
        old = self.hard[pick]
        return RayBatch(torch.cat([rays.origins, old.origins]), torch.cat([rays.directions, old.directions])), camera

    def features(self, index: int) -> Loss:
        """Phase 1: what the architectures say about points."""
        lesson = self.lesson(index)
        with precision(lesson.rays.origins.device):
            _, features = self.field.density(lesson.samples.positions(lesson.rays))
        got = self.field.volume.appearance(features).float()
        want = self.teacher.field.volume.appearance(lesson.features).float()
        error = (lesson.weight @ (got - want).square() / variance(want, lesson.weight)).mean()
        return Loss(error + self.density_error(features, lesson), math.nan, len(lesson.rays), len(lesson.samples))

    def points(self, index: int) -> Loss:
        """Phase 2: what the fields say about points."""
        lesson = self.lesson(index)
        sigma, features, rgb, want = self.asked(lesson)
        with torch.no_grad():
            seen = self.seen(lesson, sigma, rgb, want)
        value = self.sample_error(self.learnt(lesson, seen), features, rgb, want)
        return Loss(value, mean_square(lesson, seen), len(lesson.rays), len(lesson.samples))

    def pixels(self, index: int) -> Loss:
        """Phase 3: what rays see, and still what points say."""
        lesson = self.lesson(index)
        sigma, features, rgb, want = self.asked(lesson)
        seen = self.seen(lesson, sigma, rgb, want)
        error = functional.huber_loss(seen.difference, torch.zeros_like(seen.difference), delta=HUBER) / HUBER
        value = error + SAMPLES * self.sample_error(self.learnt(lesson, seen), features, rgb, want)
        return Loss(value, mean_square(lesson, seen), len(lesson.rays), len(lesson.samples))

    def asked(self, lesson: Lesson) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The student's sigma (N,), features (N, F) and colours (N, 3), and the teacher's colours (N, 3)."""
        with precision(lesson.rays.origins.device):
            sigma, features = self.field.density(lesson.samples.positions(lesson.rays))
            rgb = self.field.color(features, lesson.directions)
            with torch.no_grad():
                want = self.teacher.field.color(lesson.features, lesson.directions)
        return sigma, features, rgb, want

    def seen(self, lesson: Lesson, sigma: Tensor, rgb: Tensor, want: Tensor) -> Seen:
        """What rays see before random backgrounds, as in training: of sigma (N,) and rgb (N, 3) beside `want`."""
        s = lesson.samples
        background = torch.rand(len(lesson.rays), 3, generator=self.generator, device=rgb.device)
        color, opacity, _, ours = composite(sigma, rgb, s.t, s.dt, s.offsets)
        with torch.no_grad():
            shown, solid, _, theirs = composite(lesson.sigma, want, s.t, s.dt, s.offsets)
        return Seen(color - shown + (solid - opacity)[:, None] * background, ours.detach(), theirs)

    @torch.no_grad()
    def learnt(self, lesson: Lesson, seen: Seen) -> Lesson:
        """Remember what was hard; the lesson again, its samples weighted by what is seen of them, if that is wanted."""
        errors = seen.difference.abs().sum(-1)
        if self.active.poses:
            self.poses.note(lesson.camera, errors[: len(lesson.camera)])
        if self.active.rays:
            new, old = lesson.rays[hardest(errors, HARD)], self.hard
            pairs = ((new.origins, old.origins), (new.directions, old.directions))
            self.hard = RayBatch(*(newest(*pair, HARD_RAYS) for pair in pairs))
        if not self.active.points:
            return lesson
        weight = torch.maximum(seen.ours, seen.theirs)  # published: only the heaviest 30 % of either, all alike
        return replace(lesson, weight=weight / weight.sum().clamp(min=1e-9))

    def sample_error(self, lesson: Lesson, features: Tensor, rgb: Tensor, want: Tensor) -> Tensor:
        """() of the samples' colours and log-densities."""
        color = functional.huber_loss(rgb, want, reduction="none", delta=HUBER).mean(-1) / HUBER
        return lesson.weight @ color + self.density_error(features, lesson)

    def density_error(self, features: Tensor, lesson: Lesson) -> Tensor:
        """() of log-densities: none where both are beyond the same bound, else towards the bound at most.

        The published clamp sits in the field itself, where it takes away the gradient of whoever is beyond it.
        """
        got = self.field.volume.log_density(features)
        want = self.teacher.field.volume.log_density(lesson.features)
        alike = (got <= self.low) & (want <= self.low) | (got >= self.high) & (want >= self.high)
        difference = torch.where(alike, 0.0, got - want.clamp(self.low, self.high))
        error = functional.huber_loss(difference, torch.zeros_like(difference), reduction="none")
        return DENSITY * (lesson.weight @ error)

    def state(self) -> dict[str, Tensor]:
        """Everything that an exact continuation needs."""
        return {
            "distillation.rays": torch.tensor(self.rays),
            "distillation.hard_origins": self.hard.origins.clone(),
            "distillation.hard_directions": self.hard.directions.clone(),
            "distillation.host": self.host.get_state(),
            "distillation.generator": self.generator.get_state(),
            **{f"distillation.{name}": value for name, value in self.poses.state().items()},
        }

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Inverse of `state`."""
        self.rays = int(restored_rays(tensors["distillation.rays"], self.batch))
        if tensors["distillation.hard_origins"].shape != (len(tensors["distillation.hard_directions"]), 3):
            raise ValueError("hard rays want an origin of 3 coordinates for each direction")
        hard = RayBatch(tensors["distillation.hard_origins"].clone(), tensors["distillation.hard_directions"].clone())
        self.hard = hard.to(self.grid.bits.device)
        self.host.set_state(tensors["distillation.host"])
        self.generator.set_state(tensors["distillation.generator"])
        self.poses.restore({name: tensors[f"distillation.{name}"] for name in self.poses.state()})


def mean_square(lesson: Lesson, seen: Seen) -> float:
    """Of differences in colour, over the rays of random cameras: hard ones that came again would make it worse."""
    return float(seen.difference[: len(lesson.camera)].detach().square().mean())


def variance(values: Tensor, weight: Tensor) -> Tensor:
    """Of each column of (N, F), under weights (N,) that sum to 1."""
    mean = weight @ values
    return (weight @ (values - mean).square()).clamp(min=1e-4)


def count_colored(field: Field) -> int:
    """How many numbers of a point its head reads for colour."""
    nothing = torch.zeros(0, field.architecture.width, device=field.space.box.device)
    return field.volume.appearance(nothing).shape[1]


def heritage(student: Field, teacher: Field) -> dict[str, Tensor]:
    """The teacher's head, where the student's has all the same parts; else nothing."""
    given = uncut(teacher.head)
    ours, theirs = student.head.state_dict(), given.state_dict()
    same = type(student.head) is type(given)
    return theirs if same and {k: v.shape for k, v in ours.items()} == {k: v.shape for k, v in theirs.items()} else {}


def inherit(student: Field, teacher: Field) -> int:
    """Copy the teacher's head into a student's that it fits; returns how many numbers were taken over."""
    taken = heritage(student, teacher)
    student.head.load_state_dict(taken or student.head.state_dict())
    return sum(value.numel() for value in taken.values())
