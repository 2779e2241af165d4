"""Tiles of points on the CPU: products of matrices whose sums stay in registers, float32.

A tile is TILE points, row by row. Its columns and both sides of every matrix are rounded up to `wide`, with zeros, so
that no product has a remainder. A matrix of a layer lies as (inputs, outputs). Each function below says in Python what
it does, which is what runs with NUMBA_DISABLE_JIT=1; compiled, a block of rows and columns of the result is held in
registers while the inner dimension goes by: 6 x 16 numbers where vectors have eight lanes, 8 x 32 where they have
sixteen. One thread then reaches 128 of 131 GFLOP/s with AVX2, 250 with AVX-512 (EPYC Zen 5, 96 x 64 times 64 x 64).
"""

from collections.abc import Callable

import llvmlite.binding
import numpy as np
from llvmlite import ir
from numba import config, njit, types
from numba.core import cgutils
from numba.extending import intrinsic, overload

from fields.kernels.options_cpu import INNER

TILE = 96  # points: a multiple of the rows of every block below


def features() -> str:
    """What the processor can do that Numba compiles for, as LLVM names it."""
    if config.CPU_FEATURES is not None:  # pyright: ignore[reportAttributeAccessIssue]
        return config.CPU_FEATURES  # pyright: ignore[reportAttributeAccessIssue]
    return ",".join(f"+{name}" for name, there in llvmlite.binding.get_host_cpu_features().items() if there)


LANES = 16 if "+avx512f" in features() else 8  # columns are rounded up to it
COLUMNS = 2 * LANES  # of a block; what is left of the columns is one vector wide
ROWS, NARROW_ROWS = (8, 12) if LANES == 16 else (6, 12)  # of a block of two vectors, and of one
INPUTS, NARROW_INPUTS = (8, 16) if LANES == 16 else (4, 8)  # rows of a block of a matrix's gradient


def wide(count: int) -> int:
    """Columns that so many numbers take."""
    return -(-count // LANES) * LANES


def packed(weight: np.ndarray, lead: int = 0) -> np.ndarray:
    """A layer's matrix (outputs, inputs), or its bias (outputs,), as products read it: (inputs, outputs), or
    (outputs,), rounded up. The first `lead` inputs of the tile are not looked at."""
    if weight.ndim == 1:
        return np.pad(weight, (0, wide(len(weight)) - len(weight)))
    outputs, inputs = weight.shape
    room = np.zeros((wide(lead + inputs), wide(outputs)), np.float32)
    room[lead : lead + inputs, :outputs] = weight.T
    return room


def unpacked(room: np.ndarray, shape: tuple[int, ...], lead: int = 0) -> np.ndarray:
    """Inverse of `packed`: a layer's gradient in the shape of its matrix or bias."""
    if len(shape) == 1:
        return room[: shape[0]].copy()
    return np.ascontiguousarray(room[lead : lead + shape[1], : shape[0]].T)


class Block:
    """LLVM code of one block: c[r, :] = sum over k of a[r, k] b[k, :], for `rows` rows and `vectors` vectors."""

    def __init__(self, rows: int, vectors: int, start: str, end: str, *, turned: bool) -> None:
        """start: zero, or add to what is there. end: store; relu; or masked, zero where the mask is not above zero.
        turned: a is read as a[k, r]."""
        self.rows, self.vectors, self.start, self.end, self.turned = rows, vectors, start, end, turned
        self.kind = ir.VectorType(ir.FloatType(), LANES)

    def intrinsic(self):
        """A function for Numba: (a, row of a, b, column of b, c, row of c, column of c, inner size, mask)."""

        @intrinsic
        def block(typing, a, row, b, column, c, down, right, inner, mask):
            signature = types.void(a, types.intp, b, types.intp, c, types.intp, types.intp, types.intp, mask)
            return signature, self.emit

        return block

    def emit(self, context, builder, signature, args):
        """Code of the whole block."""
        arrays = [context.make_array(signature.args[n])(context, builder, args[n]) for n in (0, 2, 4, 8)]
        strides = [cgutils.unpack_tuple(builder, array.shape)[1] for array in arrays]
        (a, b, c, mask), one = [array.data for array in arrays], ir.Constant(ir.IntType(64), 1)
        row, column, down, right, inner = args[1], args[3], args[5], args[6], args[7]
        a = builder.gep(a, [row if self.turned else builder.mul(row, strides[0])])
        across, along = (one, strides[0]) if self.turned else (strides[0], one)
        place = builder.add(builder.mul(down, strides[2]), right)
        out, over = builder.gep(c, [place]), builder.gep(mask, [place])
        places = [[self.place(builder, out, strides[2], r, v) for v in range(self.vectors)] for r in range(self.rows)]
        masks = [[self.place(builder, over, strides[2], r, v) for v in range(self.vectors)] for r in range(self.rows)]
        sums = self.begun(builder, places)
        lines = [builder.gep(a, [builder.mul(across, ir.Constant(across.type, r))]) for r in range(self.rows)]
        with cgutils.for_range(builder, inner, intp=inner.type) as loop:
            first = builder.gep(b, [builder.add(builder.mul(loop.index, strides[1]), column)])
            step = builder.mul(loop.index, along)
            self.advance(builder, sums, [builder.gep(line, [step]) for line in lines], first)
        for r, line in enumerate(sums):
            for v, total in enumerate(line):
                value = self.ended(builder, builder.load(total), masks[r][v])
                builder.store(value, places[r][v], align=4)
        return context.get_dummy_value()

    def place(self, builder, base, stride, row: int, vector: int):
        """Pointer to a vector of a block."""
        index, kind = ir.Constant(stride.type, vector * LANES), stride.type
        at = builder.gep(base, [builder.add(builder.mul(stride, ir.Constant(kind, row)), index)])
        return builder.bitcast(at, self.kind.as_pointer())

    def begun(self, builder, places):
        """The sums, one variable for each vector, which the compiler keeps in registers."""
        zero = ir.Constant(self.kind, [0.0] * LANES)
        sums = [[cgutils.alloca_once(builder, self.kind) for _ in line] for line in places]
        for r, line in enumerate(sums):
            for v, total in enumerate(line):
                value = builder.load(places[r][v], align=4) if self.start == "add" else zero
                builder.store(value, total)
        return sums

    def advance(self, builder, sums, numbers, first):
        """One step along the inner dimension: a number of each row times a vector of b."""
        index, empty = ir.IntType(32), ir.Constant(self.kind, ir.Undefined)
        spread = ir.Constant(ir.VectorType(index, LANES), [0] * LANES)
        steps = [builder.gep(first, [ir.Constant(index, v * LANES)]) for v in range(self.vectors)]
        others = [builder.load(builder.bitcast(step, self.kind.as_pointer()), align=4) for step in steps]
        for line, number in zip(sums, numbers, strict=True):
            one = builder.insert_element(empty, builder.load(number, align=4), ir.Constant(index, 0))
            all_lanes = builder.shuffle_vector(one, empty, spread)
            for total, other in zip(line, others, strict=True):
                part = builder.fmul(all_lanes, other, flags=("contract",))
                builder.store(builder.fadd(builder.load(total), part, flags=("contract",)), total)

    def ended(self, builder, value, mask):
        """What is written of a sum; not-a-numbers pass."""
        zero = ir.Constant(self.kind, [0.0] * LANES)
        if self.end == "relu":
            return builder.select(builder.fcmp_ordered("<=", value, zero), zero, value)
        if self.end == "masked":
            return builder.select(builder.fcmp_ordered("<=", builder.load(mask, align=4), zero), zero, value)
        return value


def called(name: str, function: Callable) -> Callable:
    """The function under a name of its own. Numba knows compiled ones by their name, their arguments' types and a
    number that differs from process to process: of two that share a name, what one process has kept would run in the
    place of the other in the next one."""
    function.__qualname__ = name
    return function


def made(start: str, end: str):
    """A product of a tile and a matrix, compiled: (x, w, out, mask)."""
    both = Block(ROWS, 2, start, end, turned=False).intrinsic()
    single = Block(NARROW_ROWS, 1, start, end, turned=False).intrinsic()

    def run(x, w, out, mask):
        inner, columns = w.shape
        whole = columns // COLUMNS * COLUMNS
        for column in range(0, whole, COLUMNS):
            for row in range(0, TILE, ROWS):
                both(x, row, w, column, out, row, column, inner, mask)
        for column in range(whole, columns, LANES):
            for row in range(0, TILE, NARROW_ROWS):
                single(x, row, w, column, out, row, column, inner, mask)

    return njit(**INNER)(called(f"{start}_{end}", run))


def made_outer():
    """A matrix's gradient, compiled: (x, push, sums)."""
    both = Block(INPUTS, 2, "add", "store", turned=True).intrinsic()
    single = Block(NARROW_INPUTS, 1, "add", "store", turned=True).intrinsic()

    def run(x, push, sums):
        inputs, columns = sums.shape
        whole = columns // COLUMNS * COLUMNS
        for column in range(0, whole, COLUMNS):
            for row in range(0, inputs, INPUTS):
                both(x, row, push, column, sums, row, column, TILE, sums)
        for column in range(whole, columns, LANES):
            for row in range(0, inputs, NARROW_INPUTS):
                single(x, row, push, column, sums, row, column, TILE, sums)

    return njit(**INNER)(called("outer", run))


def product(x, w, out):
    """out (TILE, outputs) = x (TILE, inputs or more) times w (inputs, outputs)."""
    out[:, : w.shape[1]] = x[:, : w.shape[0]] @ w


def product_relu(x, w, out):
    """The same, and zero where that is below zero."""
    out[:, : w.shape[1]] = np.maximum(x[:, : w.shape[0]] @ w, 0)


def product_masked(x, w, out, mask):
    """The same, and zero where mask (TILE, columns of out) is not above zero: what a ReLU lets through backward."""
    out[:, : w.shape[1]] = np.where(mask[:, : w.shape[1]] <= 0, 0, x[:, : w.shape[0]] @ w)


def add_product(x, w, out):
    """out (TILE, outputs) += x w."""
    out[:, : w.shape[1]] += x[:, : w.shape[0]] @ w


def add_product_relu(x, w, out):
    """out (TILE, outputs) = max(out + x w, 0)."""
    out[:, : w.shape[1]] = np.maximum(out[:, : w.shape[1]] + x[:, : w.shape[0]] @ w, 0)


def add_outer(x, push, sums):
    """sums (inputs, outputs) += x^T push, for x (TILE, inputs or more) and push (TILE, outputs or more): the gradient
    of the matrix that took x to what push is the gradient of."""
    sums += x[:, : sums.shape[0]].T @ push[:, : sums.shape[1]]


plain, relu, masked = made("zero", "store"), made("zero", "relu"), made("zero", "masked")
added, added_relu, outer = made("add", "store"), made("add", "relu"), made_outer()

# Numba asks these for what it puts in the place of a call.
overload(product)(lambda x, w, out: called("product", lambda x, w, out: plain(x, w, out, out)))
overload(product_relu)(lambda x, w, out: called("product_relu", lambda x, w, out: relu(x, w, out, out)))
overload(product_masked)(
    lambda x, w, out, mask: called("product_masked", lambda x, w, out, mask: masked(x, w, out, mask))
)
overload(add_product)(lambda x, w, out: called("add_product", lambda x, w, out: added(x, w, out, out)))
overload(add_product_relu)(lambda x, w, out: called("add_product_relu", lambda x, w, out: added_relu(x, w, out, out)))
overload(add_outer)(lambda x, push, sums: called("add_outer", lambda x, push, sums: outer(x, push, sums)))


@njit(**INNER)
def exponential(x):
    """exp of float32 within 2 units in the last place, infinity beyond; loops over it take as many as fill a register,
    which those over math.exp do not."""
    x = np.float32(-104) if x < np.float32(-104) else x
    x = np.float32(89) if x > np.float32(89) else x
    whole = np.floor(x * np.float32(1.4426950408889634) + np.float32(0.5))
    r = x - whole * np.float32(0.693359375) + whole * np.float32(2.12194440e-4)
    total = np.float32(1 / 5040)
    for inverse in (1 / 720, 1 / 120, 1 / 24, 1 / 6, 1 / 2, 1.0, 1.0):
        total = total * r + np.float32(inverse)
    half = np.int32(whole) >> np.int32(1)  # in two factors: 2^129 and 2^-150 are none of float32
    rest = np.int32(whole) - half
    low = np.int32((half + np.int32(127)) << np.int32(23)).view(np.float32)
    return total * low * np.int32((rest + np.int32(127)) << np.int32(23)).view(np.float32)


@njit(**INNER)
def sigmoid(x):
    """1 / (1 + exp(-x)) of float32."""
    return np.float32(1) / (np.float32(1) + exponential(-x))


@njit(**INNER)
def sine(turns):
    """sin(2 pi turns) of float32, within 1.5e-7: whole half turns off, which is exact, then Taylor's series."""
    whole = np.floor(np.float32(2) * turns + np.float32(0.5))
    r = np.float32(2 * np.pi) * (turns - np.float32(0.5) * whole)
    odd = whole - np.float32(2) * np.floor(np.float32(0.5) * whole)
    s = r * r
    total = np.float32(1 / 6227020800)
    for inverse in (-1 / 39916800, 1 / 362880, -1 / 5040, 1 / 120, -1 / 6, 1.0):
        total = total * s + np.float32(inverse)
    return (np.float32(1) - np.float32(2) * odd) * r * total
