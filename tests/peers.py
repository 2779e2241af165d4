"""Stand-ins for tinycudann and nerfacc with their signatures, which read their arguments as documentation and source
of the real ones say. Plain PyTorch on the CPU: only a GPU can show that the real ones agree.
"""

import sys
from itertools import pairwise
from types import SimpleNamespace

import torch
from torch import nn

from fields.encodings import spherical_harmonics
from fields.kernels.grid import PRIMES
from fields.nvidia import axis_vertices


def up(n, multiple):
    return -(-n // multiple) * multiple


def through(x, params, inputs, outputs, config):
    """A network of matrices (OUT, IN), row by row, both rounded up to 16; inputs are padded with ones."""
    width, sizes = config["n_neurons"], [up(inputs, 16)]
    sizes += [width] * config["n_hidden_layers"] + [up(outputs, 16)]
    x = nn.functional.pad(x, (0, sizes[0] - inputs), value=1.0)
    at = 0
    for number, (a, b) in enumerate(pairwise(sizes)):
        x = x @ params[at : at + a * b].view(b, a).T
        at += a * b
        if number < len(sizes) - 2:
            x = x.relu()
    return {"None": x, "Sigmoid": x.sigmoid()}[config["output_activation"]][:, :outputs], at


def numbers(inputs, outputs, config):
    width = config["n_neurons"]
    hidden = width * width * (config["n_hidden_layers"] - 1)
    return width * up(inputs, 16) + hidden + width * up(outputs, 16)


def levels(config):
    """Scale, vertices per axis and entries of each level, as tinycudann lays them out."""
    for level in range(config["n_levels"]):
        scale = config["base_resolution"] * config["per_level_scale"] ** level - 1
        side = axis_vertices(scale)
        yield scale, side, min(up(side**3, 8), 2 ** config["log2_hashmap_size"])


def grid(x, params, config):
    channels, at, found = config["n_features_per_level"], 0, []
    for scale, side, size in levels(config):
        table = params[at : at + size * channels].view(size, channels)
        at += size * channels
        place = x * scale + 0.5
        low = place.floor()
        total = torch.zeros(len(x), channels)
        for corner in range(8):
            pick = torch.tensor([corner & 1, corner >> 1 & 1, corner >> 2 & 1])
            cell = (low + pick).long()
            weight = torch.where(pick.bool(), place - low, 1 - (place - low)).prod(-1)
            if side**3 <= size:
                index = cell[:, 0] + cell[:, 1] * side + cell[:, 2] * side**2
            else:
                hashed = [cell[:, a] * PRIMES[a] & 0xFFFFFFFF for a in range(3)]
                index = hashed[0] ^ hashed[1] ^ hashed[2]
            total = total + weight[:, None] * table[index % size]
        found.append(total)
    return torch.cat(found, -1)


class NetworkWithInputEncoding(nn.Module):
    def __init__(self, n_input_dims, n_output_dims, encoding_config, network_config, seed=1337):
        super().__init__()
        self.encoding, self.shape, self.outputs = encoding_config, network_config, n_output_dims
        self.width = encoding_config["n_levels"] * encoding_config["n_features_per_level"]
        entries = sum(size for _, _, size in levels(encoding_config)) * encoding_config["n_features_per_level"]
        self.params = nn.Parameter(torch.zeros(numbers(self.width, n_output_dims, network_config) + entries))

    def forward(self, x):
        first = numbers(self.width, self.outputs, self.shape)
        encoded = grid(x, self.params[first:], self.encoding)
        return through(encoded, self.params, self.width, self.outputs, self.shape)[0]


class Network(nn.Module):
    def __init__(self, n_input_dims, n_output_dims, network_config, seed=1337):
        super().__init__()
        self.sizes, self.shape = (n_input_dims, n_output_dims), network_config
        self.params = nn.Parameter(torch.zeros(numbers(*self.sizes, network_config)))

    def forward(self, x):
        return through(x, self.params, *self.sizes, self.shape)[0]


class Encoding(nn.Module):
    def __init__(self, n_input_dims, encoding_config, seed=1337, dtype=None):
        super().__init__()
        assert encoding_config == {"otype": "SphericalHarmonics", "degree": 4}
        self.params = nn.Parameter(torch.zeros(0))

    def forward(self, d):
        return spherical_harmonics(d * 2 - 1)


def traverse_grids(  # noqa: PLR0913
    rays_o, rays_d, binaries, aabbs, near_planes=None, far_planes=None, step_size=1e-3, cone_angle=0.0,
    traverse_steps_limit=None, over_allocate=False, rays_mask=None,
):  # fmt: skip
    """One grid; the middle of every step decides, and steps begin at the near plane."""
    assert len(binaries) == 1
    assert cone_angle == 0
    most = int(((far_planes - near_planes).clamp(min=0).max() / step_size).ceil()) + 1 if len(rays_o) else 0
    begin = near_planes[:, None] + torch.arange(most) * step_size  # (R, S)
    middle, side = begin + step_size / 2, binaries.shape[1]
    place = (rays_o[:, None] + rays_d[:, None] * middle[..., None] - aabbs[0, :3]) / (aabbs[0, 3:] - aabbs[0, :3])
    inside = ((place >= 0) & (place < 1)).all(-1) & (middle < far_planes[:, None])
    x, y, z = (place.clamp(0, 0.999999) * side).long().unbind(-1)
    live = inside & binaries[0, x, y, z]
    live &= live.cumsum(1) <= (traverse_steps_limit or 1 << 30)
    counts, edges = live.sum(1), torch.stack([begin[live], begin[live] + step_size], -1).flatten()
    left = torch.arange(len(edges)) % 2 == 0
    samples = SimpleNamespace(
        ray_indices=live.nonzero()[:, 0], packed_info=torch.stack([counts.cumsum(0) - counts, counts], -1)
    )
    return SimpleNamespace(vals=edges, is_left=left, is_right=~left), samples, None


def render_weight_from_density(  # noqa: PLR0913
    t_starts, t_ends, sigmas, packed_info=None, ray_indices=None, n_rays=None, prefix_trans=None
):
    tau = (sigmas * (t_ends - t_starts)).double()
    before = tau.cumsum(0) - tau
    first = packed_info[:, 0].repeat_interleave(packed_info[:, 1])
    light, alpha = torch.exp(before[first] - before).float(), -torch.expm1(-tau).float()
    return light * alpha, light, alpha


def render_visibility_from_density(t_starts, t_ends, sigmas, packed_info=None, early_stop_eps=1e-4, **_):
    return render_weight_from_density(t_starts, t_ends, sigmas, packed_info)[1] >= early_stop_eps


def accumulate_along_rays(weights, values=None, ray_indices=None, n_rays=None):
    source = weights[:, None] * (1 if values is None else values)
    return torch.zeros(n_rays, source.shape[1]).index_add(0, ray_indices, source)


MARCHING = (traverse_grids, render_weight_from_density, render_visibility_from_density, accumulate_along_rays)
NETWORKS = (NetworkWithInputEncoding, Network, Encoding)


def stand_in(monkeypatch):
    """Both libraries can be imported from here on."""
    monkeypatch.setitem(sys.modules, "nerfacc", SimpleNamespace(**{f.__name__: f for f in MARCHING}))
    monkeypatch.setitem(sys.modules, "tinycudann", SimpleNamespace(**{f.__name__: f for f in NETWORKS}))
