"""MLP: one fully connected network over coordinates (Mildenhall et al. 2020), with three activations and two blocks.

- relu reads waves of the point (eq. 4); `sine` is SIREN (Sitzmann et al. 2020, eq. 3); `gaussian` lets every neuron
  answer on a ridge of the box (Ramasinghe and Lucey 2022). `bandwidth` sets the finest detail of each.
- `plain` is a stack of layers; `hourglass` is wide, narrow, wide with skip connections at the wide width, behind a
  fixed random lift (Chen et al. 2025). The lift is drawn from the network's generator and lies in the model file.
"""

import math
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from fields.base import FEATURES, Architecture
from fields.encodings import frequencies, octaves
from fields.layers import Dense, arithmetic, padded
from fields.operands import Operands
from fields.ranges import check, check_choice


@dataclass(frozen=True)
class Config:
    """Size of the network and what its first layer sees."""

    depth: int = 8  # hidden layers, or blocks of an hourglass, 2 to 32
    width: int = 256  # neurons of a layer, or of the wide end of an hourglass, 8 to 2048
    skip: int = 4  # hidden layers before the waves are read again, less than depth; 0: never. relu and plain only
    activation: str = "relu"  # relu, sine or gaussian
    frequencies: int = 10  # waves per coordinate, from half a cycle per box side to bandwidth, 2 to 32; relu only
    bandwidth: float = 256.0  # finest detail at the start, cycles per box side, 0.5 to 4096
    block: str = "plain"  # plain or hourglass
    waist: int = 32  # neurons of the narrow end, hourglass only, 1 to 1024

    def __post_init__(self) -> None:
        check("mlp", self, depth=(2, 32), width=(8, 2048), frequencies=(2, 32), bandwidth=(0.5, 4096), waist=(1, 1024))
        check_choice("mlp", self, activation=("relu", "sine", "gaussian"), block=("plain", "hourglass"))
        again = self.activation == "relu" and self.block == "plain"
        check("mlp", self, skip=(0, self.depth - 1 if again else 0))


WHEN = "small files; slow to learn"
PRESETS = {
    "tiny": Config(depth=3, width=32, skip=2, frequencies=4, bandwidth=8.0),
    "small": Config(depth=4, width=128, skip=0, bandwidth=32.0),
    "base": Config(),
    "large": Config(depth=8, width=512),
}


def relu(z: Tensor) -> Tensor:
    """max(z, 0), in the place of z."""
    return functional.relu(z, inplace=True)


def sine(z: Tensor) -> Tensor:
    """sin(z); the factor omega of Sitzmann et al. 2020 is in the weights here, as Adam's step does not see it."""
    return z.sin()


def bump(z: Tensor) -> Tensor:
    """exp(-z^2 / 2) in units of its standard deviation for standard normal z."""
    return torch.exp(z * z * -0.5) * 3.604  # (3^-1/2 - 1/2)^-1/2


def gaussian(z: Tensor) -> Tensor:
    """exp(-z^2 / 2), shifted and scaled to mean 0 and variance 1 for standard normal z."""
    return bump(z) - 2.548


INPUTS = {"sine": sine, "gaussian": bump}  # of Ridges: most places of the box lie far from a narrow ridge, at 0
ACTIVATIONS = {"relu": relu, "sine": sine, "gaussian": gaussian}
GAINS = {"relu": 2.0, "sine": 2.0, "gaussian": 1.0}  # of the layer behind an activation, so that signals keep size 1


class Waves(nn.Module):
    """Input of relu: (N, D) -> (N, D + 2 D K)."""

    cycles: Tensor

    def __init__(self, config: Config, dims: int) -> None:
        super().__init__()
        self.outputs = dims * (1 + 2 * config.frequencies)
        self.register_buffer("cycles", octaves(config.frequencies, config.bandwidth), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return frequencies(x, self.cycles)


class Ridges(nn.Module):
    """Input of sine and gaussian: (N, D) -> act(W (2 x - 1 - c)) (N, width), each neuron with a point c of the box.

    W begins uniform up to pi bandwidth: a sine then makes at most `bandwidth` cycles along a side, and a gaussian's
    spectrum falls to exp(-1/2) there. In the type of x: bf16 could not tell fine places apart.
    """

    def __init__(self, config: Config, dims: int, generator: torch.Generator | None) -> None:
        super().__init__()
        self.outputs, self.act = config.width, INPUTS[config.activation]
        weight = (torch.rand(config.width, dims, generator=generator) * 2 - 1) * (math.pi * config.bandwidth)
        center = torch.rand(config.width, dims, generator=generator) * 2 - 1
        self.weight = nn.Parameter(weight)
        self.bias = nn.Parameter(-(weight * center).sum(-1))

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        with torch.autocast(x.device.type, enabled=False):
            return self.act(functional.linear(2 * x - 1, self.weight, self.bias))


class Plain(nn.Module):
    """Layers one after the other, reading their input again behind layer `skip`."""

    def __init__(self, inputs: int, layers: int, config: Config, generator: torch.Generator | None) -> None:
        super().__init__()
        self.skip, self.act = config.skip, ACTIVATIONS[config.activation]
        widths = [inputs] + [config.width + inputs * (n == config.skip) for n in range(1, layers)]
        gain = GAINS[config.activation]
        self.layers = nn.ModuleList(Dense(width, config.width, generator, gain=gain) for width in widths)

    def forward(self, seen: Tensor) -> Tensor:
        """(N, inputs) -> (N, width)."""
        h = seen
        for number, layer in enumerate(self.layers):
            again = number == self.skip and number > 0
            h = self.act(layer(torch.cat([h, seen], -1) if again else h))
        return h


class Hourglass(nn.Module):
    """Blocks h + B act(A h + a) + b, wide to narrow and back."""

    def __init__(self, config: Config, generator: torch.Generator | None) -> None:
        super().__init__()
        self.act, gain = ACTIVATIONS[config.activation], GAINS[config.activation]
        self.narrow = nn.ModuleList(Dense(config.width, config.waist, generator, gain=1) for _ in range(config.depth))
        self.wide = nn.ModuleList(
            Dense(config.waist, config.width, generator, gain=gain / config.depth) for _ in range(config.depth)
        )

    def forward(self, h: Tensor) -> Tensor:
        """(N, width) -> (N, width)."""
        for narrow, wide in zip(self.narrow, self.wide, strict=True):
            h = h + wide(self.act(narrow(h)))
        return h


def fixed(layer: nn.Module) -> nn.Module:
    """The layer with its parameters as buffers: they lie in the model file, and are not learnt."""
    for name, parameter in list(layer.named_parameters()):
        delattr(layer, name)
        layer.register_buffer(name, parameter.detach())
    return layer


@final
class Network(Architecture):
    """Encode, then layers or blocks, then the features."""

    matrix_rate = 0.03  # `small` on the chair, 250 steps: 29.6 dB; 29.0 with 0.02, 26.2 with 0.01, 25.2 with `rate`
    bandwidths = (8.0, 16.0, 32.0, 64.0, 128.0, 256.0)

    def __init__(self, config: Config, dims: int, generator: torch.Generator | None) -> None:
        super().__init__()
        self.config, self.dims = config, dims
        self.rate = min(1.28 / config.width, 2e-2)  # 1e-2 at 128 neurons; less where sums are longer
        waves = config.activation == "relu"
        self.read = Waves(config, dims) if waves else Ridges(config, dims, generator)
        self.lift: nn.Module = nn.Identity()
        if config.block == "plain":
            self.body = Plain(self.read.outputs, config.depth - (not waves), config, generator)
        else:
            fixed(self.read)
            if waves:
                self.lift = fixed(Dense(self.read.outputs, config.width, generator))
            self.body = Hourglass(config, generator)
        self.last = Dense(config.width, FEATURES, generator, gain=GAINS[config.activation] / 2)

    def features(self, x: Tensor) -> Tensor:
        """See Architecture."""
        seen = arithmetic(self.read(padded(x)))
        return self.last(self.body(self.lift(seen)))[: len(x)]

    def operands(self) -> Operands | None:
        """See Architecture. Plain ReLU networks over three coordinates. Small are those up to 64 neurons wide and 4
        layers deep: the gradient of 128 neurons would keep 1.9 kB of a GPU's thread outside its registers."""
        config, read, body = self.config, self.read, self.body
        if not isinstance(read, Waves) or not isinstance(body, Plain) or self.dims != 3:
            return None
        small = config.width <= 64 and config.depth <= 4 and read.outputs <= 64
        weights = tuple(p for layer in (*body.layers, self.last) for p in layer.parameters())
        shape = (config.depth, config.width, config.skip, config.frequencies)
        return Operands((), weights, (read.cycles,), shape, FEATURES, small=small)
