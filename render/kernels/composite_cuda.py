"""Composite in Triton: one program takes a few rays, and of each of them one chunk of samples after the other."""

import torch
import triton
import triton.language as tl

from render.kernels import composite as op

RAYS = 4  # of a program: one warp
CHUNK = 32  # samples of a ray that are taken at once
TAIL = 256  # entries behind the last sample that one program clears


@triton.jit
def alpha(tau):
    """1 - exp(-tau), also where tau is far below one; tau >= 0, infinity too."""
    small = tl.minimum(tau, 0.25)
    series = 1 - small / 2 * (1 - small / 3 * (1 - small / 4 * (1 - small / 5 * (1 - small / 6))))  # to 5e-8
    return tl.where(tau < 0.25, small * series, 1 - tl.exp(-tau))


@triton.jit
def ray_block(offsets, rays, RAYS: tl.constexpr):
    """This program's rays (RAYS,), which of them there are, and the first sample and the end of each; nothing is
    between them where there is no ray."""
    ray = tl.program_id(0) * RAYS + tl.arange(0, RAYS)
    live = ray < rays
    return ray, live, tl.load(offsets + ray, live, 0), tl.load(offsets + ray + 1, live, 0)


@triton.jit
def optical(sigma, dt, i, first, end, depth):
    """Optical thickness tau in front of samples i (RAYS, CHUNK), and of them, where `depth` (RAYS,) lies in front of
    the chunk. The sum over those before is taken of their own values: a difference would lose what little is left of
    one before an opaque sample, and there is no difference of infinities."""
    inside = i < end[:, None]
    tau = tl.load(sigma + i, inside, 0.0) * tl.load(dt + i, inside, 0.0)  # (RAYS, CHUNK)
    chunk: tl.constexpr = i.shape[1]
    behind = inside & (tl.arange(0, chunk) > 0)[None, :]
    last = tl.load(sigma + i - 1, behind, 0.0) * tl.load(dt + i - 1, behind, 0.0)
    return depth[:, None] + tl.cumsum(last, 1), tau


@triton.jit
def clear(values, offsets, rays, count, WIDTH: tl.constexpr, TAIL: tl.constexpr, first_program):
    """Zeros in values (count, WIDTH) behind the last sample, TAIL rows of this program."""
    row = (tl.program_id(0) - first_program).to(tl.int64) * TAIL + tl.arange(0, TAIL)
    spare = (row >= tl.load(offsets + rays)) & (row < count)
    for n in tl.static_range(WIDTH):
        tl.store(values + row * WIDTH + n, tl.zeros([TAIL], tl.float32), spare)


@triton.jit
def forward_kernel(
    sigma, rgb, t, dt, offsets, color, opacity, distance, weights, rays, count,
    RAYS: tl.constexpr, CHUNK: tl.constexpr, TAIL: tl.constexpr,
):  # fmt: skip
    """The first programs composite RAYS rays each, the others clear TAIL weights each, behind the last sample."""
    drawing = tl.cdiv(rays, RAYS)
    if tl.program_id(0) < drawing:
        ray, live, first, end = ray_block(offsets, rays, RAYS)
        nothing = tl.zeros([RAYS], tl.float32)
        depth, red, green, blue, solid, far = nothing, nothing, nothing, nothing, nothing, nothing
        begin, longest = tl.zeros([], tl.int64), tl.max(end - first)
        while begin < longest:
            i = first[:, None] + begin + tl.arange(0, CHUNK)[None, :]  # (RAYS, CHUNK)
            inside = i < end[:, None]
            before, tau = optical(sigma, dt, i, first, end, depth)
            w = tl.where(inside, tl.exp(-before) * alpha(tau), 0.0)
            tl.store(weights + i, w, inside)
            red += tl.sum(w * tl.load(rgb + 3 * i, inside, 0.0), 1)
            green += tl.sum(w * tl.load(rgb + 3 * i + 1, inside, 0.0), 1)
            blue += tl.sum(w * tl.load(rgb + 3 * i + 2, inside, 0.0), 1)
            far += tl.sum(w * tl.load(t + i, inside, 0.0), 1)
            solid, depth = solid + tl.sum(w, 1), depth + tl.sum(tau, 1)
            begin += CHUNK
        tl.store(color + 3 * ray, red, live)
        tl.store(color + 3 * ray + 1, green, live)
        tl.store(color + 3 * ray + 2, blue, live)
        tl.store(opacity + ray, solid, live)
        tl.store(distance + ray, far, live)
    else:
        clear(weights, offsets, rays, count, 1, TAIL, drawing)


@triton.jit
def reach_kernel(
    sigma, dt, offsets, light, rays, count, RAYS: tl.constexpr, CHUNK: tl.constexpr, TAIL: tl.constexpr
):  # fmt: skip
    """The first programs take RAYS rays each, the others clear TAIL entries each, behind the last sample."""
    walking = tl.cdiv(rays, RAYS)
    if tl.program_id(0) < walking:
        _, _, first, end = ray_block(offsets, rays, RAYS)
        depth = tl.zeros([RAYS], tl.float32)
        begin, longest = tl.zeros([], tl.int64), tl.max(end - first)
        while begin < longest:
            i = first[:, None] + begin + tl.arange(0, CHUNK)[None, :]  # (RAYS, CHUNK)
            before, tau = optical(sigma, dt, i, first, end, depth)
            tl.store(light + i, tl.exp(-before), i < end[:, None])
            depth += tl.sum(tau, 1)
            begin += CHUNK
    else:
        clear(light, offsets, rays, count, 1, TAIL, walking)


@triton.jit
def backward_kernel(
    for_color, for_opacity, for_distance, for_weights, sigma, rgb, t, dt, weights, offsets, for_tau, for_rgb,
    rays, count, RAYS: tl.constexpr, CHUNK: tl.constexpr, TAIL: tl.constexpr,
):  # fmt: skip
    """The first programs take RAYS rays each: from the front, T_{i+1} goes into `for_tau`; from the back, what lies
    behind is summed. The others clear TAIL gradients each, behind the last sample."""
    working = tl.cdiv(rays, RAYS)
    if tl.program_id(0) < working:
        ray, live, first, end = ray_block(offsets, rays, RAYS)
        longest = tl.max(end - first)
        depth = tl.zeros([RAYS], tl.float32)
        begin = tl.zeros([], tl.int64)
        while begin < longest:
            i = first[:, None] + begin + tl.arange(0, CHUNK)[None, :]  # (RAYS, CHUNK)
            before, tau = optical(sigma, dt, i, first, end, depth)
            tl.store(for_tau + i, tl.exp(-before - tau), i < end[:, None])
            depth += tl.sum(tau, 1)
            begin += CHUNK
        tl.debug_barrier()
        red, green = tl.load(for_color + 3 * ray, live, 0.0), tl.load(for_color + 3 * ray + 1, live, 0.0)
        blue, solid = tl.load(for_color + 3 * ray + 2, live, 0.0), tl.load(for_opacity + ray, live, 0.0)
        far, behind = tl.load(for_distance + ray, live, 0.0), tl.zeros([RAYS], tl.float32)
        while begin > 0:
            begin -= CHUNK
            i = first[:, None] + begin + tl.arange(0, CHUNK)[None, :]  # (RAYS, CHUNK)
            inside = i < end[:, None]
            u = red[:, None] * tl.load(rgb + 3 * i, inside, 0.0) + green[:, None] * tl.load(
                rgb + 3 * i + 1, inside, 0.0
            )
            u += blue[:, None] * tl.load(rgb + 3 * i + 2, inside, 0.0) + far[:, None] * tl.load(t + i, inside, 0.0)
            u += solid[:, None] + tl.load(for_weights + i, inside, 0.0)
            w = tl.load(weights + i, inside, 0.0)
            share = tl.where(inside, w * u, 0.0)
            rest = behind[:, None] + tl.cumsum(share, 1, reverse=True) - share
            tl.store(for_tau + i, u * tl.load(for_tau + i, inside, 0.0) - rest, inside)
            tl.store(for_rgb + 3 * i, w * red[:, None], inside)
            tl.store(for_rgb + 3 * i + 1, w * green[:, None], inside)
            tl.store(for_rgb + 3 * i + 2, w * blue[:, None], inside)
            behind += tl.sum(share, 1)
    else:
        clear(for_tau, offsets, rays, count, 1, TAIL, working)
        clear(for_rgb, offsets, rays, count, 3, TAIL, working)


def programs(rays: int, count: int) -> tuple[int]:
    """Grid of all kernels here: rays, and what may lie behind the last sample."""
    return (triton.cdiv(rays, RAYS) + triton.cdiv(count, TAIL),)


@op.composite.register_kernel("cuda")
def forward(sigma, rgb, t, dt, offsets):
    """See `composite`; samples behind offsets[R], in a buffer larger than that, get weight 0."""
    if sigma.dtype == torch.float64:
        return op.reference(sigma, rgb, t, dt, offsets)
    rays, count = len(offsets) - 1, len(sigma)
    color, weights = sigma.new_empty(rays, 3), sigma.new_empty(count)
    opacity, distance = sigma.new_empty(rays), sigma.new_empty(rays)
    inputs = [v.contiguous() for v in (sigma, rgb, t, dt, offsets)]
    outputs = (color, opacity, distance, weights)
    forward_kernel[programs(rays, count)](*inputs, *outputs, rays, count, RAYS, CHUNK, TAIL, num_warps=1)
    return outputs


@op.composite_grad.register_kernel("cuda")
def backward(for_color, for_opacity, for_distance, for_weights, sigma, rgb, t, dt, weights, offsets):
    """See `composite_grad`; samples behind offsets[R] get gradients of 0."""
    given = (for_color, for_opacity, for_distance, for_weights, sigma, rgb, t, dt, weights, offsets)
    if sigma.dtype == torch.float64:
        return op.grad_reference(*given)
    rays, count = len(offsets) - 1, len(sigma)
    for_tau, for_rgb = sigma.new_empty(count), sigma.new_empty(count, 3)
    inputs = [v.contiguous() for v in given]
    backward_kernel[programs(rays, count)](*inputs, for_tau, for_rgb, rays, count, RAYS, CHUNK, TAIL, num_warps=1)
    return for_tau, for_rgb


@op.reach.register_kernel("cuda")
def reach(sigma, dt, offsets):
    """See `reach`; samples behind offsets[R] get 0."""
    if sigma.dtype == torch.float64:
        return op.transmittance(sigma * dt, offsets)
    rays, count = len(offsets) - 1, len(sigma)
    light = sigma.new_empty(count)
    inputs = [v.contiguous() for v in (sigma, dt, offsets)]
    reach_kernel[programs(rays, count)](*inputs, light, rays, count, RAYS, CHUNK, TAIL, num_warps=1)
    return light
