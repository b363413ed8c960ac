"""Eight float64 lanes as a Numba type, for the projection: eight Gaussians at a time.

Operators take vectors, float64 scalars and whole numbers, in any order, so that helpers written for numbers
(``vectors``) serve vectors as they are. No fast-math flag: a lane gets the bits that the expression has of numbers.
"""
# ruff: noqa: ARG001 -- Numba decides the arguments of typing and lowering functions

from __future__ import annotations

import math
import operator
import struct
from collections.abc import Callable
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import ConcreteTemplate, infer_global, signature
from numba.extending import models, register_model

from hgs_toolkit.rendering.cpu.simd import (
    LANES,
    arithmetic,
    broadcast,
    comparison,
    define_operator,
    intrinsic,
    lower_builtin,
    mask8,
)

_DOUBLES = ir.VectorType(ir.DoubleType(), LANES)
_LONGS = ir.VectorType(ir.IntType(64), LANES)
_FLOATS = ir.VectorType(ir.FloatType(), LANES)


class Double8(types.Type):
    """Eight float64 values."""

    def __init__(self) -> None:
        super().__init__("double8")


double8 = Double8()
_SCALARS = (types.float64, types.int64)


@register_model(Double8)
class _Double8Model(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Double8) -> None:
        super().__init__(manager, kind, _DOUBLES)


for _symbol, _method in (
    (operator.add, "fadd"), (operator.sub, "fsub"), (operator.mul, "fmul"), (operator.truediv, "fdiv"),
):  # fmt: skip
    define_operator(_symbol, double8, arithmetic(_method), double8, _SCALARS)
for _symbol, _sign in (
    (operator.gt, ">"), (operator.ge, ">="), (operator.lt, "<"), (operator.le, "<="), (operator.eq, "=="),
):  # fmt: skip
    define_operator(_symbol, mask8, comparison(_sign), double8, _SCALARS)


@infer_global(operator.neg)
class _NegTemplate(ConcreteTemplate):
    cases = [signature(double8, double8)]  # noqa: RUF012


@lower_builtin(operator.neg, double8)
def _lower_neg(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    return builder.fneg(args[0])


def _is_vector(*kinds: Any) -> bool:
    return all(kind in (double8, types.float64) for kind in kinds)


def _pointer(context: Any, builder: Any, sig: Any, args: Any, lanes: Any) -> Any:
    array = context.make_array(sig.args[0])(context, builder, args[0])
    return builder.bitcast(builder.gep(array.data, [args[1]]), lanes.as_pointer())


@intrinsic
def load64(typingctx: Any, array: Any, index: Any) -> Any:
    """Lanes ``array[index : index + 8]`` of a contiguous 1-D array of float32 or float64; not bounds-checked."""
    single = array.dtype == types.float32

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        lanes = builder.load(_pointer(context, builder, sig, args, _FLOATS if single else _DOUBLES), align=4)
        return builder.fpext(lanes, _DOUBLES) if single else lanes

    return double8(array, types.intp), emit


@intrinsic
def store64(typingctx: Any, array: Any, index: Any, value: Any) -> Any:
    """Write the lanes to ``array[index : index + 8]``, rounded if its numbers are float32; not bounds-checked."""
    single = array.dtype == types.float32

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        lanes = builder.fptrunc(args[2], _FLOATS) if single else args[2]
        builder.store(lanes, _pointer(context, builder, sig, args, _FLOATS if single else _DOUBLES), align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, double8), emit


@intrinsic
def choose(typingctx: Any, mask: Any, a: Any, b: Any) -> Any:
    """Lanes of ``a`` where ``mask`` is true, of ``b`` elsewhere."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        a, b = (broadcast(builder, kind, value) for kind, value in zip(sig.args[1:], args[1:], strict=True))
        return builder.select(args[0], a, b)

    return (double8(mask, a, b), emit) if mask == mask8 and _is_vector(a, b) else None


@intrinsic
def lower(typingctx: Any, a: Any, b: Any) -> Any:
    """The smaller of two values in each lane; ``b`` where one is NaN."""
    return (double8(a, b), _extremum("<")) if _is_vector(a, b) else None


@intrinsic
def higher(typingctx: Any, a: Any, b: Any) -> Any:
    """The larger of two values in each lane; ``b`` where one is NaN."""
    return (double8(a, b), _extremum(">")) if _is_vector(a, b) else None


def _extremum(sign: str) -> Callable[..., Any]:
    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        a, b = (broadcast(builder, kind, value) for kind, value in zip(sig.args, args, strict=True))
        return builder.select(builder.fcmp_ordered(sign, a, b), a, b)

    return emit


def _unary(name: str) -> Callable[..., Any]:
    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        kind = ir.FunctionType(_DOUBLES, [_DOUBLES])
        function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.{name}.v{LANES}f64")
        return builder.call(function, args)

    return emit


@intrinsic
def root(typingctx: Any, value: Any) -> Any:
    """The square root of each lane."""
    return double8(double8), _unary("sqrt")


@intrinsic
def floor(typingctx: Any, value: Any) -> Any:
    """The largest whole number not above each lane."""
    return double8(double8), _unary("floor")


@intrinsic
def ceil(typingctx: Any, value: Any) -> Any:
    """The smallest whole number not below each lane."""
    return double8(double8), _unary("ceil")


@intrinsic
def total(typingctx: Any, value: Any) -> Any:
    """The sum of the eight lanes, halves first."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        lanes, integers = args[0], ir.VectorType(ir.IntType(32), LANES)
        for width in (4, 2, 1):
            order = ir.Constant(integers, [lane ^ width for lane in range(LANES)])
            lanes = builder.fadd(lanes, builder.shuffle_vector(lanes, ir.Constant(_DOUBLES, ir.Undefined), order))
        return builder.extract_element(lanes, ir.Constant(ir.IntType(32), 0))

    return types.float64(double8), emit


_ROOT_HALF_BITS: int = struct.unpack("<q", struct.pack("<d", math.sqrt(0.5)))[0]
_MANTISSA, _BIAS = 52, 1024
_LOG2_TERMS = 7
"""Terms of the series of log2: the last left out is below 1e-11 of the sum."""


@intrinsic
def log2(typingctx: Any, value: Any) -> Any:
    """The logarithm of each lane to 1e-11, for positive normal numbers; unspecified elsewhere.

    With value = 2^k m and m in sqrt(1/2)..sqrt(2), it is k + (2 / ln 2) artanh((m - 1) / (m + 1)), the latter by its
    series.
    """

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        def longs(number: int) -> Any:
            return ir.Constant(_LONGS, [number] * LANES)

        def doubles(number: float) -> Any:
            return ir.Constant(_DOUBLES, [number] * LANES)

        bits = builder.bitcast(args[0], _LONGS)
        shifted = builder.add(bits, longs((_BIAS << _MANTISSA) - _ROOT_HALF_BITS))
        k = builder.lshr(shifted, longs(_MANTISSA))  # biased
        m = builder.bitcast(builder.sub(bits, builder.shl(builder.sub(k, longs(_BIAS)), longs(_MANTISSA))), _DOUBLES)
        whole = builder.bitcast(builder.or_(k, longs(1075 << _MANTISSA)), _DOUBLES)  # 2^52 + k
        whole = builder.fsub(whole, doubles(2.0**_MANTISSA + _BIAS))
        t = builder.fdiv(builder.fsub(m, doubles(1.0)), builder.fadd(m, doubles(1.0)))
        square = builder.fmul(t, t)
        series = doubles(0.0)
        for term in reversed(range(_LOG2_TERMS)):
            series = builder.fadd(builder.fmul(series, square), doubles(2.0 / math.log(2.0) / (2 * term + 1)))
        return builder.fadd(whole, builder.fmul(t, series))

    return double8(double8), emit
