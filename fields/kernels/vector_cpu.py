"""Neighbouring numbers of a row, mostly eight, as one value of Numba's, for the inner loops of CPU kernels.

Numba leaves such loops scalar: the compiler must suppose that the array being written is the one being read, and the
pass that would join unrolled statements is off. Each function below says in Python what it does, which is what runs
with NUMBA_DISABLE_JIT=1; compiled, it is one or two vector instructions.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, overload, register_model

LANES = 8


class Vector(types.Type):
    """Numba's name for so many numbers of one type."""

    def __init__(self, scalar: types.Float, lanes: int = LANES) -> None:
        self.scalar, self.lanes = scalar, lanes
        super().__init__(f"Vector({scalar}, {lanes})")


@register_model(Vector)
class VectorModel(models.PrimitiveModel):
    """A vector lies in a register as LLVM's own vector type."""

    def __init__(self, manager, kind: Vector) -> None:
        super().__init__(manager, kind, ir.VectorType(manager.lookup(kind.scalar).get_value_type(), kind.lanes))


def load(array, row, column):
    """array[row, column : column + 8]. Row and column are unsigned and not checked."""
    return array[row, column : column + LANES].copy()


def load_some(array, row, column, lanes):
    """array[row, column : column + n] for a tuple of n numbers, whose length the compiler knows."""
    return array[row, column : column + len(lanes)].copy()


def store(array, row, column, v):
    """array[row, column : column + n] = v of n numbers."""
    array[row, column : column + len(v)] = v


def scaled(vector, number):
    """Vector times number."""
    return vector * vector.dtype.type(number)


def plus_scaled(total, vector, number):
    """Total plus vector times number, rounded once."""
    return total + vector * vector.dtype.type(number)


def product(one, other):
    """Lane by lane."""
    return one * other


def minus(one, other):
    """Lane by lane."""
    return one - other


def plus_product(total, one, other):
    """Total plus one times other, lane by lane, rounded once."""
    return total + one * other


def repeated(number, vector):
    """The number in every lane of such a vector."""
    return np.full_like(vector, number)


def start_of(context, builder, kind, array, place, lanes):
    """Pointer to the vector at `place` = (row, column) of a contiguous array."""
    view = context.make_array(kind)(context, builder, array)
    stride = cgutils.unpack_tuple(builder, view.shape)[1]
    first = builder.gep(view.data, [builder.add(builder.mul(place[0], stride), place[1])])
    return builder.bitcast(first, ir.VectorType(context.get_value_type(kind.dtype), lanes).as_pointer())


def spread(builder, number, kind):
    """The number in every lane of a vector type."""
    empty, index = ir.Constant(kind, ir.Undefined), ir.IntType(32)
    first = builder.insert_element(empty, number, ir.Constant(index, 0))
    return builder.shuffle_vector(first, empty, ir.Constant(ir.VectorType(index, kind.count), [0] * kind.count))


def reading(array, lanes, *more):
    """Type and code of a load."""

    def emit(context, builder, signature, args):
        kind = signature.args[0]
        place = start_of(context, builder, kind, args[0], args[1:3], lanes)
        return builder.load(place, align=kind.dtype.bitwidth // 8)

    return Vector(array.dtype, lanes)(array, types.uintp, types.uintp, *more), emit


@intrinsic
def _load(typing, array, row, column):
    return reading(array, LANES)


@intrinsic
def _load_some(typing, array, row, column, lanes):
    return reading(array, len(lanes), lanes)


@intrinsic
def _store(typing, array, row, column, vector):
    def emit(context, builder, signature, args):
        kind = signature.args[0]
        place = start_of(context, builder, kind, args[0], args[1:3], signature.args[3].lanes)
        builder.store(args[3], place, align=kind.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, types.uintp, types.uintp, vector), emit


@intrinsic
def _scaled(typing, vector, number):
    def emit(context, builder, signature, args):
        return builder.fmul(args[0], spread(builder, args[1], args[0].type))

    return vector(vector, vector.scalar), emit


@intrinsic
def _plus_scaled(typing, total, vector, number):
    def emit(context, builder, signature, args):
        part = builder.fmul(args[1], spread(builder, args[2], args[0].type), flags=("contract",))
        return builder.fadd(args[0], part, flags=("contract",))

    return vector(total, vector, vector.scalar), emit


@intrinsic
def _product(typing, one, other):
    def emit(context, builder, signature, args):
        return builder.fmul(*args)

    return one(one, other), emit


@intrinsic
def _minus(typing, one, other):
    def emit(context, builder, signature, args):
        return builder.fsub(*args)

    return one(one, other), emit


@intrinsic
def _plus_product(typing, total, one, other):
    def emit(context, builder, signature, args):
        part = builder.fmul(args[1], args[2], flags=("contract",))
        return builder.fadd(args[0], part, flags=("contract",))

    return total(total, one, other), emit


@intrinsic
def _repeated(typing, number, vector):
    def emit(context, builder, signature, args):
        return spread(builder, args[0], args[1].type)

    return vector(vector.scalar, vector), emit


# Numba asks these for what it puts in the place of a call.
overload(load)(lambda array, row, column: lambda array, row, column: _load(array, row, column))
overload(load_some)(
    lambda array, row, column, lanes: lambda array, row, column, lanes: _load_some(array, row, column, lanes)
)
overload(store)(lambda array, row, column, v: lambda array, row, column, v: _store(array, row, column, v))
overload(scaled)(lambda vector, number: lambda vector, number: _scaled(vector, number))
overload(plus_scaled)(lambda total, vector, number: lambda total, vector, number: _plus_scaled(total, vector, number))
overload(product)(lambda one, other: lambda one, other: _product(one, other))


# These have names of their own: of two with arguments of the same types Numba keeps one, see tiles_cpu.called.
@overload(minus)
def _overloaded_minus(one, other):
    return lambda one, other: _minus(one, other)


@overload(plus_product)
def _overloaded_plus_product(total, one, other):
    return lambda total, one, other: _plus_product(total, one, other)


@overload(repeated)
def _overloaded_repeated(number, vector):
    return lambda number, vector: _repeated(number, vector)
