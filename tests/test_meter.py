"""What a process takes of its machine, held against what it is made to take."""

import subprocess
import sys
import time

from tfbind.meter import Meter


def test_a_process_that_sleeps_takes_no_core_and_one_that_counts_takes_one() -> None:
    meter = Meter()
    time.sleep(0.3)
    assert meter.read()["cores"] < 0.3
    began, cpu = time.monotonic(), time.process_time()
    while time.process_time() - cpu < 0.3:
        sum(range(1000))
    share = 0.3 / (time.monotonic() - began)  # a busy machine may give less than a whole core
    assert abs(meter.read()["cores"] - share) < 0.3


def test_memory_is_that_of_the_process() -> None:
    code = (
        "import numpy as np; from tfbind.meter import Meter; meter = Meter(); before = meter.read()['memory']\n"
        "held = np.ones(40_000_000); print(meter.read()['memory'] - before)"
    )
    grown = int(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
    assert 300e6 < grown < 360e6  # 320 MB of numbers
