"""What a process takes of its machine, held against what it is made to take."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
from driven import app
from stand_in import make_run, report_progress

from tfbind import runs
from tfbind.files import read_json, write_json
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


@pytest.mark.parametrize(
    ("taken", "said"),
    [
        ({}, None),
        ({"cores": 1.94, "memory": 650_000_000}, "This run takes now: CPU 1.9 cores · memory 0.65 GB"),
        (
            {"cores": 1.0, "memory": 2_100_000_000, "gpu_memory": 1_200_000_000},
            "This run takes now: CPU 1.0 cores · memory 2.10 GB · GPU memory 1.20 GB",
        ),
    ],
)
def test_what_a_running_job_takes_of_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taken: dict[str, float], said: str | None
) -> None:
    monkeypatch.setenv("TFBIND_HOME", str(tmp_path))
    run = make_run(tmp_path, "running", 2)
    report_progress(run, 3, 37)
    write_json(run.folder / runs.PROGRESS, read_json(run.folder / runs.PROGRESS) | taken)
    captions = [caption.value for caption in app(run.id).caption if "takes now" in caption.value]
    assert captions == ([said] if said else [])
