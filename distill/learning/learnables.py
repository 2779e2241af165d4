"""Learnables: named groups of parameters with their rates, of a field and of whatever else a run learns."""

from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn

from fields.field import Field
from fields.layers import Dense, Perceptron

FIELD = "field"  # name of a field's own groups


@dataclass(frozen=True)
class Group:
    """Parameters that learn at one rate."""

    name: str  # of what they are; several groups may be of one thing
    parameters: tuple[nn.Parameter, ...]  # float32
    rate: float  # after warm-up, > 0
    matrices: bool = False  # whether each is a matrix (A, B) that is turned as a whole; else Adam moves them


@dataclass(frozen=True)
class Learnables:
    """Groups in an order that stays: optimisers number their states by it."""

    groups: tuple[Group, ...] = ()

    def __add__(self, other: "Learnables") -> "Learnables":
        return Learnables(self.groups + other.groups)

    def named(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Every parameter, as NAME.NUMBER."""
        counts: dict[str, int] = {}
        for group in self.groups:
            for parameter in group.parameters:
                counts[group.name] = counts.get(group.name, -1) + 1
                yield f"{group.name}.{counts[group.name]}", parameter


def of_field(field: Field) -> Learnables:
    """Weights of fully connected layers, where the architecture gives them a rate of their own; then all others, by the
    rate that it gives them under Adam."""
    network, turned = field.architecture, matrices(field)
    groups = [Group(FIELD, tuple(turned), network.matrix_rate, matrices=True)] if turned else []
    rated: dict[float, list[nn.Parameter]] = {}
    for name, parameter in field.named_parameters():
        if not any(parameter is matrix for matrix in turned):
            own, inner = name.startswith("architecture."), name.removeprefix("architecture.")
            named = [rate for prefix, rate in network.rates.items() if own and inner.startswith(prefix)]
            rated.setdefault(named[0] if named else network.rate, []).append(parameter)
    return Learnables((*groups, *(Group(FIELD, tuple(some), rate) for rate, some in rated.items())))


def matrices(field: Field) -> list[nn.Parameter]:
    """Weights of fully connected layers, where the architecture gives them a rate; none where it does not."""
    if not field.architecture.matrix_rate:
        return []
    layers = [layer for layer in field.modules() if isinstance(layer, Dense | Perceptron)]
    return [weight for layer in layers for weight in layer.parameters() if weight.dim() == 2]
