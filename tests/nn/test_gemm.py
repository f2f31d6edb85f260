"""Matrix products against numpy's, tiles against registers, and what is found compiled on disk."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from llvmlite import binding

from tfbind.nn.kernels import gemm as gemm_module
from tfbind.nn.kernels.gemm import (
    DEFAULT_TILE,
    NR,
    NR_HALF,
    PROBE,
    TILES,
    KernelCache,
    features_in_assembly,
    gemm,
    jit,
    select_tile,
)

PROGRAM = """
from tfbind.nn.kernels.gemm import jit
from callee import number
@jit
def twice(): return 2 * number()
print(twice(), sum(twice.stats.cache_hits.values()))
"""


@pytest.mark.parametrize("columns", [8, 16, 24, 40])
def test_products_are_those_of_numpy(columns):
    @jit
    def run(first, second, out, rows, depth):  # type: ignore[no-untyped-def]
        gemm(first, 3, 2, second, out, rows, columns, depth)

    random = np.random.default_rng(4)
    for rows, depth in ((1, 1), (5, 0), (12, 7), (17, 3), (31, 20)):
        first = random.random(3 * rows + 2 * depth).astype(np.float32)
        second = random.random(depth * columns).astype(np.float32)
        out = random.random(rows * columns).astype(np.float32)
        overlapping = first[3 * np.arange(rows)[:, None] + 2 * np.arange(depth)]
        expected = out + (overlapping @ second.reshape(depth, columns)).ravel()
        run(first, second, out, rows, depth)
        np.testing.assert_allclose(out, expected, rtol=1e-5)


@pytest.mark.slow
def test_a_kernel_is_found_on_disk_unless_one_that_it_calls_has_changed(tmp_path):
    def run(number: int) -> str:
        text = f"from tfbind.nn.kernels.gemm import jit\n@jit\ndef number(): return {number}\n"
        if not callee.exists() or callee.read_text() != text:
            callee.write_text(text)
        words = [sys.executable, "-m", "caller"]
        found = subprocess.run(words, capture_output=True, text=True, check=True, env={"PYTHONPATH": path})
        return found.stdout.strip()

    callee, path = tmp_path / "callee.py", f"{tmp_path}:{':'.join(filter(None, sys.path))}"
    (tmp_path / "caller.py").write_text(PROGRAM)
    assert [run(1), run(1), run(4), run(4)] == ["2 0", "2 1", "8 0", "8 1"]


AVX512 = {"64bit": True, "avx": True, "avx2": True, "avx512f": True, "fma": True, "sse4.2": True}
NEON = {"aes": True, "crc": True, "fp-armv8": True, "neon": True, "sve": False}


@pytest.mark.parametrize(
    ("features", "kind"),
    [
        (AVX512, TILES["avx512f"]),
        ({**AVX512, "avx512f": False}, TILES["avx"]),
        ({name: value for name, value in AVX512.items() if name != "avx512f"}, TILES["avx"]),
        ({**AVX512, "avx512f": False, "avx2": False}, TILES["avx"]),  # floats have had wide registers since AVX
        ({**AVX512, "avx512f": False, "avx2": False, "avx": False}, DEFAULT_TILE),
        (dict.fromkeys(AVX512, False), DEFAULT_TILE),
        (NEON, TILES["neon"]),
        ({**NEON, "neon": False}, DEFAULT_TILE),
        ({}, DEFAULT_TILE),
    ],
)
def test_the_shape_of_tiles_follows_the_values_of_features(features, kind):
    assert select_tile(features) == kind


@pytest.mark.parametrize("kind", [*TILES, "other"])
def test_a_tile_fits_into_the_registers_of_its_kind(kind):
    registers, shape = TILES.get(kind, DEFAULT_TILE)
    for columns, rows in ((NR, (shape.mr, shape.mr_edge, 1)), (NR_HALF, (shape.mr_half, shape.mr_half_edge, 1))):
        factors = -(
            -columns // registers.floats
        )  # of a row of the second factor; one more holds a number of the first
        assert [count * factors + factors + 1 <= registers.number for count in rows] == [True] * 3
        assert list(rows) == sorted(rows, reverse=True)


@pytest.mark.parametrize(
    ("triple", "name", "feature"),
    [
        ("x86_64-unknown-linux-gnu", "skylake-avx512", "avx512f"),
        ("x86_64-unknown-linux-gnu", "haswell", "avx"),
        ("x86_64-unknown-linux-gnu", "sandybridge", "avx"),
        ("x86_64-unknown-linux-gnu", "x86-64", None),
        ("x86_64-apple-darwin", "haswell", "avx"),
        ("aarch64-unknown-linux-gnu", "generic", "neon"),
        ("aarch64-unknown-linux-gnu", "neoverse-v1", "neon"),
        ("arm64-apple-darwin", "apple-m1", "neon"),
        ("riscv64-unknown-linux-gnu", "generic-rv64", None),
    ],
)
def test_the_code_of_a_processor_shows_its_registers(triple, name, feature):
    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()
    machine = binding.Target.from_triple(triple).create_target_machine(cpu=name)
    kind = select_tile(features_in_assembly(machine.emit_assembly(binding.parse_assembly(PROBE))))
    assert kind == (TILES[feature] if feature else DEFAULT_TILE)


PRODUCT = """
import re
import numpy as np
from tfbind.nn.kernels import gemm as tile
from kernel import product
random = np.random.default_rng(4)
first, second = random.random(96 * 40).astype(np.float32), random.random(96 * 40).astype(np.float32)
out = np.zeros(40 * 40, np.float32)
product(first, second, out)
np.testing.assert_allclose(out.reshape(40, 40), first.reshape(40, 96) @ second.reshape(96, 40), rtol=1e-5)
code = next(iter(product.inspect_asm().values()))  # empty where the kernel was found on disk
widest = max(re.findall("%([xyz]mm)", code), default="found")
print(tile.MR, widest, code.count("fmaf"))
"""
KERNEL = """
from tfbind.nn.kernels.gemm import gemm, jit
@jit
def product(first, second, out): gemm(first, 96, 1, second, out, 40, 40, 96)
"""
GENERIC, HASWELL = {"NUMBA_CPU_NAME": "generic"}, {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": ""}
runs_haswell = pytest.mark.skipif(
    platform.machine() != "x86_64" or not binding.get_host_cpu_features().get("avx2"), reason="needs AVX2"
)


def printed(program: str, folder: Path, environment: dict[str, str]) -> str:
    """What a program prints where numba compiles as an environment says."""
    path = os.pathsep.join([str(folder), *filter(None, sys.path)])
    words, environment = [sys.executable, "-c", program], {"PYTHONPATH": path, **environment}
    found = subprocess.run(words, capture_output=True, text=True, check=True, env=environment)
    return found.stdout.strip()


@pytest.mark.slow
@runs_haswell
def test_kinds_of_processors_that_share_a_folder_have_each_its_own_tile(tmp_path):
    (tmp_path / "kernel.py").write_text(KERNEL)
    found = [printed(PRODUCT, tmp_path, kind) for kind in (GENERIC, HASWELL, GENERIC, HASWELL)]
    assert found == ["2 xmm 0", "6 ymm 0", "2 found 0", "6 found 0"]


@runs_haswell
@pytest.mark.parametrize(
    ("environment", "high"),
    [
        ({}, gemm_module.MR),
        ({"NUMBA_CPU_NAME": "haswell"}, gemm_module.MR),  # a name alone leaves numba the features of this processor
        ({"NUMBA_CPU_FEATURES": "-avx512f"}, 6),
        ({"NUMBA_CPU_NAME": "skylake-avx512", "NUMBA_CPU_FEATURES": ""}, 12),
    ],
)
def test_tiles_are_those_of_the_processor_that_numba_compiles_for(environment, high, tmp_path):
    program = (
        "from tfbind.nn.kernels import gemm as tile\nprint(tile.MR, tile.select_tile(tile.target_features())[1].mr)"
    )
    assert printed(program, tmp_path, environment) == f"{high} {high}"


def test_of_two_that_compile_at_once_none_finds_what_was_compiled_for_the_other(tmp_path):
    first, second, reader = (KernelCache(str(tmp_path), "kernel", "stamp") for _ in range(3))
    save = first._save_data
    second._load_index = dict  # as it was before the first wrote into it

    def save_after_the_second(name, data):
        second.save("second", "for the second")
        save(name, data)

    first._save_data = save_after_the_second
    first.save("first", "for the first")
    assert reader.load("second") in ("for the second", None)
    assert reader.load("first") == "for the first"
