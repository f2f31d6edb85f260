"""Matrix products against numpy's, and what is found compiled on disk."""

import subprocess
import sys

import numpy as np
import pytest

from tfbind.tile import add_product, compiled

PROGRAM = """
from tfbind.tile import compiled
from callee import number
@compiled
def twice(): return 2 * number()
print(twice(), sum(twice.stats.cache_hits.values()))
"""


@pytest.mark.parametrize("columns", [8, 16, 24, 40])
def test_products_are_those_of_numpy(columns):
    @compiled
    def run(first, second, out, rows, depth):  # type: ignore[no-untyped-def]
        add_product(first, 3, 2, second, out, rows, columns, depth)

    random = np.random.default_rng(4)
    for rows, depth in ((1, 1), (5, 0), (12, 7), (17, 3), (31, 20)):
        first = random.random(3 * rows + 2 * depth).astype(np.float32)
        second = random.random(depth * columns).astype(np.float32)
        out = random.random(rows * columns).astype(np.float32)
        overlapping = first[3 * np.arange(rows)[:, None] + 2 * np.arange(depth)]
        expected = out + (overlapping @ second.reshape(depth, columns)).ravel()
        run(first, second, out, rows, depth)
        np.testing.assert_allclose(out, expected, rtol=1e-5)


def test_a_kernel_is_found_on_disk_unless_one_that_it_calls_has_changed(tmp_path):
    def run(number: int) -> str:
        text = f"from tfbind.tile import compiled\n@compiled\ndef number(): return {number}\n"
        if not callee.exists() or callee.read_text() != text:
            callee.write_text(text)
        words = [sys.executable, "-m", "caller"]
        found = subprocess.run(words, capture_output=True, text=True, check=True, env={"PYTHONPATH": path})
        return found.stdout.strip()

    callee, path = tmp_path / "callee.py", f"{tmp_path}:{':'.join(filter(None, sys.path))}"
    (tmp_path / "caller.py").write_text(PROGRAM)
    assert [run(1), run(1), run(4), run(4)] == ["2 0", "2 1", "8 0", "8 1"]
