"""How fast the Compare page is with many runs: made-up run folders, the real app, headless Chromium.

    .venv/bin/python benchmarks/compare_speed.py [--runs 1000] [--epochs 100] [--keep FOLDER]

Prints the seconds that the server needs for the page, with nothing read yet and again, and the seconds until table,
verdict and curves are seen in a browser on the same cores.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

PROJECT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(PROJECT), str(PROJECT / "tests" / "browser")]

from tfbind.config import TrainConfig  # noqa: E402
from tfbind.runs import folder as runs  # noqa: E402
from tfbind.store.atomic import write_bytes  # noqa: E402


def make_runs(home: Path, count: int, epochs: int) -> None:
    """Finished runs of random settings; their curves rise to what the learning rate allows, with noise."""
    rng = np.random.default_rng(0)
    for number in range(count):
        rate = float(f"{10 ** rng.uniform(-4.5, -1):.3g}")
        channels, kernel = int(rng.choice([16, 32, 64])), int(rng.choice([3, 5, 9]))
        config = TrainConfig(
            learning_rate=rate,
            num_channels=channels,
            kernel_size=kernel,
            num_epochs=epochs,
            seed=number % 3,
            device="cpu",
            threads=1,
        )
        run = runs.create(home, config, facts={"dataset_hash": "0" * 64, "windows": 12000, "length": 300})
        top = 0.9 - 0.05 * (np.log10(rate) + 2.3) ** 2 + 0.01 * (kernel > 3) + rng.normal(0, 0.004)
        epoch = np.arange(1, epochs + 1)
        pearson = np.clip(top * (1 - np.exp(-epoch * rate**0.4 * 2)) + rng.normal(0, 0.003, epochs), -1, 0.999)
        rows = [
            {
                "epoch": int(number),
                "train_loss": 2.4 * (1 - value**2) * 0.95,
                "val_loss": 2.4 * (1 - value**2),
                "val_pearsonr": value,
                "val_pearsonr_window": value - 0.01,
                "val_windows_undefined": 0,
                "learning_rate": rate,
                "seconds": 12.5,
                "windows_per_second": 1200.0,
            }
            for number, value in zip(epoch, pearson.tolist(), strict=True)
        ]
        write_bytes(run.folder / runs.METRICS, "".join(json.dumps(row) + "\n" for row in rows).encode())
        run.set_state("finished", started=time.time() - 60, ended=time.time(), device="cpu")


def main() -> None:
    """Make the runs, open the page twice, print the times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--keep", type=Path, help="where to make the home; a temporary folder if missing")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = options.keep or Path(folder)
        home.mkdir(parents=True, exist_ok=True)
        if not runs.list_runs(home):
            make_runs(home, options.runs, options.epochs)
        measure_server(home)
        measure(home)


def measure_server(home: Path) -> None:
    """Seconds that the page's script takes, without a browser: with nothing imported or read yet, and again."""
    os.environ["TFBIND_HOME"] = str(home)
    from streamlit.testing.v1 import AppTest

    app = AppTest.from_file(str(PROJECT / "app.py"), default_timeout=60).run()
    for attempt in ("nothing read yet", "again"):
        began = time.perf_counter()
        app.switch_page("pages/compare.py").run()
        print(f"server, {attempt}: {time.perf_counter() - began:.2f} s")


def measure(home: Path) -> None:
    """Seconds from the request to the table and to the verdict, three times on one server."""
    from driving import CHROMIUM, FLAGS, serve
    from playwright.sync_api import sync_playwright

    path = next(path for path in CHROMIUM if Path(path).exists())
    with serve(home) as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto(server.url)
        page.get_by_text("Start", exact=True).first.wait_for()
        for attempt in ("first view on this server", "second view", "third view"):
            began = time.perf_counter()
            page.get_by_role("link", name="Compare").click()
            page.get_by_test_id("stDataFrame").first.wait_for()
            table = time.perf_counter() - began
            page.get_by_role("heading", name="Verdict").wait_for()
            verdict = time.perf_counter() - began
            page.locator(".st-key-curves .main-svg").first.wait_for()
            drawn = time.perf_counter() - began
            print(f"{attempt}: table {table:.2f} s, verdict {verdict:.2f} s, curves {drawn:.2f} s")
            page.get_by_role("link", name="Train").click()
            page.get_by_text("Start", exact=True).first.wait_for()
        browser.close()


if __name__ == "__main__":
    main()
