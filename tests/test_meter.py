"""What a process takes of its machine, held against what it is made to take."""

import time

import numpy as np
import psutil

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
    meter = Meter()
    before = meter.read()["memory"]
    held = np.ones(40_000_000)
    after = meter.read()["memory"]
    assert 250e6 < after - before < 500e6
    assert abs(after - psutil.Process().memory_info().rss) < 50e6
    assert held.all()
