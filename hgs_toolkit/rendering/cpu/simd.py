"""Eight float32 lanes as a Numba type, so that kernels state their instructions.

LLVM turns one value into an AVX register, two SSE or two NEON ones. Operators take vectors and float32 scalars, in
any order. Multiply-adds are written as such (:func:`fma`), and no fast-math flag lets the compiler reorder anything:
two kernels that compute the same expression get the same bits, which the backward pass relies on.
"""
# ruff: noqa: ARG001, ARG005 -- Numba decides the arguments of typing and lowering functions

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import extending, types
from numba.core import cgutils
from numba.core.typing.templates import ConcreteTemplate, infer_global, signature
from numba.extending import models, register_model

# Numba annotates these by the compiler's arguments, which are not what a caller of the decorated function passes.
intrinsic: Any = extending.intrinsic
lower_builtin: Any = extending.lower_builtin

LANES = 8

EXP2_TABLE = (
    12582912.0,
    0.0013264727247292822, 0.009671512688217056, 0.05550733743574332,
    0.24022242084634104, 0.6931469775987168, 1.0,
)  # fmt: skip
"""Numbers of :func:`exp2`: 1.5 * 2^23, whose sum with a value ends in the value's nearest whole number, then the
minimax polynomial of 2^f on [-1/2, 1/2] with f(0) = 1, highest power first; relative error 9.1e-8 (Lawson's
iteratively reweighted least squares)."""

_FLOATS = ir.VectorType(ir.FloatType(), LANES)
_INTEGERS = ir.VectorType(ir.IntType(32), LANES)
_BITS = ir.VectorType(ir.IntType(1), LANES)
_UNALIGNED = 4


class Float8(types.Type):
    """Eight float32 values."""

    def __init__(self) -> None:
        super().__init__("float8")


class Mask8(types.Type):
    """Eight truth values."""

    def __init__(self) -> None:
        super().__init__("mask8")


float8, mask8 = Float8(), Mask8()


@register_model(Float8)
class _Float8Model(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Float8) -> None:
        super().__init__(manager, kind, _FLOATS)


@register_model(Mask8)
class _Mask8Model(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Mask8) -> None:
        super().__init__(manager, kind, _BITS)


def broadcast(builder: Any, kind: types.Type, value: Any) -> Any:
    """``value`` as a vector of float32 or float64 lanes: itself, or a scalar copied to all lanes."""
    if not isinstance(kind, types.Number):
        return value
    if isinstance(kind, types.Integer):
        value = builder.sitofp(value, ir.DoubleType())
    undefined = ir.Constant(ir.VectorType(value.type, LANES), ir.Undefined)
    first = builder.insert_element(undefined, value, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(first, undefined, ir.Constant(_INTEGERS, None))


def define_operator(
    symbol: Callable[..., Any],
    result: types.Type,
    emit: Callable[[Any, Any, Any], Any],
    vector: types.Type = float8,
    scalars: tuple[types.Type, ...] = (types.float32,),
) -> None:
    """Give ``symbol`` a meaning for two vectors, or a vector and one of ``scalars`` on either side."""
    pairs = ((vector, vector), *((vector, kind) for kind in scalars), *((kind, vector) for kind in scalars))

    @infer_global(symbol)
    class _Template(ConcreteTemplate):
        cases = [signature(result, *pair) for pair in pairs]  # noqa: RUF012

    for pair in pairs:

        @lower_builtin(symbol, *pair)
        def _lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            left, right = (broadcast(builder, kind, value) for kind, value in zip(sig.args, args, strict=True))
            return emit(builder, left, right)


def arithmetic(method: str) -> Callable[[Any, Any, Any], Any]:
    """What emits the builder's ``method`` of two values."""
    return lambda builder, a, b: getattr(builder, method)(a, b)


def comparison(sign: str) -> Callable[[Any, Any, Any], Any]:
    """What emits a comparison of two vectors, false where one is NaN."""
    return lambda builder, a, b: builder.fcmp_ordered(sign, a, b)


define_operator(operator.add, float8, arithmetic("fadd"))
define_operator(operator.sub, float8, arithmetic("fsub"))
define_operator(operator.mul, float8, arithmetic("fmul"))
define_operator(operator.truediv, float8, arithmetic("fdiv"))
define_operator(operator.gt, mask8, comparison(">"))
define_operator(operator.ge, mask8, comparison(">="))
define_operator(operator.lt, mask8, comparison("<"))
define_operator(operator.le, mask8, comparison("<="))


@infer_global(operator.and_)
class _AndTemplate(ConcreteTemplate):
    cases = [signature(mask8, mask8, mask8)]  # noqa: RUF012


@lower_builtin(operator.and_, mask8, mask8)
def _lower_and(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    return builder.and_(*args)


def _is_vector(*kinds: types.Type) -> bool:
    return all(kind in (float8, types.float32) for kind in kinds)


@intrinsic
def splat(typingctx: Any, value: Any) -> Any:
    """A float32 copied to all lanes."""
    return float8(types.float32), lambda context, builder, sig, args: broadcast(builder, types.float32, args[0])


@intrinsic
def load(typingctx: Any, array: Any, index: Any) -> Any:
    """Lanes ``array[index : index + 8]`` of a contiguous 1-D float32 array; not bounds-checked."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.load(_pointer(context, builder, sig, args), align=_UNALIGNED)

    return float8(array, types.intp), emit


@intrinsic
def store(typingctx: Any, array: Any, index: Any, value: Any) -> Any:
    """Write the lanes to ``array[index : index + 8]``; not bounds-checked."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        builder.store(args[2], _pointer(context, builder, sig, args), align=_UNALIGNED)
        return context.get_dummy_value()

    return types.void(array, types.intp, float8), emit


@intrinsic
def peek(typingctx: Any, array: Any, index: Any) -> Any:
    """The flat element ``index`` of a contiguous array; neither bounds-checked nor counted from the end."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.load(builder.gep(context.make_array(sig.args[0])(context, builder, args[0]).data, [args[1]]))

    return array.dtype(array, types.intp), emit


@intrinsic
def poke(typingctx: Any, array: Any, index: Any, value: Any) -> Any:
    """Write the flat element ``index`` of a contiguous array, as :func:`peek` reads it."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        data = context.make_array(sig.args[0])(context, builder, args[0]).data
        builder.store(args[2], builder.gep(data, [args[1]]))
        return context.get_dummy_value()

    return types.void(array, types.intp, array.dtype), emit


def _pointer(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    array = context.make_array(sig.args[0])(context, builder, args[0])
    return builder.bitcast(builder.gep(array.data, [args[1]]), _FLOATS.as_pointer())


@intrinsic
def prefetch(typingctx: Any, array: Any, index: Any) -> Any:
    """Ask for the cache line that holds the flat element ``index`` of a contiguous array."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        data = context.make_array(sig.args[0])(context, builder, args[0]).data
        address = builder.bitcast(builder.gep(data, [args[1]]), cgutils.voidptr_t)
        hints = [ir.Constant(ir.IntType(32), hint) for hint in (0, 3, 1)]  # to read, keep in all levels, data
        kind = ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, *(hint.type for hint in hints)])
        builder.call(builder.module.declare_intrinsic("llvm.prefetch", [cgutils.voidptr_t], kind), [address, *hints])
        return context.get_dummy_value()

    return types.void(array, types.intp), emit


@intrinsic
def fma(typingctx: Any, a: Any, b: Any, c: Any) -> Any:
    """a * b + c, rounded once where the processor can."""
    if not _is_vector(a, b, c):
        return None

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _fma(builder, *(broadcast(builder, kind, value) for kind, value in zip(sig.args, args, strict=True)))

    return float8(a, b, c), emit


def _fma(builder: Any, a: Any, b: Any, c: Any) -> Any:
    return _call(builder, "llvm.fmuladd", a, b, c)


def _call(builder: Any, name: str, *args: Any, flags: tuple[str, ...] = ()) -> Any:
    """An LLVM intrinsic from vectors to a vector."""
    kind = ir.FunctionType(_FLOATS, [_FLOATS] * len(args))
    return builder.call(
        cgutils.get_or_insert_function(builder.module, kind, f"{name}.v{LANES}f32"), args, fastmath=flags
    )


@intrinsic
def select(typingctx: Any, mask: Any, a: Any, b: Any) -> Any:
    """Lanes of ``a`` where ``mask`` is true, of ``b`` elsewhere."""
    if mask != mask8 or not _is_vector(a, b):
        return None

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        a, b = (broadcast(builder, kind, value) for kind, value in zip(sig.args[1:], args[1:], strict=True))
        return builder.select(args[0], a, b)

    return float8(mask, a, b), emit


@intrinsic
def minimum(typingctx: Any, a: Any, b: Any) -> Any:
    """The smaller of two values in each lane; no NaN expected."""
    return (float8(a, b), _extremum("llvm.minnum")) if _is_vector(a, b) else None


@intrinsic
def maximum(typingctx: Any, a: Any, b: Any) -> Any:
    """The larger of two values in each lane; no NaN expected."""
    return (float8(a, b), _extremum("llvm.maxnum")) if _is_vector(a, b) else None


def _extremum(name: str) -> Callable[..., Any]:
    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        a, b = (broadcast(builder, kind, value) for kind, value in zip(sig.args, args, strict=True))
        return _call(builder, name, a, b, flags=("nnan", "nsz"))

    return emit


@intrinsic
def any_lane(typingctx: Any, mask: Any) -> Any:
    """Whether the mask is true in some lane."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        bits = builder.bitcast(args[0], ir.IntType(LANES))
        return builder.icmp_unsigned("!=", bits, ir.Constant(ir.IntType(LANES), 0))

    return types.boolean(mask), emit


@intrinsic
def sum_lanes(typingctx: Any, value: Any) -> Any:
    """The sum of the eight lanes, halves first."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        total = args[0]
        for width in (4, 2, 1):
            order = ir.Constant(_INTEGERS, [lane ^ width for lane in range(LANES)])
            total = builder.fadd(total, builder.shuffle_vector(total, ir.Constant(_FLOATS, ir.Undefined), order))
        return builder.extract_element(total, ir.Constant(ir.IntType(32), 0))

    return types.float32(float8), emit


@intrinsic
def sum_each(
    typingctx: Any, v0: Any, v1: Any, v2: Any, v3: Any, v4: Any, v5: Any, v6: Any, v7: Any
) -> Any:  # fmt: skip
    """The lane sums of eight vectors, as the lanes of one; a third of the work of eight :func:`sum_lanes`."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        def add_halves(a: Any, b: Any, even: list[int], odd: list[int]) -> Any:
            parts = [builder.shuffle_vector(a, b, ir.Constant(_INTEGERS, order)) for order in (even, odd)]
            return builder.fadd(*parts)

        # Neighbours are added within 128 bits twice, as SSE and AVX shuffle them, then the halves across.
        neighbours = ([0, 2, 8, 10, 4, 6, 12, 14], [1, 3, 9, 11, 5, 7, 13, 15])
        pairs = [add_halves(args[k], args[k + 1], *neighbours) for k in (0, 2, 4, 6)]
        fours = [add_halves(pairs[k], pairs[k + 1], *neighbours) for k in (0, 2)]
        return add_halves(fours[0], fours[1], [0, 1, 2, 3, 8, 9, 10, 11], [4, 5, 6, 7, 12, 13, 14, 15])

    return float8(*[float8] * LANES), emit


@intrinsic
def exp2(typingctx: Any, value: Any, table: Any) -> Any:
    """2^value for values in -126..126, unspecified lanes elsewhere; ``table`` starts with 8 lanes of each EXP2_TABLE.

    A polynomial of the distance to the nearest whole number, which is added to the exponent. The constants come from
    memory because that is where the processor takes an operand from at no cost; as constants of the code, LLVM brings
    each to a register first.
    """

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        data = context.make_array(sig.args[1])(context, builder, args[1]).data

        def constant(k: int) -> Any:
            at = builder.gep(data, [ir.Constant(ir.IntType(64), k * LANES)])
            return builder.load(builder.bitcast(at, _FLOATS.as_pointer()), align=_UNALIGNED)

        shift = constant(0)
        shifted = builder.fadd(args[0], shift)
        fraction = builder.fsub(args[0], builder.fsub(shifted, shift))
        power = constant(1)
        for k in range(2, len(EXP2_TABLE)):
            power = _fma(builder, power, fraction, constant(k))
        exponent = builder.shl(builder.bitcast(shifted, _INTEGERS), ir.Constant(_INTEGERS, [23] * LANES))
        return builder.bitcast(builder.add(builder.bitcast(power, _INTEGERS), exponent), _FLOATS)

    return float8(float8, table), emit
