"""What `make setup` compiles, by what numba says of its cache."""

import os
import subprocess
import sys

import pytest


@pytest.mark.slow
def test_setup_compiles_for_training_and_for_the_search_of_motifs() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tfbind.nn.kernels.compile"],
        env={**os.environ, "NUMBA_DEBUG_CACHE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    for module in ("layer_norm", "batch_norm", "tomtom"):
        assert f"/{module}." in done.stdout
