"""Rotations as unit quaternions (w, x, y, z), float64: turned evenly (slerp) and along smooth curves."""

import torch
from torch import Tensor


def from_matrices(matrices: Tensor) -> Tensor:
    """Quaternions (N, 4) of rotations (N, 3, 3), each in the hemisphere of the one before it."""
    m = matrices.double()
    trace = m.diagonal(dim1=-2, dim2=-1).sum(-1)
    # each row is 4 q_k q: of the four, the one with the longest q_k loses no digits
    rows = torch.stack(
        [
            torch.stack([1 + trace, *skew(m).unbind(-1)], -1),
            *(torch.stack([skew(m)[:, k], *symmetric(m, k, trace)], -1) for k in range(3)),
        ],
        1,
    )
    best = rows.diagonal(dim1=-2, dim2=-1).argmax(-1)
    q = torch.nn.functional.normalize(rows[torch.arange(len(m)), best], dim=-1)
    flips = ((q[1:] * q[:-1]).sum(-1) < 0).cumsum(0) % 2
    q[1:] *= (1 - 2 * flips)[:, None]
    return q


def skew(m: Tensor) -> Tensor:
    """Axis part (N, 3) of m - m^T, for m (N, 3, 3)."""
    return torch.stack([m[:, 2, 1] - m[:, 1, 2], m[:, 0, 2] - m[:, 2, 0], m[:, 1, 0] - m[:, 0, 1]], -1)


def symmetric(m: Tensor, k: int, trace: Tensor) -> list[Tensor]:
    """Three values (N,): row k of m + m^T, its diagonal entry 1 + 2 m_kk - trace."""
    return [1 + 2 * m[:, k, k] - trace if j == k else m[:, k, j] + m[:, j, k] for j in range(3)]


def to_matrices(q: Tensor) -> Tensor:
    """Rotations (N, 3, 3) of quaternions (N, 4) of any length but 0."""
    w, x, y, z = torch.nn.functional.normalize(q.double(), dim=-1).unbind(-1)
    entries = [
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    ]  # fmt: skip
    return torch.stack(entries, -1).reshape(-1, 3, 3)


def product(a: Tensor, b: Tensor) -> Tensor:
    """Hamilton product (N, 4): the rotation that does b, then a."""
    w = a[:, :1] * b[:, :1] - (a[:, 1:] * b[:, 1:]).sum(-1, keepdim=True)
    v = a[:, :1] * b[:, 1:] + b[:, :1] * a[:, 1:] + torch.linalg.cross(a[:, 1:], b[:, 1:])
    return torch.cat([w, v], -1)


def conjugate(q: Tensor) -> Tensor:
    """The inverse rotation of unit quaternions (N, 4)."""
    return q * torch.tensor([1.0, -1.0, -1.0, -1.0], dtype=q.dtype)


def exponential(v: Tensor) -> Tensor:
    """Unit quaternions (N, 4) of rotation vectors (N, 3) in radians."""
    half = v.norm(dim=-1, keepdim=True) / 2
    return torch.cat([half.cos(), v / 2 * torch.sinc(half / torch.pi)], -1)


def logarithm(q: Tensor) -> Tensor:
    """Rotation vectors (N, 3) of unit quaternions (N, 4), of at most pi radians."""
    q = torch.where(q[:, :1] < 0, -q, q)
    sine = q[:, 1:].norm(dim=-1, keepdim=True)
    angle = 2 * torch.atan2(sine, q[:, :1])
    return q[:, 1:] * torch.where(sine > 1e-12, angle / sine.clamp(min=1e-12), 2.0)


def slerp(a: Tensor, b: Tensor, u: Tensor) -> Tensor:
    """Even turn (N, 4) by the short way from a at u = 0 to b at u = 1, all (N, 4) and (N,) (Shoemake 1985)."""
    return product(a, exponential(u[:, None] * logarithm(product(conjugate(a), b))))


def velocities(q: Tensor, times: Tensor) -> Tensor:
    """Turning speed (K, 3) at each of K rotations, radians per second in the turned frame, from its neighbours."""
    step = (times[1:] - times[:-1])[:, None]
    speed = logarithm(product(conjugate(q[:-1]), q[1:])) / step
    inner = (speed[:-1] * step[1:] + speed[1:] * step[:-1]) / (step[1:] + step[:-1])
    return torch.cat([speed[:1], inner, speed[-1:]])


def curve(q: Tensor, times: Tensor, index: Tensor, u: Tensor) -> Tensor:
    """Rotations (N, 4) at share u (N,) of the segments `index` (N,) between K rotations at ascending times (K,).

    A cubic Bezier curve by repeated slerp: meets the K rotations, turns without a jerk, and with two is slerp.
    """
    third = ((times[index + 1] - times[index]) / 3)[:, None]
    speed = velocities(q, times)
    a, d = q[index], q[index + 1]
    b = product(a, exponential(speed[index] * third))
    c = product(d, exponential(-speed[index + 1] * third))
    ab, bc, cd = slerp(a, b, u), slerp(b, c, u), slerp(c, d, u)
    return slerp(slerp(ab, bc, u), slerp(bc, cd, u), u)
