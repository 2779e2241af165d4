"""Device functions of the radiance head, in Triton: density, view-dependent colour, and their gradients."""

import triton
import triton.language as tl

from fields.kernels.exponential_cuda import first_slope
from fields.kernels.tiles_cuda import column, linear, linear_grad, matrix_grad


@triton.jit
def density(f, live, weights, SHAPE: tl.constexpr):
    """Features f (BLOCK, W) -> sigma (BLOCK,) per scene unit."""
    return tl.exp(column(f, 0))


@triton.jit
def density_grad(f, live, grad, weights, weight_grads, SHAPE: tl.constexpr):
    """dL/df (BLOCK, W), zero but for column 0, from dL/dsigma (BLOCK,)."""
    return first_slope(f, grad)


@triton.jit
def waves(x, y, z):
    """Real orthonormal spherical harmonics of degrees 0 to 3 of unit directions (BLOCK,): sixteen blocks (BLOCK,)."""
    xx, yy, zz = x * x, y * y, z * z  # (BLOCK,)
    return (
        0.28209479177387814 + 0.0 * x,
        -0.4886025119029199 * y,
        0.4886025119029199 * z,
        -0.4886025119029199 * x,
        1.0925484305920792 * x * y,
        -1.0925484305920792 * y * z,
        0.9461746957575601 * zz - 0.31539156525252005,
        -1.0925484305920792 * x * z,
        0.5462742152960396 * (xx - yy),
        0.5900435899266435 * y * (yy - 3 * xx),
        2.890611442640554 * x * y * z,
        0.4570457994644658 * y * (1 - 5 * zz),
        0.3731763325901154 * z * (5 * zz - 3),
        0.4570457994644658 * x * (1 - 5 * zz),
        1.445305721320277 * z * (xx - yy),
        0.5900435899266435 * x * (3 * yy - xx),
    )


@triton.jit
def harmonics(x, y, z):
    """The same as a tile (BLOCK, 16) float32."""
    place, terms = tl.arange(0, 16)[None, :], waves(x, y, z)
    tile = tl.zeros([x.shape[0], 16], tl.float32)
    for n in tl.static_range(16):
        tile = tl.where(place == n, terms[n][:, None], tile)
    return tile


@triton.jit
def layers(f, directions, weights, SHAPE: tl.constexpr):
    """f (BLOCK, wide(F)), harmonics (BLOCK, 16) -> what the second and the third layer read (BLOCK, wide(WIDTH)), and
    the colour before its sigmoid (BLOCK, 16). SHAPE is (F, WIDTH). The first feature, log-density, is not looked at."""
    F: tl.constexpr = SHAPE[0]
    WIDTH: tl.constexpr = SHAPE[1]
    first = linear(f, weights[0] - 1, WIDTH, F, F + 15, 1) + linear(directions, weights[0] + F - 1, WIDTH, 16, F + 15)
    first = tl.maximum(first, 0.0).to(weights[1].dtype.element_ty)  # in half the registers where that is half
    second = tl.maximum(linear(first, weights[1], WIDTH, WIDTH, WIDTH), 0.0).to(first.dtype)
    return first, second, linear(second, weights[2], 3, WIDTH, WIDTH)


@triton.jit
def seen(f):
    """f without the first feature: as a half it may overflow, and infinity times a weight of zero is no zero."""
    return tl.where((tl.arange(0, f.shape[1]) > 0)[None, :], f, 0.0)


@triton.jit
def color(f, dx, dy, dz, live, weights, SHAPE: tl.constexpr):
    """Features f (BLOCK, W), unit directions (BLOCK,) each -> red, green, blue (BLOCK,) each in [0, 1]."""
    _, _, out = layers(seen(f), harmonics(dx, dy, dz), weights, SHAPE)
    out = tl.sigmoid(out)
    return column(out, 0), column(out, 1), column(out, 2)


@triton.jit
def color_grad(f, dx, dy, dz, live, red, green, blue, weights, weight_grads, SHAPE: tl.constexpr):
    """dL/df (BLOCK, W), column 0 zero, from dL/drgb (BLOCK,) each, zeros where not live; adds to the weights' gradients
    in `weight_grads`, this program's own. Activations are computed again."""
    F: tl.constexpr = SHAPE[0]
    WIDTH: tl.constexpr = SHAPE[1]
    place = tl.arange(0, 16)[None, :]
    directions = harmonics(dx, dy, dz)  # (BLOCK, 16)
    f = seen(f)
    first, second, out = layers(f, directions, weights, SHAPE)
    out = tl.sigmoid(out)
    push = tl.where(place == 0, red[:, None], tl.where(place == 1, green[:, None], blue[:, None]))
    push = tl.where(place < 3, push * out * (1 - out), 0.0)  # (BLOCK, 16)
    push = linear_grad(second, push, weights[2], weight_grads[2], 3, WIDTH, WIDTH)
    push = tl.where(second > 0, push, 0.0)  # (BLOCK, wide(WIDTH))
    push = linear_grad(first, push, weights[1], weight_grads[1], WIDTH, WIDTH, WIDTH)
    push = tl.where(first > 0, push, 0.0)
    matrix_grad(directions, push, weight_grads[0] + F - 1, weights[0].dtype.element_ty, WIDTH, 16, F + 15)
    return seen(linear_grad(f, push, weights[0] - 1, weight_grads[0] - 1, WIDTH, F, F + 15, 1))
