"""Matrix products as convolutions need them, at the speed of the registers of a CPU.

A tile of the result stays in registers while some rows of the one factor meet some columns of the other. numba cannot
be told to hold it there, so the tile is written in the intermediate code of LLVM, which numba compiles.
"""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numba
from llvmlite import binding, ir
from numba.core import cgutils, types
from numba.core.caching import IndexDataCacheFile
from numba.core.dispatcher import Dispatcher
from numba.core.registry import cpu_target
from numba.extending import intrinsic

LANES = 16  # columns of a tile: one register of AVX-512, two of AVX, four of NEON
HALF = LANES // 2  # columns of the last tiles, where a whole one does not fit


class Registers(NamedTuple):
    """The vector registers of a kind of processor: their number, and the floats that one holds."""

    number: int
    floats: int


class Shape(NamedTuple):
    """Rows of a tile of `LANES` columns and of one of `HALF`, and of a lower one of each for the rows left over."""

    high: int
    low: int
    half_high: int
    half_low: int


# By the feature, in LLVM's words, that a processor has them by. Without one of these: 16 registers of 4, as SSE has.
KINDS = {
    "avx512f": (Registers(32, 16), Shape(12, 4, 12, 4)),
    "avx": (Registers(16, 8), Shape(6, 2, 12, 4)),
    "neon": (Registers(32, 4), Shape(6, 2, 12, 4)),
}
OTHER = Registers(16, 4), Shape(2, 1, 6, 2)

SUM = f"""
define void @sum(ptr %place) {{
    %numbers = load <{LANES} x float>, ptr %place, align 4
    %sums = fadd <{LANES} x float> %numbers, %numbers
    store <{LANES} x float> %sums, ptr %place, align 4
    ret void
}}
"""


def kind_of(features: Mapping[str, bool]) -> tuple[Registers, Shape]:
    """The registers of a processor with these features, and the shape of the tiles that they hold.

    A map of LLVM's names every feature there is: one that the processor lacks is in it, too, as False.
    """
    return next((kind for feature, kind in KINDS.items() if features.get(feature, False)), OTHER)


def features_in(code: str) -> dict[str, bool]:
    """Which features of `KINDS` a processor has, by the registers in which its code for `SUM` adds floats."""
    seen = {"avx512f": r"%zmm\d", "avx": r"%ymm\d", "neon": r"\bv\d+\.4s|\.4s\s+v\d"}
    return {feature: re.search(register, code) is not None for feature, register in seen.items()}


def compiled_for() -> dict[str, bool]:
    """The features of `KINDS` that numba compiles for.

    They are this processor's, unless NUMBA_CPU_NAME, NUMBA_CPU_FEATURES or NUMBA_ENABLE_AVX says otherwise. Which of
    these counts, and what a name or a feature brings along, only code that is made so tells.
    """
    machine = cpu_target.target_context.codegen()._tm
    return features_in(machine.emit_assembly(binding.parse_assembly(SUM)))


HIGH, LOW, HALF_HIGH, HALF_LOW = kind_of(compiled_for())[1]

_FLOAT, _INDEX, _LANE = ir.FloatType(), ir.IntType(64), ir.IntType(32)

Kernel = Callable[..., Any]


# Sums may be taken in any order, as many numbers at a time as the processor has lanes; NaN and infinity stay.
_HOW: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": {"reassoc", "contract"}}


class KernelFiles(IndexDataCacheFile):
    """numba's files of a kernel, but that the name of compiled code says what it was compiled for.

    numba counts them. Of two processes that count at the same time, on machines with one folder or with networks of
    different widths, one would find under its number what the other has compiled.
    """

    def save(self, key: Any, data: Any) -> None:
        """Keep what was compiled for a key."""
        name = f"{Path(self._index_name).stem}.{hashlib.sha256(repr(key).encode()).hexdigest()[:16]}.nbc"
        self._save_data(name, data)
        self._save_index({**self._load_index(), key: name})


def compiled(kernel: Kernel) -> Kernel:
    """`kernel` compiled at its first use, kept on disk, holding no lock of the interpreter while it works.

    What it has from outside may be numbers and what a module names: only then is it found on disk again.
    """
    function: Any = numba.njit(cache=True, **_HOW)(kernel)
    # numba looks for changes in the file of the kernel alone, and would go on with what it calls as that once was.
    called = [other.py_func for other in kernel.__globals__.values() if isinstance(other, Dispatcher)]
    files = {Path(part.__code__.co_filename) for part in (kernel, *called)}
    stamp = sorted((str(file), file.stat().st_mtime_ns) for file in files)
    cache = function._cache
    cache._cache_file = KernelFiles(cache.cache_path, cache._impl.filename_base, stamp)
    return function


def inlined(kernel: Kernel) -> Kernel:
    """`kernel` as part of the kernels that call it, so that what is constant there is constant in it."""
    function: Kernel = numba.njit(inline="always", **_HOW)(kernel)
    return function


def _tile(rows: int, lanes: int) -> Any:
    """The code that adds a tile of a product to its place: out[i, :] += sum of first[i, k] * second[k, :]."""
    kind = ir.VectorType(_FLOAT, lanes)

    def generate(context: Any, build: ir.IRBuilder, signature: Any, given: Sequence[ir.Value]) -> ir.Value:
        first, second, out = (
            build.gep(context.make_array(signature.args[array])(context, build, given[array]).data, [given[place]])
            for array, place in ((0, 1), (4, 5), (6, 7))
        )
        row_step, step, columns, depth = given[2], given[3], given[8], given[9]
        places = [_group(build, kind, out, build.mul(columns, _INDEX(row))) for row in range(rows)]
        sums = [cgutils.alloca_once_value(build, _load(build, place)) for place in places]
        signed = ir.FunctionType(kind, [kind] * 3)
        multiply_add = cgutils.get_or_insert_function(build.module, signed, f"llvm.fmuladd.v{lanes}f32")
        with cgutils.for_range(build, depth) as loop:
            factor = _load(build, _group(build, kind, second, build.mul(loop.index, columns)))
            along = build.mul(loop.index, step)
            for row, held in enumerate(sums):
                place = build.gep(first, [build.add(along, build.mul(row_step, _INDEX(row)))])
                number = _in_all_lanes(build, kind, build.load(place))
                build.store(build.call(multiply_add, [number, factor, build.load(held)]), held)
        for place, held in zip(places, sums, strict=True):
            build.store(build.load(held), place).align = 4
        return context.get_dummy_value()

    @intrinsic
    def add_tile(_, first, _first_at, _row_step, _step, second, _second_at, out, _out_at, _columns, _depth):  # type: ignore[no-untyped-def]
        whole = types.int64
        return types.void(first, whole, whole, whole, second, whole, out, whole, whole, whole), generate

    return add_tile


def _group(build: ir.IRBuilder, kind: ir.VectorType, array: ir.Value, place: ir.Value) -> ir.Value:
    return build.bitcast(build.gep(array, [place]), kind.as_pointer())


def _load(build: ir.IRBuilder, place: ir.Value) -> ir.Value:
    group = build.load(place)
    group.align = 4
    return group


def _in_all_lanes(build: ir.IRBuilder, kind: ir.VectorType, number: ir.Value) -> ir.Value:
    nothing = ir.Constant(kind, ir.Undefined)
    first_lane = ir.Constant(ir.VectorType(_LANE, kind.count), [0] * kind.count)
    return build.shuffle_vector(build.insert_element(nothing, number, _LANE(0)), nothing, first_lane)


_high, _low, _single = _tile(HIGH, LANES), _tile(LOW, LANES), _tile(1, LANES)
_half_high, _half_low, _half_single = _tile(HALF_HIGH, HALF), _tile(HALF_LOW, HALF), _tile(1, HALF)


@inlined
def add_product(first, row_step, step, second, out, rows, columns, depth):  # type: ignore[no-untyped-def]
    """out[i, j] += sum over k < depth of first[i * row_step + k * step] * second[k, j].

    All are flat float32 arrays; second and out have `columns`, a multiple of `HALF`. Rows overlap where `row_step`
    is shorter than they are, which is how a convolution reads its windows without copying them. `row_step` and
    `columns` should be constants where this is called, which leaves registers to the tile.
    """
    whole = columns - columns % LANES
    for at in range(0, whole, LANES):
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
    row = 0 if whole < columns else rows
    while row < rows:
        left, start, place = rows - row, row * row_step, row * columns + whole
        if left >= HALF_HIGH:
            _half_high(first, start, row_step, step, second, whole, out, place, columns, depth)
            row += HALF_HIGH
        elif left >= HALF_LOW:
            _half_low(first, start, row_step, step, second, whole, out, place, columns, depth)
            row += HALF_LOW
        else:
            _half_single(first, start, row_step, step, second, whole, out, place, columns, depth)
            row += 1
