"""Matrix products as convolutions need them, at the speed of the registers of a CPU.

A tile of the result stays in registers while some rows of the one factor meet some columns of the other. numba cannot
be told to hold it there, so the tile is written in the intermediate code of LLVM, which numba compiles.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numba
from llvmlite import binding, ir
from numba.core import cgutils, types
from numba.extending import intrinsic

LANES = 16  # columns of a tile: one register of AVX-512, two of AVX2, four of NEON
HIGH, LOW = (12, 4) if "avx512f" in binding.get_host_cpu_features() else (6, 2)  # rows, and fewer at the lower edge

_FLOAT, _INDEX, _LANE = ir.FloatType(), ir.IntType(64), ir.IntType(32)
_GROUP = ir.VectorType(_FLOAT, LANES)

Kernel = Callable[..., Any]


# Sums may be taken in any order, as many numbers at a time as the processor has lanes; NaN and infinity stay.
_HOW: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": {"reassoc", "contract"}}


def compiled(kernel: Kernel) -> Kernel:
    """`kernel` compiled at its first use, kept on disk, holding no lock of the interpreter while it works.

    What it has from outside may be numbers and what a module names: only then is it found on disk again.
    """
    function: Kernel = numba.njit(cache=True, **_HOW)(kernel)
    return function


def inlined(kernel: Kernel) -> Kernel:
    """`kernel` as part of the kernels that call it, so that what is constant there is constant in it."""
    function: Kernel = numba.njit(inline="always", **_HOW)(kernel)
    return function


def _tile(rows: int) -> Any:
    """The code that adds a tile of a product to its place: out[i, :] += sum of first[i, k] * second[k, :]."""

    def generate(context: Any, build: ir.IRBuilder, signature: Any, given: Sequence[ir.Value]) -> ir.Value:
        first, second, out = (
            build.gep(context.make_array(signature.args[array])(context, build, given[array]).data, [given[place]])
            for array, place in ((0, 1), (4, 5), (6, 7))
        )
        row_step, step, columns, depth = given[2], given[3], given[8], given[9]
        places = [_group(build, out, build.mul(columns, _INDEX(row))) for row in range(rows)]
        sums = [cgutils.alloca_once_value(build, _load(build, place)) for place in places]
        signed = ir.FunctionType(_GROUP, [_GROUP] * 3)
        multiply_add = cgutils.get_or_insert_function(build.module, signed, f"llvm.fma.v{LANES}f32")
        with cgutils.for_range(build, depth) as loop:
            factor = _load(build, _group(build, second, build.mul(loop.index, columns)))
            along = build.mul(loop.index, step)
            for row, held in enumerate(sums):
                place = build.gep(first, [build.add(along, build.mul(row_step, _INDEX(row)))])
                number = _in_all_lanes(build, build.load(place))
                build.store(build.call(multiply_add, [number, factor, build.load(held)]), held)
        for place, held in zip(places, sums, strict=True):
            build.store(build.load(held), place).align = 4
        return context.get_dummy_value()

    @intrinsic
    def add_tile(_, first, _first_at, _row_step, _step, second, _second_at, out, _out_at, _columns, _depth):  # type: ignore[no-untyped-def]
        whole = types.int64
        return types.void(first, whole, whole, whole, second, whole, out, whole, whole, whole), generate

    return add_tile


def _group(build: ir.IRBuilder, array: ir.Value, place: ir.Value) -> ir.Value:
    return build.bitcast(build.gep(array, [place]), _GROUP.as_pointer())


def _load(build: ir.IRBuilder, place: ir.Value) -> ir.Value:
    group = build.load(place)
    group.align = 4
    return group


def _in_all_lanes(build: ir.IRBuilder, number: ir.Value) -> ir.Value:
    nothing = ir.Constant(_GROUP, ir.Undefined)
    first_lane = ir.Constant(ir.VectorType(_LANE, LANES), [0] * LANES)
    return build.shuffle_vector(build.insert_element(nothing, number, _LANE(0)), nothing, first_lane)


_high, _low, _single = _tile(HIGH), _tile(LOW), _tile(1)


@inlined
def add_product(first, row_step, step, second, out, rows, columns, depth):  # type: ignore[no-untyped-def]
    """out[i, j] += sum over k < depth of first[i * row_step + k * step] * second[k, j].

    All are flat float32 arrays; second and out have `columns`, a multiple of `LANES`. Rows overlap where `row_step`
    is shorter than they are, which is how a convolution reads its windows without copying them. `row_step` and
    `columns` should be constants where this is called, which leaves registers to the tile.
    """
    for at in range(0, columns, LANES):
        row = 0
        while row < rows:
            left, start, place = rows - row, row * row_step, row * columns + at
            if left >= HIGH:
                _high(first, start, row_step, step, second, at, out, place, columns, depth)
                row += HIGH
            elif left >= LOW:
                _low(first, start, row_step, step, second, at, out, place, columns, depth)
                row += LOW
            else:
                _single(first, start, row_step, step, second, at, out, place, columns, depth)
                row += 1
