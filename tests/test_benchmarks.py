"""Benchmarks start from any folder, by the commands that docs/benchmarks.md names."""

import subprocess
import sys
from pathlib import Path

from tfbind.config import PROJECT

FOLDER = PROJECT / "benchmarks"


def test_every_benchmark_finds_what_it_imports(tmp_path: Path) -> None:
    names = ", ".join(sorted(path.stem for path in FOLDER.glob("*.py")))
    as_a_script = f"import sys; sys.path[0] = {str(FOLDER)!r}; import {names}"
    done = subprocess.run([sys.executable, "-c", as_a_script], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
