"""Single-precision matrix multiplication (GEMM) for the convolutions of a CPU training step.

The innermost loop is the microkernel of a blocked GEMM: a tile of MR x NR sums is kept in vector registers while k
runs. numba cannot be told to keep it there, so the microkernel is written in LLVM's intermediate representation,
which numba compiles and inlines.
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

NR = 16  # columns of a tile: one register of AVX-512, two of AVX, four of NEON
NR_HALF = NR // 2  # columns of the last tiles, where a whole one does not fit


class Registers(NamedTuple):
    """Vector registers of a kind of processor: their `number`, and the `floats` (float32) in one."""

    number: int
    floats: int


class TileRows(NamedTuple):
    """Rows of a tile: MR of NR columns, MR of NR_HALF columns; the `edge` ones are for the rows left over."""

    mr: int
    mr_edge: int
    mr_half: int
    mr_half_edge: int


# By the feature, in LLVM's words, that a processor has them by. Without one of these: 16 registers of 4, as SSE has.
TILES = {
    "avx512f": (Registers(32, 16), TileRows(12, 4, 12, 4)),
    "avx": (Registers(16, 8), TileRows(6, 2, 12, 4)),
    "neon": (Registers(32, 4), TileRows(6, 2, 12, 4)),
}
DEFAULT_TILE = Registers(16, 4), TileRows(2, 1, 6, 2)

PROBE = f"""
define void @add(ptr %address) {{
    %numbers = load <{NR} x float>, ptr %address, align 4
    %sums = fadd <{NR} x float> %numbers, %numbers
    store <{NR} x float> %sums, ptr %address, align 4
    ret void
}}
"""


def select_tile(features: Mapping[str, bool]) -> tuple[Registers, TileRows]:
    """Registers and tile of a processor with these features.

    Args:
        features: LLVM's map. It names every feature there is; one that the processor lacks is in it as False.
    """
    return next((tile for feature, tile in TILES.items() if features.get(feature, False)), DEFAULT_TILE)


def features_in_assembly(assembly: str) -> dict[str, bool]:
    """The features of `TILES` that a processor has, by the registers in which its code for `PROBE` adds floats."""
    registers = {"avx512f": r"%zmm\d", "avx": r"%ymm\d", "neon": r"\bv\d+\.4s|\.4s\s+v\d"}
    return {feature: re.search(pattern, assembly) is not None for feature, pattern in registers.items()}


def target_features() -> dict[str, bool]:
    """The features of `TILES` that numba compiles for.

    They are this processor's, unless NUMBA_CPU_NAME, NUMBA_CPU_FEATURES or NUMBA_ENABLE_AVX says otherwise. Which of
    these counts, and what a name or a feature implies, is told by compiled code alone.
    """
    machine = cpu_target.target_context.codegen()._tm
    return features_in_assembly(machine.emit_assembly(binding.parse_assembly(PROBE)))


MR, MR_EDGE, MR_HALF, MR_HALF_EDGE = select_tile(target_features())[1]

_FLOAT, _INT64, _INT32 = ir.FloatType(), ir.IntType(64), ir.IntType(32)

Kernel = Callable[..., Any]


# Sums may be taken in any order, as many numbers at a time as the processor has lanes; NaN and infinity stay.
_JIT_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": {"reassoc", "contract"}}


class KernelCache(IndexDataCacheFile):
    """numba's cache files of a kernel, with a file name that depends on what the code was compiled for.

    numba numbers them. Of two processes that count at the same time, on machines with one folder or with networks of
    different widths, one would find under its number what the other has compiled.
    """

    def save(self, key: Any, data: Any) -> None:
        """Store compiled code under a key."""
        name = f"{Path(self._index_name).stem}.{hashlib.sha256(repr(key).encode()).hexdigest()[:16]}.nbc"
        self._save_data(name, data)
        self._save_index({**self._load_index(), key: name})


def jit(kernel: Kernel) -> Kernel:
    """`kernel` compiled by numba at its first call, cached on disk, without the GIL.

    Its free variables may be numbers and names of its module: only then does numba find it on disk again.
    """
    function: Any = numba.njit(cache=True, **_JIT_OPTIONS)(kernel)
    # numba looks for changes in the file of the kernel alone, and would go on with what it calls as that once was.
    callees = [value.py_func for value in kernel.__globals__.values() if isinstance(value, Dispatcher)]
    files = {Path(part.__code__.co_filename) for part in (kernel, *callees)}
    stamp = sorted((str(file), file.stat().st_mtime_ns) for file in files)
    cache = function._cache
    cache._cache_file = KernelCache(cache.cache_path, cache._impl.filename_base, stamp)
    return function


def jit_inline(kernel: Kernel) -> Kernel:
    """`kernel` inlined into the kernels that call it, so that what is constant there is constant in it."""
    function: Kernel = numba.njit(inline="always", **_JIT_OPTIONS)(kernel)
    return function


def _microkernel(rows: int, lanes: int) -> Any:
    """An intrinsic that accumulates one tile: c[i, :] += sum over p < k of a[i, p] * b[p, :], i < rows.

    `lanes` is the width of the tile. The accumulators are allocated on the stack; LLVM promotes them to registers.
    """
    vector = ir.VectorType(_FLOAT, lanes)

    def generate(context: Any, build: ir.IRBuilder, signature: Any, args: Sequence[ir.Value]) -> ir.Value:
        a, b, c = (
            build.gep(context.make_array(signature.args[array])(context, build, args[array]).data, [args[offset]])
            for array, offset in ((0, 1), (4, 5), (6, 7))
        )
        row_stride, stride, n, k = args[2], args[3], args[8], args[9]
        addresses = [_vector_at(build, vector, c, build.mul(n, _INT64(row))) for row in range(rows)]
        accumulators = [cgutils.alloca_once_value(build, _load(build, address)) for address in addresses]
        signature_of_fma = ir.FunctionType(vector, [vector] * 3)
        fma = cgutils.get_or_insert_function(build.module, signature_of_fma, f"llvm.fmuladd.v{lanes}f32")
        with cgutils.for_range(build, k) as loop:
            row_of_b = _load(build, _vector_at(build, vector, b, build.mul(loop.index, n)))
            column = build.mul(loop.index, stride)
            for row, accumulator in enumerate(accumulators):
                address = build.gep(a, [build.add(column, build.mul(row_stride, _INT64(row)))])
                factor = _broadcast(build, vector, build.load(address))
                build.store(build.call(fma, [factor, row_of_b, build.load(accumulator)]), accumulator)
        for address, accumulator in zip(addresses, accumulators, strict=True):
            build.store(build.load(accumulator), address).align = 4
        return context.get_dummy_value()

    @intrinsic
    def accumulate_tile(_, a, _a_offset, _row_stride, _stride, b, _b_offset, c, _c_offset, _n, _k):  # type: ignore[no-untyped-def]
        whole = types.int64
        return types.void(a, whole, whole, whole, b, whole, c, whole, whole, whole), generate

    return accumulate_tile


def _vector_at(build: ir.IRBuilder, vector: ir.VectorType, array: ir.Value, offset: ir.Value) -> ir.Value:
    return build.bitcast(build.gep(array, [offset]), vector.as_pointer())


def _load(build: ir.IRBuilder, address: ir.Value) -> ir.Value:
    numbers = build.load(address)
    numbers.align = 4
    return numbers


def _broadcast(build: ir.IRBuilder, vector: ir.VectorType, number: ir.Value) -> ir.Value:
    undefined = ir.Constant(vector, ir.Undefined)
    first_lane = ir.Constant(ir.VectorType(_INT32, vector.count), [0] * vector.count)
    return build.shuffle_vector(build.insert_element(undefined, number, _INT32(0)), undefined, first_lane)


_tile, _tile_edge, _tile_row = _microkernel(MR, NR), _microkernel(MR_EDGE, NR), _microkernel(1, NR)
_half, _half_edge, _half_row = (_microkernel(rows, NR_HALF) for rows in (MR_HALF, MR_HALF_EDGE, 1))


@jit_inline
def gemm(a, row_stride, stride, b, c, m, n, k):  # type: ignore[no-untyped-def]
    """C += A B for flat float32 arrays: c[i, j] += sum over p < k of a[i * row_stride + p * stride] * b[p, j].

    B is (k, n) and C (m, n), row-major; n is a multiple of `NR_HALF`. Rows of A overlap where `row_stride` is shorter
    than they are: so a convolution reads its windows without an im2col copy. Exchanging the strides reads A
    transposed. `row_stride` and `n` should be constants where this is called, which leaves registers to the tile.
    """
    whole = n - n % NR
    for column in range(0, whole, NR):
        row = 0
        while row < m:
            left, a_offset, c_offset = m - row, row * row_stride, row * n + column
            if left >= MR:
                _tile(a, a_offset, row_stride, stride, b, column, c, c_offset, n, k)
                row += MR
            elif left >= MR_EDGE:
                _tile_edge(a, a_offset, row_stride, stride, b, column, c, c_offset, n, k)
                row += MR_EDGE
            else:
                _tile_row(a, a_offset, row_stride, stride, b, column, c, c_offset, n, k)
                row += 1
    row = 0 if whole < n else m
    while row < m:
        left, a_offset, c_offset = m - row, row * row_stride, row * n + whole
        if left >= MR_HALF:
            _half(a, a_offset, row_stride, stride, b, whole, c, c_offset, n, k)
            row += MR_HALF
        elif left >= MR_HALF_EDGE:
            _half_edge(a, a_offset, row_stride, stride, b, whole, c, c_offset, n, k)
            row += MR_HALF_EDGE
        else:
            _half_row(a, a_offset, row_stride, stride, b, whole, c, c_offset, n, k)
            row += 1
