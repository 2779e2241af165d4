"""Space: where a field's points live, and the one map between scene units and an architecture's unit box."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, final

import torch
from torch import Tensor

from fields.numbers import brief

CONTRACTIONS = ("none", "sphere")


def contract(y: Tensor) -> Tensor:
    """y (N, D) anywhere -> (N, D) in the ball of radius 2; what lies in the unit ball stays (Barron et al. 2022, eq.
    10). Its slope is continuous."""
    length = y.norm(dim=-1, keepdim=True).clamp(min=1)
    return (2 - 1 / length) * (y / length)


def expand(z: Tensor) -> Tensor:
    """Inverse of `contract`: z (N, D), shorter than 2; what has that length or more is infinitely far away."""
    length = z.norm(dim=-1, keepdim=True).clamp(1, 2)
    return z / (length * (2 - length))


@final
@dataclass(frozen=True, eq=False)
class Space:
    """A box of the scene, the time where there is one, and how they fill the unit box: 2 coordinates (image), 3 (space)
    or one more with time. No command makes one that is contracted or has time yet."""

    box: Tensor  # (2, 2) or (2, 3) float32, low and high corner, scene units
    contraction: str = "none"  # none: the longest side fills the unit box; sphere: the ball of that diameter fills the
    # ball of diameter 1/2 in its middle, and all that lies further out the ball of diameter 1
    span: tuple[float, float] | None = None  # first and last moment, of the last coordinate; None: there is no time
    center: Tensor = field(init=False)  # (2,) or (3,) float32
    side: Tensor = field(init=False)  # () float32, longest side

    def __post_init__(self) -> None:
        box = self.box.float()
        if box.shape not in ((2, 2), (2, 3)) or not bool((box[1] > box[0]).all()):
            raise ValueError(f"box must be a low and a higher corner, (2, 3) or (2, 2); found {brief(box.tolist())}")
        if self.contraction not in CONTRACTIONS:
            raise ValueError(f"contraction must be {' or '.join(CONTRACTIONS)}, found {brief(self.contraction)}")
        if self.span is not None and not self.span[0] < self.span[1]:
            raise ValueError(f"span must be a first and a later moment, found {self.span}")
        self.__dict__.update(box=box, center=box.mean(0), side=(box[1] - box[0]).max())

    @property
    def dims(self) -> int:
        """D, coordinates of a point, time included."""
        return self.box.shape[1] + (self.span is not None)

    def unit(self, x: Tensor) -> Tensor:
        """x (N, D) scene units, and time -> (N, D), in [0, 1] what lies inside."""
        place = x if self.span is None else x[:, :-1]
        if self.contraction == "sphere":
            u = contract(2 * (place - self.center) / self.side) / 4 + 0.5
        else:
            u = (place - self.center) / self.side + 0.5
        if self.span is None:
            return u
        return torch.cat([u, (x[:, -1:] - self.span[0]) / (self.span[1] - self.span[0])], -1)

    def scene(self, u: Tensor) -> Tensor:
        """Inverse of `unit`."""
        place = (u if self.span is None else u[:, :-1]) - 0.5
        if self.contraction == "sphere":
            x = expand(4 * place) * (self.side / 2) + self.center
        else:
            x = place * self.side + self.center
        if self.span is None:
            return x
        return torch.cat([x, u[:, -1:] * (self.span[1] - self.span[0]) + self.span[0]], -1)

    def to(self, *target: Any) -> "Space":
        """The same on a device, or in another type."""
        return self.mapped(lambda tensor: tensor.to(*target))

    def mapped(self, change: Callable[[Tensor], Tensor]) -> "Space":
        """The same with every tensor changed."""
        other = copy.copy(self)
        other.__dict__.update({name: change(getattr(self, name)) for name in ("box", "center", "side")})
        return other

    def record(self) -> dict[str, Any]:
        """JSON values, by the names that a model file's header has for them."""
        return {"box": self.box.cpu().tolist(), "contraction": self.contraction, "span": self.span and list(self.span)}


CUBE = Space(torch.tensor([[0.0] * 3, [1.0] * 3], device="cpu"))  # the unit cube
