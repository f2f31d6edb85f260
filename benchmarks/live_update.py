"""What a page that shows a live run costs the server, and how soon a finished epoch is seen.

    python benchmarks/live_update.py [--updates N]

Three runs of 100 epochs are written to by another process while one browser tab shows the first of them and lists
all three in the side bar. CPU is that of the server's process over N seconds, with an update every second; latency
is from a row on the disk to its point in the chart. The last line is JSON. Needs Chromium.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
from playwright.sync_api import Page, sync_playwright

PROJECT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(PROJECT), str(PROJECT / "tests"), str(PROJECT / "tests" / "browser")]

# ruff: noqa: E402
from driving import CHART, CHROMIUM, FLAGS, serve
from stand_in import make_rows, make_run, report_progress

from tfbind import runs
from tfbind.runs.folder import Run

EPOCHS = 100
WRITE_SECONDS = 1.37  # not a multiple of the page's second, so that all delays occur
LATENCIES = 20


def write_rows(folders: list[Path], count: int) -> None:
    """The other process: append `count` rows to each run, one at a time, and print when the first run's is there."""
    rows = make_rows(EPOCHS + count)[EPOCHS:]
    for row in rows:
        for folder in folders:
            runs.append_row(Run(folder), row)
            report_progress(Run(folder), 3, row["epoch"] % 150)
            if folder == folders[0]:
                print(row["epoch"], time.time(), flush=True)
        time.sleep(WRITE_SECONDS)


def cpu_seconds(pid: int) -> float:
    """CPU time that a process has used."""
    used = psutil.Process(pid).cpu_times()
    return float(used.user + used.system)


def cost(pid: int, page: Page, seconds: int) -> float:
    """CPU seconds of the server for one second of a live page."""
    before = cpu_seconds(pid)
    page.wait_for_timeout(seconds * 1000)
    return (cpu_seconds(pid) - before) / seconds


def latencies(page: Page, writer: "subprocess.Popen[str]", count: int) -> list[float]:
    """Seconds from each of the next `count` rows to its point in the chart."""
    found = []
    assert writer.stdout
    while len(found) < count:
        epoch, written = writer.stdout.readline().split()
        drawn = f"document.querySelector('.live-chart').data[0].x.at(-1) >= {epoch}"
        page.wait_for_function(drawn, polling=20)
        found.append(time.time() - float(written))
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--updates", type=int, default=60)
    parser.add_argument("--write", nargs="+", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.write:
        write_rows(options.write, 10_000)
        return
    executable = next(path for path in CHROMIUM if Path(path).exists())
    with tempfile.TemporaryDirectory() as folder, serve(Path(folder)) as server, sync_playwright() as playwright:
        shown = [make_run(server.home, "running", EPOCHS) for _ in range(3)]
        for run in shown:
            report_progress(run, 3, 1)
        page = playwright.chromium.launch(executable_path=executable, args=FLAGS).new_page()
        page.goto(f"{server.url}/?run={shown[0].id}")
        page.locator(CHART).first.wait_for()
        words = [sys.executable, __file__, "--write", *(str(run.folder) for run in shown)]
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as writer:
            delays = latencies(page, writer, LATENCIES)
            seconds = cost(server.pid, page, options.updates)
            writer.kill()
        memory = psutil.Process(server.pid).memory_info().rss / 1e6
    figures = {
        "cpu_ms_per_update": round(1000 * seconds, 1),
        "updates": options.updates,
        "latency_median_s": round(statistics.median(delays), 2),
        "latency_max_s": round(max(delays), 2),
        "server_memory_mb": round(memory),
    }
    print(f"{figures['cpu_ms_per_update']} ms of server CPU an update, over {options.updates} of them")
    print(f"{figures['latency_median_s']} s from row to point at the median, {figures['latency_max_s']} s at most")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
