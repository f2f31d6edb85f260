"""How long a first import takes beside pandas merely reading the two files, and how long opening takes afterwards.

    python benchmarks/import_speed.py SEQUENCES SCORES [--runs N]

The import checks both files and writes the data set into a fresh home; pandas gets `read_csv` of both files and
nothing else to do. They run in turns in this process, after one round that does not count. The last line is JSON.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tfbind.data.dataset import import_pair, open_dataset


def seconds(action: Callable[[], object]) -> float:
    """Wall time of one call."""
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def read_with_pandas(sequences: Path, scores: Path) -> None:
    """What every notebook begins with."""
    for path in (sequences, scores):
        pd.read_csv(path, sep="\t", compression="infer")


def measure(sequences: Path, scores: Path) -> dict[str, float]:
    """One round: seconds of pandas, of a first import and of a later open."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        return {
            "pandas": seconds(lambda: read_with_pandas(sequences, scores)),
            "import": seconds(lambda: import_pair(home, sequences, scores, "measured")),
            "open": seconds(lambda: open_dataset(home, "measured")),
        }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sequences", type=Path)
    parser.add_argument("scores", type=Path)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    rounds = [measure(options.sequences, options.scores) for _ in range(options.runs + 1)][1:]
    median = {what: statistics.median(found[what] for found in rounds) for what in rounds[0]}
    for what, meaning in (("pandas", "pandas reads both files"), ("import", "first import"), ("open", "later open")):
        times = [found[what] for found in rounds]
        print(f"{meaning:<24} {median[what]:8.4f} s   ({min(times):.4f} to {max(times):.4f}, {len(times)} runs)")
    ratio = median["import"] / median["pandas"]
    print(f"{'import / pandas':<24} {ratio:8.3f}")
    print(json.dumps(median | {"ratio": ratio}))


if __name__ == "__main__":
    main()
