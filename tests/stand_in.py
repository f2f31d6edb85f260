"""Runs that no worker trained, written through tfbind.runs.folder: what a page shows can be chosen to the digit."""

import time
from pathlib import Path
from typing import Any

import numpy as np

from tfbind.config import TrainConfig
from tfbind.errors import Reason
from tfbind.runs import ACTIVE, Row, Run, folder as runs
from tfbind.store.schema import read_json, write_json

CONFIG = TrainConfig(device="cpu", threads=2)
LENGTH = 30


def make_rows(count: int) -> list[Row]:
    """Epochs of a run that learns: the loss halves every second epoch, Pearson rises towards 1."""
    return [
        {
            "epoch": epoch,
            "train_loss": 2.2 * 0.7**epoch,
            "val_loss": 2.4 * 0.7**epoch,
            "val_pearsonr": 1 - 0.7**epoch,
            "val_pearsonr_window": 1 - 0.8**epoch,
            "val_windows_undefined": 1,
            "learning_rate": 0.01,
            "seconds": 2.0,
            "windows_per_second": 1200.0,
        }
        for epoch in range(1, count + 1)
    ]


def make_run(
    home: Path,
    state: str,
    epochs: int = 5,
    *,
    error: str | None = None,
    reason: Reason | None = None,
    config: TrainConfig = CONFIG,
    dataset_hash: str | None = None,
    **created: Any,
) -> Run:
    """A run in `state` with `epochs` rows. One that is active belongs to the calling process, so it stays active."""
    facts = {"windows": 100, "length": LENGTH} | ({"dataset_hash": dataset_hash} if dataset_hash else {})
    run = runs.create(home, config, facts=facts, **created)
    for row in make_rows(epochs):
        runs.append_row(run, row)
    began = time.time() - 60
    ended = None if state in ACTIVE else began + 30
    began_if_at_all = None if state == "pending" else began
    run.set_state(state, started=began_if_at_all, ended=ended, device="cpu", error=error, reason=reason)
    return run


def report_progress(run: Run, epoch: int, batches: int, speed: float | None = 1210.0) -> None:
    """What a worker says within an epoch of 150 batches."""
    progress = {
        "epoch": epoch,
        "num_epochs": CONFIG.num_epochs,
        "batches": batches,
        "batches_per_epoch": 150,
        "train_loss": 0.61,
        "windows_per_second": speed,
        "seconds_left": 41.2,
    }
    write_json(run.folder / runs.PROGRESS, progress)


def crash(run: Run) -> None:
    """Make the run look as if its process had been killed: process 0 is nobody's."""
    status = read_json(run.folder / runs.STATE)
    write_json(run.folder / runs.STATE, status | {"state": "running", "pid": 2**22 + 1})


def write_validation(run: Run, scores: "np.ndarray[Any, Any]") -> None:
    """Predictions near the truth for every second window of `scores` (N, L); one of them has no Pearson."""
    windows = np.arange(0, len(scores), 2)
    rng = np.random.default_rng(0)
    predictions = (scores[windows] + rng.normal(0, 0.5, (len(windows), scores.shape[1]))).astype(np.float16)
    pearson = rng.uniform(0.5, 1, len(windows)).astype(np.float32)
    pearson[0] = np.nan
    loss = np.full(len(windows), 0.25, np.float32)
    np.savez(run.folder / runs.VALIDATION, windows=windows, predictions=predictions, loss=loss, pearson=pearson)


def make_pair(folder: Path, windows: int = 40, turned: bool = False) -> tuple[Path, Path]:
    """The course's pair of files: random DNA of 30 bases, a score of 7.5 on 10 of them in every window."""
    rng = np.random.default_rng(1)
    names = [f"chr1_{start}_{start + LENGTH - 1}" for start in range(0, windows * LENGTH, LENGTH)]
    letters = ["".join(rng.choice(list("ACGT"), LENGTH)) for _ in names]
    scores = np.zeros((windows, LENGTH))
    scores[:, 5:15] = 7.5
    lines = ["sequence\twindow_name", *(f"{text}\t{name}" for text, name in zip(letters, names, strict=True))]
    sequences_path, scores_path = folder / "chr1_sequences.txt", folder / "chr1_scores.txt"
    sequences_path.write_text("\n".join(lines) + "\n")
    rows = [[name, *map(str, row)] for name, row in zip(names, scores.tolist(), strict=True)]
    table = rows if turned else list(zip(*rows, strict=True))
    scores_path.write_text("".join("\t".join(cells) + "\n" for cells in table))
    return sequences_path, scores_path
