"""How fast the web page of the built-in model scores, in headless Chromium from the disk, beside the program here.

    .venv/bin/python benchmarks/web_page.py [--bases 300 1000000]

Prints wall seconds of the page and of `tfbind.score`, medians of five, with the number of cores, and the largest
difference of their scores.
"""

import argparse
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
TIMES = 5


def main() -> None:
    """Score random DNA of several lengths by page and program, print the times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bases", type=int, nargs="+", default=[300, 1_000_000])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder), options.bases)


def measure(home: Path, lengths: list[int]) -> None:
    """One line for each length."""
    import numpy as np
    from playwright.sync_api import sync_playwright

    from tfbind import scoring
    from tfbind.dna import encode

    scoring.export_web_page(home, "builtin", home / "model.html")
    model, rng = scoring.load_model(home, "builtin"), np.random.default_rng(0)
    path = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        page.goto((home / "model.html").as_uri())
        page.locator("#score:not([disabled])").wait_for()
        for bases in lengths:
            dna = "".join(rng.choice(list("ACGT"), bases))
            page.evaluate("(dna) => { record = readRecords(dna)[0] }", dna)
            program_seconds, page_seconds = [], []
            for _ in range(TIMES):
                began = time.perf_counter()
                expected = scoring.score(model, encode(dna)).scores
                program_seconds.append(time.perf_counter() - began)
                timed = "performance.now(); scores = await scoreBases(record.codes, 0, record.codes.length, false)"
                seconds = f"async () => {{ const began = {timed}; return (performance.now() - began) / 1000 }}"
                page_seconds.append(page.evaluate(seconds))
            difference = float(np.abs(np.array(page.evaluate("Array.from(scores)")) - expected).max())
            print(
                f"{bases:,} bases on {os.cpu_count()} cores: page {median(page_seconds):.3f} s, "
                f"program {median(program_seconds):.3f} s, largest difference {difference:.1e}"
            )
        browser.close()


if __name__ == "__main__":
    main()
