"""Pull a project of 1,000 runs of 100 epochs from a server on loopback: requests and seconds.

python benchmarks/wandb_pull.py [RUNS] [EPOCHS]
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "tests")]

from wandb_server import ENTITY, KEY, StoredRun, WandbServer  # noqa: E402

from tfbind.tracking import cache, pull  # noqa: E402


def main(count: int, epochs: int) -> None:
    """Print the table."""
    with WandbServer() as server, tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        for number in range(count):
            config = {"learning_rate": {"value": 0.1 / (number + 1)}, "batch_size": {"value": 64}}
            run = server.add(StoredRun(ENTITY, "big", f"run{number}", f"run {number}", config, state="finished"))
            for epoch in range(1, epochs + 1):
                run.history.append({"_step": 2 * epoch, "epoch": epoch, "train_loss": 1 / epoch})
                measured = {"val_loss": 1.1 / epoch, "val_pearsonr": 1 - 1 / epoch}
                run.history.append({"_step": 2 * epoch + 1, "epoch": epoch, **measured})
            run.summary = run.history[-1]
        os.environ |= {"WANDB_API_KEY": KEY, "WANDB_BASE_URL": server.url}
        report("the list, with settings and last values", server, lambda: pull.pull_runs(home, f"{ENTITY}/big"))
        keys = [past.key for past in cache.stored_runs(home)]
        report("the curves of 20 runs", server, lambda: pull.fetch_histories(home, keys[:20]))
        report("the curves of the others", server, lambda: pull.fetch_histories(home, keys))
        with ProcessPoolExecutor(1) as another:
            report("a process that starts", server, another.submit(os.getpid).result)
            report("all from the home, in that process", server, another.submit(count_rows, home).result)
            report("again", server, another.submit(count_rows, home).result)


def count_rows(home: Path) -> int:
    """Read all runs of a home."""
    return sum(len(past.rows) for past in cache.stored_runs(home))


def report(what: str, server: WandbServer, act: Callable[[], object]) -> None:
    """Do it, and say what it took."""
    before, began = server.requests.total(), time.perf_counter()
    act()
    print(f"{what:45} {server.requests.total() - before:6} requests {time.perf_counter() - began:8.2f} s", flush=True)


if __name__ == "__main__":
    main(*([int(word) for word in sys.argv[1:]] + [1000, 100][len(sys.argv) - 1 :]))
