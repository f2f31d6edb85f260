"""What the live page of a sweep of many runs costs the server.

    python benchmarks/sweep_update.py [--runs N] [--seconds S]

A sweep of N runs with 20 epochs each, two of them running, is shown in one browser tab that updates every second. The
last line is JSON. Needs Chromium.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
from playwright.sync_api import sync_playwright

PROJECT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(PROJECT), str(PROJECT / "tests"), str(PROJECT / "tests" / "browser")]

# ruff: noqa: E402
from driving import CHART, CHROMIUM, FLAGS, serve
from stand_in import make_rows
from toy import toy_home

from tfbind.config import TrainConfig
from tfbind.runs import folder as runs
from tfbind.sweeps import sweep_folder
from tfbind.sweeps.controller import run_name
from tfbind.sweeps.spec import parse_spec
from tfbind.sweeps.sweep_folder import Sweep

EPOCHS = 20
RUNNING = 2


def make_sweep(home: Path, count: int) -> Sweep:
    """A sweep over `count` learning rates that belongs to this process; its last two runs are half way."""
    rates = [float(f"{rate:.3g}") for rate in np.geomspace(0.1, 1e-5, count)]
    text = f"method: grid\nparameters: {{learning_rate: {{values: {rates}}}, num_epochs: {{value: {EPOCHS}}}}}\n"
    spec = parse_spec(text, TrainConfig(dataset="toy", device="cpu", threads=1))
    sweep = sweep_folder.create(home, spec)
    for place, config in enumerate(spec.grid()):
        run = runs.create(home, config, name=run_name(spec, config), facts={"sweep": sweep.id})
        active = place >= count - RUNNING
        for row in make_rows(EPOCHS // 2 if active else EPOCHS):
            runs.append_row(run, row | {"val_loss": row["val_loss"] + place / count})
        run.set_state("running" if active else "finished", started=time.time())
    sweep.set_state("running", started=time.time())
    return sweep


def cpu_seconds(pid: int) -> float:
    """CPU time that a process has used."""
    used = psutil.Process(pid).cpu_times()
    return float(used.user + used.system)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--seconds", type=int, default=30)
    options = parser.parse_args()
    executable = next(path for path in CHROMIUM if Path(path).exists())
    with tempfile.TemporaryDirectory() as folder:
        home = toy_home(Path(folder))
        sweep = make_sweep(home, options.runs)
        with serve(home) as server, sync_playwright() as playwright:
            page = playwright.chromium.launch(executable_path=executable, args=FLAGS).new_page()
            page.goto(f"{server.url}/sweep?sweep={sweep.id}")
            page.locator(CHART).first.wait_for()
            page.wait_for_timeout(3000)
            before = cpu_seconds(server.pid)
            page.wait_for_timeout(options.seconds * 1000)
            used = (cpu_seconds(server.pid) - before) / options.seconds
    print(f"{1000 * used:.1f} ms of server CPU an update with {options.runs} runs, over {options.seconds} of them")
    print(json.dumps({"runs": options.runs, "cpu_ms_per_update": round(1000 * used, 1)}))


if __name__ == "__main__":
    main()
